#!/usr/bin/env bash
# Install mct as the action that benches does, from the same checkout.
set -euo pipefail

GITHUB_ACTION_PATH="$(cd "$GITHUB_ACTION_PATH/../.." && pwd)" EXTRAS="$EXTRAS" \
  bash "$GITHUB_ACTION_PATH/../bench/install.sh"
