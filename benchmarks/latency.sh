#!/bin/sh
# Plan latency of the default checkpoint on this machine, kept in benchmarks/results/.
#   benchmarks/latency.sh cpu     any further key=value goes to `worldmodel bench`
#   benchmarks/latency.sh cuda
set -eu
usage="usage: benchmarks/latency.sh cpu|cuda [key=value ...]"
device=${1:?$usage}
shift
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
case $device in
cpu)
  worldmodel bench out=benchmarks/results/cpu-default 'samples=[48]' 'horizon=[12]' \
    'episodes=[1,16]' tokens.checkpoint=null "$@"
  worldmodel bench out=benchmarks/results/cpu planner=cem 'horizon=[8,12]' "$@"
  worldmodel bench out=benchmarks/results/cpu-hierarchical planner=hierarchical \
    'samples=[96]' 'horizon=[8,12]' tokens.checkpoint=null "$@"
  ;;
cuda)
  for dtype in float32 bfloat16; do
    worldmodel bench device=cuda dtype=$dtype out=benchmarks/results/cuda-$dtype \
      'samples=[96,800]' 'horizon=[8,16]' 'episodes=[1,64]' \
      'tokens.samples=[96,800]' 'tokens.iterations=[3]' "$@"
  done
  ;;
*)
  echo "$usage" >&2
  exit 2
  ;;
esac
