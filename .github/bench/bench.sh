#!/usr/bin/env bash
# Compare base and head in turns, judge the head against its budget, and leave the report: in the step summary for
# whoever looks at the run, and in a folder for the workflow that comments. Whether the step fails is judge.sh's matter.
set -euo pipefail

report="$RUNNER_TEMP/mct-report"
rm -rf "$report"
mkdir -p "$report"

read -ra renames <<< "$FIELDS"
options=(--data "$DATA" --target "$TARGET" --max-seconds "$MAX_SECONDS" --results "$report/results")
for rename in "${renames[@]}"; do
  options+=(--field "$rename")
done
judged=(--baseline "$BASE" --json "$report/bench.json")
if [[ -n "$BUDGET" ]]; then
  judged+=(--budget "$BUDGET")
fi

compared=0
mct compare "$BASE" "$HEAD" "${options[@]}" --json "$report/compare.json" > "$report/compare.md" || compared=$?
benched=0
mct bench "$HEAD" "${options[@]}" "${judged[@]}" > "$report/bench.md" || benched=$?

outcome=pass
for code in "$compared" "$benched"; do
  case "$outcome:$code" in
    *:0) ;;
    *:1) outcome=fail ;;
    fail:3) ;;
    *:3) outcome=inconclusive ;;
    *) exit "$code" ;;
  esac
done

mct report "$report/bench.json" --format markdown > "$report/report.md"
{
  printf '\n### Head against base, in turns\n\n'
  cat "$report/compare.md"
} >> "$report/report.md"
cat "$report/report.md" >> "$GITHUB_STEP_SUMMARY"
if [[ -n "$PR_NUMBER" ]]; then
  echo "$PR_NUMBER" > "$report/pr-number"
fi
{
  echo "outcome=$outcome"
  echo "report=$report"
} >> "$GITHUB_OUTPUT"
