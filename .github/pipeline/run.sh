#!/usr/bin/env bash
# Run a pipeline and leave what became of each step in the step summary. Ends as the step that stopped it did.
set -euo pipefail

report="$RUNNER_TEMP/mct-pipeline.json"
code=0
mct pipeline run "$FILE" --json > "$report" || code=$?
case "$code" in
  0) outcome=pass ;;
  1) outcome=fail ;;
  3) outcome=inconclusive ;;
  *) exit "$code" ;;
esac
echo "outcome=$outcome" >> "$GITHUB_OUTPUT"
python3 - "$report" >> "$GITHUB_STEP_SUMMARY" <<'PYTHON'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    steps = json.load(file)["steps"]
print("| step | state | exit code | seconds |\n|---|---|---:|---:|")
for step in steps:
    code, seconds = (("-" if step[name] is None else step[name]) for name in ("code", "seconds"))
    print(f"| {step['step']} | {step['state']} | {code} | {seconds} |")
PYTHON
exit "$code"
