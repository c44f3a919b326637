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
size=64
[ "$task" = cube ] && size=128 # of 64 pixels, a cube would be 4 wide
data="data=$out/data"
worldmodel collect +experiment=suite_data task="$task" image_size=$size out="$out/data"

worldmodel pretrain +experiment=suite_encoder "$data" out="$out/encoder" encoder.image_size=$size \
  encoder.patch_size=$((size / 16)) encoder.width=$((3 * size * size / 256 + 2))
worldmodel train +experiment=suite_world "$data" encoder_checkpoint="$out/encoder" out="$out/planner"

worldmodel train predictor=lewm "$data" out="$out/lewm" \
  predictor.encoder.image_size=$size predictor.encoder.patch_size=$((size / 8))

worldmodel pretrain "$data" out="$out/tokens" encoder.image_size=$size encoder.patch_size=$((size / 4))
worldmodel train predictor=tokens "$data" encoder_checkpoint="$out/tokens" out="$out/dino_wm"

for row in planner lewm dino_wm; do
  python benchmarks/keep.py "$out/$row" "benchmarks/checkpoints/$task/$row"
done
for mode in moderate strict; do
  worldmodel benchmark task="$task" mode=$mode 'rows=[planner,prior,random,lewm,inverse,dino_wm]' \
    'peer_seeds=[0]' out="$out/$mode" "$@"
  cp "$out/$mode/benchmark.json" "benchmarks/results/public_${task}_$mode.json"
done
