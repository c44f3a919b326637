#!/bin/sh
# Deadlines missed and pushes solved in real time, kept in benchmarks/results/; see docs/planners.md.
#   benchmarks/real_time.sh              on a machine that does nothing else; 10 minutes
#   benchmarks/real_time.sh planner=cem  any key of `worldmodel plan` can follow
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
out=runs/real_time
worldmodel plan +experiment=real_time_10 out=$out/real_time_10 "$@"
worldmodel plan +experiment=real_time_20 out=$out/real_time_20 "$@"
worldmodel plan +experiment=real_time_4 out=$out/real_time_4 "$@"
for report in $out/*/report.json; do
  cp "$report" "benchmarks/results/$(basename "$(dirname "$report")").json"
done
