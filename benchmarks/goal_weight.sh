#!/bin/sh
# Success against λ, the weight of E_goal beside E_world; the last row leaves E_world out. Kept in
# benchmarks/results/goal_weight_TASK.json.
#   benchmarks/goal_weight.sh push '[disagreement]'   any further key=value goes to `worldmodel plan`
set -eu
usage="usage: benchmarks/goal_weight.sh TASK TERMS [key=value ...]"
task=${1:?$usage}
terms=${2:?$usage}
shift 2
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
out=runs/goal_weight/$task
set -- task="$task" "task.world_energy=$terms" "$@"
for weight in 0.02 0.05 0.2 1; do
  worldmodel plan +experiment=goal_weight "$@" task.goal_weight=$weight out="$out/$weight"
done
worldmodel plan +experiment=goal_weight "$@" 'task.world_energy=[]' out="$out/none"
python - "$out" "benchmarks/results/goal_weight_$task.json" "$@" <<'TABLE'
import json
import sys
from pathlib import Path

out, kept, *keys = sys.argv[1:]
rows = []
print("lambda    n  success  95% interval")
for path in sorted(Path(out).glob("*/report.json")):
    report = json.loads(path.read_text())
    final = report["success"]["final"]
    low, high = final["ci95"]
    outcomes = [episode["success"] for episode in report["episodes"]]
    rows.append({"lambda": path.parent.name, "n": report["n"], **final, "outcomes": outcomes})
    print(f"{path.parent.name:<6} {report['n']:4d}  {final['rate']:7.0%}  [{low:.0%}, {high:.0%}]")
Path(kept).write_text(json.dumps({"keys": keys, "rows": rows}, indent=1) + "\n")
TABLE
