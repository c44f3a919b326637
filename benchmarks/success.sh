#!/bin/sh
# Success of the default checkpoint on unseen tasks, kept in benchmarks/results/; see docs/recipe.md.
#   benchmarks/success.sh    about three hours on two cores
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
out=runs/success
worldmodel plan +experiment=push_results out=$out/push
worldmodel plan +experiment=push_fresh_results out=$out/push_fresh
worldmodel plan +experiment=push_rich_results out=$out/push_rich
worldmodel plan +experiment=push_hierarchical_results out=$out/push_hierarchical
worldmodel plan +experiment=push_rich_hierarchical_results out=$out/push_rich_hierarchical
worldmodel plan +experiment=grasp_results out=$out/grasp
worldmodel plan +experiment=grasp_controls out=$out/grasp_controls
worldmodel plan +experiment=pick_and_place_results out=$out/pick_and_place
worldmodel plan +experiment=pick_and_place_controls out=$out/pick_and_place_controls
worldmodel plan +experiment=reach_results out=$out/reach
worldmodel plan +experiment=reach_with_object_results out=$out/reach_with_object
# What a failure comes from, and what the energies know.
worldmodel plan +experiment=push_oracle out=$out/push_oracle
worldmodel plan +experiment=push_rich_halves out=$out/push_rich_halves
worldmodel plan +experiment=push_energies out=$out/push_energies
worldmodel diagnose +experiment=diagnosis out=$out/diagnosis
for report in $out/*/report.json; do
  cp "$report" "benchmarks/results/$(basename "$(dirname "$report")").json"
done
cp $out/diagnosis/diagnosis.json benchmarks/results/
