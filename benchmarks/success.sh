#!/bin/sh
# Success of the default checkpoint on unseen tasks, kept in benchmarks/results/; see docs/recipe.md.
#   benchmarks/success.sh    about three hours on two cores
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
measure() {
  name=$1
  shift
  worldmodel plan out="runs/results/$name" "$@"
  cp "runs/results/$name/report.json" "benchmarks/results/$name.json"
}
measure push task=push episodes=200 'baselines=[prior,no_world_energy]'
measure push_hierarchical task=push planner=hierarchical episodes=200 \
  'baselines=[random,ignore_object,prior]'
measure push_rich_hierarchical task=push planner=hierarchical scenery=rich episodes=200 \
  'baselines=[prior]'
measure push_oracle task=push episodes=20 oracle.episodes=20 'baselines=[oracle,true_cost]'
measure push_rich_halves task=push scenery=rich episodes=20 planner.samples=32 planner.iterations=2 \
  planner.elites=6 oracle.workers=1 'baselines=[true_dynamics,true_cost]'
measure push_energies task=push episodes=100 batch=20 baseline_batch=20 \
  'baselines=[latent_distance,latent_distance_alone,no_prior,reachability]'
measure grasp task=grasp episodes=200 'baselines=[prior]'
measure pick_and_place task=pick_and_place episodes=100 'baselines=[prior]'
worldmodel diagnose task=push episodes=20 seed=5000 out=runs/results/diagnosis
cp runs/results/diagnosis/diagnosis.json benchmarks/results/
for task in grasp pick_and_place; do
  measure ${task}_controls task=$task episodes=100 batch=20 baseline_batch=20 \
    'baselines=[random,ignore_object]'
done
for task in reach reach_with_object; do
  measure $task task=$task episodes=100 'baselines=[random,ignore_object]'
done
