#!/usr/bin/env bash
# Install mct, from the very files of this action, into an environment of its own, and put nothing but `mct` on the PATH:
# the Python of the job's other steps stays what it was.
set -euo pipefail

environment="$RUNNER_TEMP/mct-environment"
python3 -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "${GITHUB_ACTION_PATH}[${EXTRAS}]"
mkdir -p "$RUNNER_TEMP/mct-bin"
ln -sf "$environment/bin/mct" "$RUNNER_TEMP/mct-bin/mct"
echo "$RUNNER_TEMP/mct-bin" >> "$GITHUB_PATH"
