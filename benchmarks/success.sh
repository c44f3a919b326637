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
solve() {
  name=$1
  shift
  measure "$name" batch=20 baseline_batch=20 videos=0 "$@"
}
controls='baselines=[random,ignore_object]'
solve push task=push episodes=200 'baselines=[random,ignore_object,prior,no_world_energy]'
solve push_fresh task=push seed=1000 episodes=200 'baselines=[prior]' # nothing was chosen on these
solve push_rich task=push appearance=rich episodes=200 'baselines=[prior]'
solve push_hierarchical task=push planner=hierarchical episodes=200 \
  'baselines=[random,ignore_object,prior]'
solve push_rich_hierarchical task=push appearance=rich planner=hierarchical episodes=200 \
  'baselines=[prior]'
for task in grasp pick_and_place; do
  solve $task task=$task episodes=200 'baselines=[prior]'
  solve ${task}_controls task=$task episodes=100 "$controls"
done
for task in reach reach_with_object; do
  solve $task task=$task episodes=100 "$controls"
done

# What a failure comes from, and what the energies know.
cem='task=push planner=cem'
measure push_oracle $cem episodes=20 oracle.episodes=20 'baselines=[oracle,true_cost]'
measure push_rich_halves $cem appearance=rich episodes=20 planner.samples=32 planner.iterations=2 \
  planner.elites=6 oracle.workers=1 'baselines=[true_dynamics,true_cost]'
solve push_energies $cem episodes=100 \
  'baselines=[latent_distance,latent_distance_alone,no_prior,reachability]'
worldmodel diagnose task=push episodes=20 seed=5000 out=runs/results/diagnosis
cp runs/results/diagnosis/diagnosis.json benchmarks/results/
