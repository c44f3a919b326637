#!/bin/sh
# Success of the default checkpoint on unseen tasks, n = 100, kept in benchmarks/results/.
#   benchmarks/success.sh runs/world_random    the world on an untrained encoder; see docs/recipe.md
set -eu
untrained=${1:?usage: benchmarks/success.sh WORLD_ON_AN_UNTRAINED_ENCODER}
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
measure() {
  worldmodel plan task="$1" episodes=100 "baselines=[random,ignore_object,$2]" \
    random_encoder_checkpoint="$untrained" out="runs/results/$1"
  cp "runs/results/$1/report.json" "benchmarks/results/$1.json"
}
measure reach random_encoder
measure push prior,no_world_energy,latent_distance_alone,latent_distance,random_encoder
for task in grasp reach_with_object pick_and_place; do
  measure "$task" prior
done
