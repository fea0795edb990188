#!/usr/bin/env bash
# Say where base and head lie; where there is a build command, make both with it first, on this machine: an artifact
# that was built elsewhere would bring that machine's choices into the comparison.
set -euo pipefail

base="$BASE_ARTIFACT"
if [[ -n "$BUILD" ]]; then
  base_tree="$RUNNER_TEMP/mct-base"
  base_ref="${BASE_REF:-HEAD^1}"
  if ! git rev-parse --quiet --verify --end-of-options "$base_ref^{commit}" > /dev/null; then
    if [[ -z "$BASE_REF" ]]; then
      echo "::error::the base commit is not there: check out with fetch-depth: 2, or give base-ref" >&2
      exit 2
    fi
    git fetch --quiet --no-tags --depth=1 origin -- "$BASE_REF"
    base_ref=FETCH_HEAD
  fi
  git worktree add --quiet --force --detach "$base_tree" "$base_ref"
  echo "building the base ($(git -C "$base_tree" rev-parse --short HEAD))"
  (cd "$base_tree" && bash -euo pipefail -c "$BUILD")
  echo "building the head ($(git rev-parse --short HEAD))"
  bash -euo pipefail -c "$BUILD"
  base="$base_tree/${BASE_ARTIFACT:-$HEAD_ARTIFACT}"
fi

if [[ -z "$base" ]]; then
  echo "::error::nothing to compare with: give base-artifact, or build" >&2
  exit 2
fi
{
  echo "base=$base"
  echo "head=$HEAD_ARTIFACT"
} >> "$GITHUB_OUTPUT"
