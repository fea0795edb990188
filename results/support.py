"""What mct can make of what, shown by making it: every task kind and family in every format and precision, checked.

Run from the repository root: `python results/support.py [--only TEXT] [--again]`. Each cell is a real export of a small
checkpoint with random weights (support_checkpoints.py), run by its runtime beside the original on the built-in shop
messages. support.json has the figures, support.md the tables. A cell that is refused has its reason, one that crashes
takes only itself along: it has a process of its own. What support.json has a figure of stays as it is; `--again` makes
that anew too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mct import MctError
from mct.compress.plan.plan import make_plan, supported
from mct.compress.plan.table import PASSES
from mct.compress.run.parity import FULL_PRECISIONS
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.declared import read_object
from mct.models.scenarios.shop.intents import generate
from mct.models.tasks.table import find_task
from mct.models.writing.folders import write_atomically, write_json

HERE = Path(__file__).resolve().parent
FOUND = HERE / "support.json"
FORMATS = {"onnx": "ONNX", "openvino": "OpenVINO", "gguf": "GGUF"}
PROVEN = "int8-accurate"  # shows by itself how many answers change, which takes more texts than all else
TEXTS, MANY_TEXTS = (1000, 120), (7000, 850)  # messages to generate, and how many of their dev set serve
EXPLAINED = """\
Each cell was exported from a small checkpoint with random weights and run beside it on the built-in shop messages, by
`python results/support.py`. At full precision a cell shows the largest difference of any output; for language models
also whether 64 greedy tokens of each prompt came out the same, or up to where the original chose by a hair. Below that
it shows the share of answers that stayed the same (labels, every word's tag, every next token, the order of any two
scores of one query or prompt, the nearest neighbour): with random weights answers are near ties, so these say that the
form works, not how good it is on a trained model; a Gemma with random weights repeats its last token, so its shares say
little even of that. Older rows stand on all 120 texts, newer ones on the 24 that were held out of what was calibrated
on. A dash: for that task no chain of passes leads there. "refused": why stands below, as the plan says it. "not made":
it can be had, and was not tried here yet. The figures of trained models are in kinds.md, language_model.md and
banking77.md.

GGUF at f32 is further off where a family computes GELU: llama.cpp looks it up in a table of half floats, by its tanh
approximation. Put into torch, that table takes the difference of GPT-2 here from 2e-03 to 8e-04; what is left is where
a number falls to the other side of a step of it. Families with SiLU are at 1e-05.
"""


def main() -> None:
    """Make what is asked for and not there yet, keep the rest, write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of a checkpoint's name")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    asked = parser.parse_args()
    from support_checkpoints import CHECKPOINTS

    found = read_object(FOUND) if FOUND.is_file() else {}
    for name in (each for each in CHECKPOINTS if asked.only in each):
        for entry in check(name, {} if asked.again else found.get(name, {}).get("cells", {})):
            found[name] = entry
            write_json(FOUND, {key: found[key] for key in CHECKPOINTS if key in found})
    write_atomically(HERE / "support.md", markdown(read_object(FOUND)))


