"""An `evidence.toml` to begin with: what lies in the folder already is named, what a person has to add is said.

Nothing is made up: tables that need a measurement nobody made stand there as comments, with the form they take.
"""

from __future__ import annotations

import os
from pathlib import Path

from mct.release.decision.evidence import FILE

RESULT, CHECK, EXPLAIN, FRONT = "bench.json", "check/check.json", "explain/explain.json", "front.json"
TO_ADD = """
# What mct cannot know: measure it, write it into a file of its own (see README, Decisions), and take the # away.
# [pain]
# figure = "pain.json"            # what hurts, where it hurts, with its interval, source and date
# tolerated = 0.1                 # what may be borne
# better = "lower"

# [budget]
# load_qps = 20.0
# cost_per_month = 100.0          # US dollars
# assumed = false

# [rollback]                      # or: mct decide {scenario} --store .mct/releases
# store = "store"                 # the release store, or a copy of it, in this folder
# release = "{scenario}"
"""


def begin(folder: Path, scenario: str, artifact: str) -> str:
    """An `evidence.toml` for `folder`; "" where it has one."""
    if os.path.lexists(folder / FILE):
        return ""
    lines = ["schema = 1", f'scenario = "{scenario}"', f'artifact = "{artifact}"', ""]
    if (folder / CHECK).is_file():
        lines += ["[data]", f'check = "{CHECK}"', ""]
    if (folder / RESULT).is_file():
        lines += ["[metric]", f'result = "{RESULT}"']
        lines += [f'explain = "{EXPLAIN}"'] if (folder / EXPLAIN).is_file() else []
        lines += [f'front = "{FRONT}"'] if (folder / FRONT).is_file() else []
        lines += ['# untuned = "untuned.json"      # the same metric of not fine-tuning at all']
        lines += ['# tie = "tie.json"              # what the change gains in production\'s own log']
    return "\n".join(lines) + "\n" + TO_ADD.format(scenario=scenario)
