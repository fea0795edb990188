"""Answers on processors that are not here, held against those given here: `python results/emulated.py ARTIFACT...`.

The artifacts were checked before, each by `mct targets emulate ARTIFACT --target NAME --data FILE`, which wrote the
evidence into its `mct.json`; this puts it side by side. Those committed were made of the small router
(`mct models build intent-router`, then `mct compress --format onnx --precision int8 --target NAME`) and asked messages
of its own test set. Writes emulated.json and emulated.md beside this file.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mct.compress.run.artifact import read_artifact
from mct.models.writing.folders import write_atomically, write_json

HERE = Path(__file__).parent


def main() -> None:
    """Read the artifacts' manifests and write both files."""
    rows = [row for path in sys.argv[1:] for row in rows_of(Path(path))]
    write_json(HERE / "emulated.json", {"rows": rows})
    write_atomically(HERE / "emulated.md", markdown({"rows": rows}))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Every check that the artifact was put to, with what it is and what it was made for."""
    found = read_artifact(folder)
    made_for = f"{found.made_for['architecture']} with {', '.join(found.made_for['instruction_sets'])}"
    return [{"artifact": found.name, "made_for": made_for} | asdict(check) for check in found.checked]


def markdown(found: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# Answers on processors that are not here",
        "",
        "`python results/emulated.py ARTIFACT...`, after `mct targets emulate`. Correctness alone: no time was taken.",
        "",
        "| artifact | made for | checked for | by | runtime | same answers | largest difference of a logit |",
        "|--|--|--|--|--|--:|--:|",
    ]
    for row in found["rows"]:
        difference = "" if row["max_difference"] is None else f"{row['max_difference']:.2g}"
        lines.append(
            f"| {row['artifact']} | {row['made_for']} | {row['target']} | {row['how']} | {row['runtime']} "
            f"| {row['agreed']} of {row['of']} | {difference} |"
        )
    return "\n".join([*lines, "", f"The same artifacts here: {found['rows'][0]['beside']}."]) + "\n"


if __name__ == "__main__":
    main()
