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
out=benchmarks/results
case $device in
cpu)
  worldmodel bench +experiment=latency_default out=$out/cpu-default "$@"
  worldmodel bench +experiment=latency_cem out=$out/cpu "$@"
  worldmodel bench +experiment=latency_hierarchical out=$out/cpu-hierarchical "$@"
  ;;
cuda)
  worldmodel bench +experiment=latency_cuda_default out=$out/cuda "$@"
  worldmodel bench +experiment=latency_cuda_float32 out=$out/cuda-float32 "$@"
  worldmodel bench +experiment=latency_cuda_bfloat16 out=$out/cuda-bfloat16 "$@"
  ;;
*)
  echo "$usage" >&2
  exit 2
  ;;
esac
