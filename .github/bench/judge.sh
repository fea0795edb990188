#!/usr/bin/env bash
# Turn the outcome into the step's exit code. It comes last, so that the report is out whatever the outcome.
set -euo pipefail

case "$FAIL_ON:$OUTCOME" in
  never:* | worse:pass | worse:inconclusive | inconclusive:pass) ;;
  worse:fail | inconclusive:fail)
    echo "::error::worse than the base, or over budget: see the report" >&2
    exit 1
    ;;
  inconclusive:inconclusive)
    echo "::error::this run could not decide: see the report for what would" >&2
    exit 3
    ;;
  *)
    echo "::error::fail-on is '$FAIL_ON': give worse, inconclusive or never" >&2
    exit 2
    ;;
esac
