"""What mct can make of what, shown by making it: every task kind and family in every format and precision, checked.

Run from the repository root: `python results/support.py [--only TEXT]`. Each cell is a real export of a small
checkpoint with random weights (support_checkpoints.py), run by its runtime beside the original on the built-in shop
messages. support.json has the figures, support.md the tables. A cell that is refused has its reason, one that crashes
takes only itself along: it has a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mct.compress.plan.plan import supported
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
EXPLAINED = """\
Each cell was exported from a small checkpoint with random weights and run beside it on the built-in shop messages, by
`python results/support.py`. At full precision a cell shows the largest difference of any output; for language models
also whether 64 greedy tokens of each prompt came out the same. Below that it shows the share of answers that stayed the
same (labels, every word's tag, every next token, the order of any two scores of one query or prompt, the nearest
neighbour): with random weights answers are near ties, so these say that the form works, not how good it is on a trained
model. A dash: no chain of passes leads there. The figures of trained models are in kinds.md, language_model.md and
banking77.md.
"""


def main() -> None:
    """Make what is asked for anew, keep the rest, write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of a checkpoint's name")
    wanted = parser.parse_args().only
    from support_checkpoints import CHECKPOINTS

    found = read_object(FOUND) if FOUND.is_file() else {}
    for name in CHECKPOINTS:
        if wanted in name:
            found[name] = check(name)
            write_json(FOUND, {key: found[key] for key in CHECKPOINTS if key in found})
    write_atomically(HERE / "support.md", markdown(read_object(FOUND)))


def check(name: str) -> dict[str, Any]:
    """Every form of one checkpoint: its parity, or why there is none."""
    with tempfile.TemporaryDirectory() as scratch:
        code = f"from support_checkpoints import write; from pathlib import Path; write({name!r}, Path('checkpoint'))"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=scratch, env=_environment(), capture_output=True)
        folder = Path(scratch) / "checkpoint"
        task = inspect(folder).task
        data = _data(folder)
        cells: dict[str, Any] = {}
        for kind, precisions in supported(task).items():
            cells |= _cells(folder, kind, precisions, data)
    return {"task": task, "cells": cells}


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


def _data(folder: Path) -> Path:
    """Shop messages in the fields of the checkpoint's task, five documents a query."""
    fields = find_task(inspect(folder).task).inputs
    texts = [row["text"] for row in generate(0, production=1000, synthetic=200).dev][:120]
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
            cells = [_shown(entry["cells"].get(f"{kind}-{precision}"), precision) for precision in precisions]
            lines.append(f"| {name} | {entry['task']} | {' | '.join(cells)} |")
    return "\n".join([*lines, *_reasons(found)]) + "\n"


def _shown(cell: dict[str, Any] | None, precision: str) -> str:
    if cell is None:
        return "-"
    if "parity" not in cell:
        return next(iter(cell))
    parity = cell["parity"]
    if precision in FULL_PRECISIONS:
        same = {None: "", 1.0: ", same text"}.get(parity["more"].get("continued_alike"), ", other text")
        return f"{parity['max_abs_delta']:.0e}{same}"
    return "-" if parity["agreement"] is None else f"{parity['agreement']:.1%}"


def _reasons(found: dict[str, Any]) -> list[str]:
    reasons = [
        f"- {name}, {form}: {why}: {cell[why]}"
        for name, entry in found.items()
        for form, cell in entry["cells"].items()
        for why in cell
        if why != "parity"
    ]
    return ["", "## Refused", "", *reasons] if reasons else []


if __name__ == "__main__":
    main()