def check(name: str, known: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every form of one checkpoint, its parity or why there is none: all so far, as often as some are made."""
    with tempfile.TemporaryDirectory() as scratch:
        code = f"from support_checkpoints import write; from pathlib import Path; write({name!r}, Path('checkpoint'))"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=scratch, env=_environment(), capture_output=True)
        folder = Path(scratch) / "checkpoint"
        task = inspect(folder).task
        forms = [f"{kind}-{each}" for kind, precisions in supported(task).items() for each in precisions]
        cells = {form: known[form] for form in forms if "parity" in known.get(form, {})}
        for kind, precisions in supported(task).items():
            refused = {f"{kind}-{each}": reason for each in precisions if (reason := _refusal(folder, kind, each))}
            cells |= {form: {"refused": reason} for form, reason in refused.items()}
            missing = [each for each in precisions if f"{kind}-{each}" not in cells]
            proven = [each for each in missing if each == PROVEN]
            for wanted, data in (([each for each in missing if each != PROVEN], TEXTS), (proven, MANY_TEXTS)):
                cells |= _cells(folder, kind, wanted, _data(folder, data)) if wanted else {}
                yield {"task": task, "cells": {form: cells[form] for form in forms if form in cells}}


def _refusal(folder: Path, kind: str, precision: str) -> str:
    """Why the plan refuses a form; "" where it does not."""
    try:
        make_plan(inspect(folder), [kind], [precision])
    except MctError as error:
        return f"{error.message}; {error.hint}"
    return ""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])}


def _cells(folder: Path, kind: str, precisions: list[str], data: Path) -> dict[str, Any]:
    """All precisions of a format in one go, which share what they are made from; one by one where that is refused."""
    out = folder.parent / "out" / "-".join([kind, *precisions])
    command = [sys.executable, "-m", "mct.cli", "compress", str(folder), "-o", str(out)]
    command += ["--format", kind, "--precision", ",".join(precisions), "--data", str(data), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    print(kind, *precisions, done.returncode, flush=True)
    if done.returncode == 0:
        made = json.loads(done.stdout)
        return {f"{kind}-{artifact['precision']}": {"parity": artifact["parity"]} for artifact in made}
    if len(precisions) > 1:
        found = [_cells(folder, kind, [precision], data) for precision in precisions]
        return {form: cell for cells in found for form, cell in cells.items()}
    last = [line for line in done.stderr.splitlines() if line.strip()][-2:]
    return {f"{kind}-{precisions[0]}": {"refused" if done.returncode == 2 else "crashed": " ".join(last)}}


def _data(folder: Path, messages: tuple[int, int]) -> Path:
    """Shop messages in the fields of the checkpoint's task, five documents a query."""
    fields, (production, most) = find_task(inspect(folder).task).inputs, messages
    texts = [row["text"] for row in generate(0, production=production, synthetic=200).dev][:most]
    path = folder.parent / "data.jsonl"
    rows = [{field: texts[(at + shift) % len(texts)] for shift, field in enumerate(fields)} for at in range(len(texts))]
    rows = [row | {"query": texts[at - at % 5]} if "query" in row else row for at, row in enumerate(rows)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def markdown(found: dict[str, Any]) -> str:
    """One table a format."""
    lines = ["# What can be made of what", "", EXPLAINED]
    for kind, title in FORMATS.items():
        precisions = list(dict.fromkeys(step.gives.partition("-")[2] for step in PASSES if step.gives.startswith(kind)))
        lines += ["", f"## {title}", "", f"| checkpoint | task | {' | '.join(precisions)} |"]
        lines += ["|--|--|" + "--|" * len(precisions)]
        for name, entry in found.items():
            held = supported(entry["task"]).get(kind, [])
            cells = [_shown(entry["cells"].get(f"{kind}-{each}"), each) if each in held else "-" for each in precisions]
            lines.append(f"| {name} | {entry['task']} | {' | '.join(cells)} |")
    return "\n".join([*lines, *_reasons(found)]) + "\n"


def _shown(cell: dict[str, Any] | None, precision: str) -> str:
    if cell is None:
        return "not made"
    if "parity" not in cell:
        return next(iter(cell))
    parity = cell["parity"]
    if precision in FULL_PRECISIONS:
        return f"{parity['max_abs_delta']:.0e}{_continued(parity['more'])}"
    return "none" if parity["agreement"] is None else f"{parity['agreement']:.1%}"


def _continued(more: Mapping[str, float]) -> str:
    """What a language model wrote beside what the original did."""
    if "continued_alike" not in more:
        return ""
    if more["continued_otherwise"]:
        return ", other text"
    return ", same text" if more["continued_alike"] == 1.0 else ", same text up to a tie"


def _reasons(found: Mapping[str, Any]) -> list[str]:
    """One line for all forms of a checkpoint that have the same reason."""
    forms: dict[str, list[str]] = {}
    for name, entry in found.items():
        for form, cell in entry["cells"].items():
            for why in cell.keys() - {"parity"}:
                reason = cell[why].removeprefix(f"{form}: ").removeprefix("error: ").replace(" hint: ", "; ")
                forms.setdefault(f"{why}: {reason}", []).append(f"{name}, {form}")
    reasons = [f"- {_together(names)}: {reason}" for reason, names in forms.items()]
    return ["", "## Refused", "", *reasons] if reasons else []


def _together(names: list[str]) -> str:
    """The first form and how many more there are: they differ by their precision alone."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


if __name__ == "__main__":
    main()
