#!/bin/sh
# Success of the default checkpoint on unseen tasks, kept in benchmarks/results/; see docs/recipe.md.
#   benchmarks/success.sh [WORLD]    also plan on this world, trained on an untrained encoder
set -eu
untrained=${1:-}
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
measure() {
  task=$1 episodes=$2 baselines=random,ignore_object$3
  set --
  if [ -n "$untrained" ]; then
    baselines=$baselines,random_encoder
    set -- random_encoder_checkpoint="$untrained"
  fi
  worldmodel plan task="$task" episodes="$episodes" "baselines=[$baselines]" \
    out="runs/results/$task" "$@"
  cp "runs/results/$task/report.json" "benchmarks/results/$task.json"
}
measure push 200 ,prior,no_world_energy
measure grasp 200 ,prior
measure pick_and_place 100 ,prior
measure reach 100 ''
measure reach_with_object 100 ''
worldmodel plan task=push scenery=rich episodes=100 out=runs/results/push_rich
cp runs/results/push_rich/report.json benchmarks/results/push_rich.json
worldmodel plan task=push planner=hierarchical episodes=200 'baselines=[prior]' \
  out=runs/results/push_hierarchical
cp runs/results/push_hierarchical/report.json benchmarks/results/push_hierarchical.json
