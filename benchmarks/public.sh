#!/bin/sh
# Data, worlds and both modes of one public task, kept in benchmarks/checkpoints/TASK and
# benchmarks/results/public_TASK_MODE.json; see docs/benchmarks.md.
#   benchmarks/public.sh two_room     any further key=value goes to `worldmodel benchmark`
set -eu
task=${1:?usage: benchmarks/public.sh pusht|cube|reacher|two_room [key=value ...]}
shift
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
out=runs/public/$task
worldmodel collect +experiment=suite_data task="$task" out="$out/data"
worldmodel pretrain +experiment=suite_encoder data="$out/data" out="$out/encoder"
worldmodel train +experiment=suite_world data="$out/data" encoder_checkpoint="$out/encoder" out="$out/planner"
worldmodel train predictor=lewm data="$out/data" out="$out/lewm"
for row in planner lewm; do
  mkdir -p "benchmarks/checkpoints/$task/$row"
  cp "$out/$row/config.json" "$out/$row/model.safetensors" "benchmarks/checkpoints/$task/$row"
done
for mode in moderate strict; do
  worldmodel benchmark task="$task" mode=$mode 'rows=[planner,prior,random,lewm,inverse]' \
    'peer_seeds=[0]' out="$out/$mode" "$@"
  cp "$out/$mode/benchmark.json" "benchmarks/results/public_${task}_$mode.json"
done
