#!/bin/sh
# Success against λ, the weight of E_goal beside E_world; the last row leaves E_world out.
#   benchmarks/goal_weight.sh push '[disagreement]'   any further key=value goes to `worldmodel plan`
set -eu
usage="usage: benchmarks/goal_weight.sh TASK TERMS [key=value ...]"
task=${1:?$usage}
terms=${2:?$usage}
shift 2
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
out=runs/goal_weight/$task
measure() {
  name=$1
  shift
  worldmodel plan task="$task" episodes=100 videos=0 out="$out/$name" "$@"
}
for weight in 0.02 0.05 0.2 1; do
  measure "$weight" task.goal_weight=$weight "task.world_energy=$terms" "$@"
done
measure none 'task.world_energy=[]' "$@"
python - "$out" <<'TABLE'
import json
import sys
from pathlib import Path

print("lambda    n  success  95% interval")
for path in sorted(Path(sys.argv[1]).glob("*/report.json")):
    report = json.loads(path.read_text())
    final = report["success"]["final"]
    low, high = final["ci95"]
    print(f"{path.parent.name:<6} {report['n']:4d}  {final['rate']:7.0%}  [{low:.0%}, {high:.0%}]")
TABLE
