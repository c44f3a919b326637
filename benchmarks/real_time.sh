#!/bin/sh
# Deadlines missed and pushes solved in real time, kept in benchmarks/results/; see docs/planners.md.
#   benchmarks/real_time.sh              on a machine that does nothing else; 10 minutes
#   benchmarks/real_time.sh planner=icem any key of `worldmodel plan` can follow
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
for hz in 4 10 20; do
  worldmodel plan task=push hz=$hz episodes=20 videos=0 out="runs/results/real_time_$hz" "$@"
  cp "runs/results/real_time_$hz/report.json" "benchmarks/results/real_time_$hz.json"
done
