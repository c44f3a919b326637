#!/bin/sh
# Deadlines missed and pushes solved in real time, kept in benchmarks/results/; see docs/planners.md.
#   benchmarks/real_time.sh              on a machine that does nothing else; 10 minutes
#   benchmarks/real_time.sh planner=cem  any key of `worldmodel plan` can follow
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
measure() {
  hz=$1
  shift
  worldmodel plan task=push hz="$hz" videos=0 out="runs/results/real_time_$hz" "$@"
  cp "runs/results/real_time_$hz/report.json" "benchmarks/results/real_time_$hz.json"
}
measure 10 episodes=80 "$@"
measure 20 episodes=40 "$@"
measure 4 episodes=10 "$@"
