"""Recipes on real checkpoints: what two checkpoint passes leave, in three formats, again and again, and through kills.

Run from the repository root after `python results/banking77_checkpoints.py --texts 2000`: `python results/recipes.py`.

1. Banking77's MiniLM (BERT), DistilBERT and RoBERTa and a small Llama lose a third of their layers or half of them
   (`drop-layers`) and the pieces that the training texts never need (`trim-vocabulary`), then go to ONNX, OpenVINO and
   GGUF. `trim-vocabulary` alone must change no answer to a text that is cut as before; every export must be the
   checkpoint it was made of.
2. A recipe written by hand is run twice, and the lineage of what came out is run as a recipe: all files are compared.
3. A recipe of five steps is killed (SIGKILL) at moments spread over its run. The same command then takes every step
   that was finished from where it lies, as its log says, and ends in the same bytes.

Nothing is trained here, so answers differ from the first checkpoint's: how much is in the table. Writes recipes.json
and recipes.md beside this file; exits with 1 where anything does not hold.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import LINEAGE, Recipe, Step, read_recipe
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.compress.run.steps import STEPS
from mct.models.checkpoints.checkpoint import inspect
from mct.models.writing.folders import sha256, size_mb, write_atomically, write_json
from mct.targets.machine import probe_machine

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
BUILT, DATA = HERE.parent / ".cache" / "banking77", SHARED / "data" / "banking77"
LLAMA, PARAGRAPHS = SHARED / "weights" / "tinystories656K", SHARED / "data" / "lm_tinystories" / "paragraphs.jsonl"
PARAGRAPHS_USED = 400
FEW = HERE.parent / ".cache" / "recipes"

FIVE = """seed = 0

[[steps]]
pass = "drop-layers"
keep = [0, 1, 3, 5]

[[steps]]
pass = "trim-vocabulary"

[[steps]]
pass = "export-onnx"

[[steps]]
pass = "export-openvino"

[[steps]]
pass = "quantise-openvino"
gives = "openvino-int8"
"""
FINISHED, WHOLE = re.compile(r"\] \S+: (\S+) \(finished before\)"), "done (100%)"


def main() -> int:
    """Do all three, write what was seen; 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    asked = parser.parse_args()
    write_few()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        models = [row for name, source in checkpoints(work).items() for row in smaller(name, *source, work / name)]
        again = {"same files twice": None, "same files from the lineage": None} | run_again(work / "again")
        kills = list(killed(work / "kills", asked.kills))
    found = {"machine": probe_machine().cpu, "models": models, "again": again, "kills": kills}
    write_json(HERE / "recipes.json", found)
    write_atomically(HERE / "recipes.md", markdown(found))
    return 0 if all(again.values()) and all(kill["ok"] for kill in kills) and all(row["ok"] for row in models) else 1


def checkpoints(work: Path) -> dict[str, tuple[Path, Path, Path, list[int]]]:
    """Name to checkpoint, texts to keep the pieces of, texts to compare on, and layers to keep."""
    lines = PARAGRAPHS.read_text(encoding="utf-8").splitlines(keepends=True)[: 2 * PARAGRAPHS_USED]
    for name, part in (("data", lines[::2]), ("eval", lines[1::2])):
        write_atomically(work / f"{name}.jsonl", "".join(part))
    banking = (DATA / "train.jsonl", DATA / "test.jsonl")
    return {
        "MiniLM (BERT)": (BUILT / "minilm", *banking, [0, 1, 3, 5]),
        "DistilBERT": (BUILT / "distilbert", *banking, [0, 1, 3, 5]),
        "RoBERTa": (BUILT / "roberta", *banking, [0, 1]),
        "Llama (TinyStories)": (LLAMA, work / "data.jsonl", work / "eval.jsonl", [0]),
    }


def smaller(
    name: str, folder: Path, data: Path, evaluation: Path, keep: list[int], out: Path
) -> Iterator[dict[str, Any]]:
    """A row for `trim-vocabulary` alone, and one for both passes, each with what the three formats make of it."""
    trim = Step("trim-vocabulary")
    for recipe in (Recipe((trim,)), Recipe((Step("drop-layers", options={"keep": keep}), trim))):
        plan = make_plan(inspect(folder), ["checkpoint", "onnx", "openvino", "gguf"], ["fp32", "int8"], None, recipe)
        resources, texts = gather(plan, data, evaluation, {}, 0)
        made = {path.name: path for path in execute(plan, resources, texts, out / str(len(recipe.steps)))}
        checkpoint, *_ = made.values()
        history = json.loads((checkpoint / LINEAGE).read_text(encoding="utf-8"))
        artifacts = {form: read_artifact(path).parity for form, path in made.items() if form != "checkpoint"}
        exact = [parity["agreement"] for form, parity in artifacts.items() if form.endswith("32")]
        yield {
            "model": name,
            "recipe": " -> ".join(step.name for step in recipe.steps),
            "size_mb": [round(size_mb(each), 1) for each in (folder, checkpoint)],
            "pieces": [history[-1]["notes"]["of"], history[-1]["notes"]["pieces"]],
            "parent": history[-1]["parity"]["parent"],
            "root": history[-1]["parity"].get("root") or history[-1]["parity"]["parent"],
            "artifacts": {
                form: {"parent": each["agreement"], "root": each["root"]["agreement"]}
                for form, each in artifacts.items()
            },
            "ok": min(exact) == 1.0,
        }
        print(name, recipe.steps[0].name, "ok" if min(exact) == 1.0 else exact, flush=True)


def run_again(out: Path) -> dict[str, bool]:
    """The recipe by hand twice, and what it says of itself once more."""
    out.mkdir()
    (out / "recipe.toml").write_text(FIVE)
    folders = [make(out / "recipe.toml", out / "first"), make(out / "recipe.toml", out / "second")]
    folders.append(make(folders[0], out / "third"))
    assert read_recipe(folders[0]).steps
    files = [contents(folder) for folder in folders]
    return {"same files twice": files[0] == files[1], "same files from the lineage": files[0] == files[2]}


def write_few() -> None:
    """Every so many rows of both files: what a run is killed in need not take long."""
    for name, part, every in (("train", "data", 30), ("test", "eval", 40)):
        lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        write_atomically(FEW / f"{part}.jsonl", "".join(lines[::every]))


def make(recipe: Path, out: Path) -> Path:
    """The one artifact of a recipe file, or of an artifact's lineage."""
    done = subprocess.run(command(recipe, out), capture_output=True, text=True, cwd=HERE.parent)
    if done.returncode != 0:
        sys.exit(done.stderr)
    (folder,) = out.iterdir()
    return folder


def command(recipe: Path, out: Path) -> list[str]:
    """What a user would type."""
    words = ["compress", BUILT / "minilm", "-o", out, "--recipe", recipe]
    words += ["--data", FEW / "data.jsonl", "--eval", FEW / "eval.jsonl"]
    return [sys.executable, "-m", "mct.cli", *map(str, words)]


def contents(folder: Path) -> Mapping[str, str]:
    """Every file's SHA-256 by its name."""
    return {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def killed(out: Path, kills: int) -> Iterator[dict[str, Any]]:
    """Kill at moments spread over a whole run; then the same command to its end."""
    out.mkdir()
    recipe = out / "recipe.toml"
    recipe.write_text(FIVE)
    began = time.monotonic()
    whole = contents(make(recipe, out / "whole"))
    lasts = time.monotonic() - began
    for number in range(kills):
        after = lasts * (number + 0.5) / kills
        place = out / f"kill-{number}"
        with subprocess.Popen(command(recipe, place), stderr=subprocess.DEVNULL, cwd=HERE.parent) as running:
            try:
                running.wait(timeout=after)
            except subprocess.TimeoutExpired:
                running.kill()
        finished = len([entry for entry in (place / STEPS).glob("*") if len(entry.name) == 64])
        again = subprocess.run(command(recipe, place), capture_output=True, text=True, cwd=HERE.parent)
        taken = FINISHED.findall(again.stderr)
        left = sorted(path.name for path in place.iterdir())
        same = left == ["openvino-int8"] and contents(place / "openvino-int8") == whole
        yield {"after_s": round(after, 1), "finished": finished, "taken": taken, "ok": same and len(taken) == finished}
        print(
            f"kill {number + 1} after {after:.0f} s: {finished} finished, {len(taken)} taken, same bytes: {same}",
            flush=True,
        )


def markdown(found: Mapping[str, Any]) -> str:
    """The table of models, and a sentence each about the rest."""
    rows = [
        "| model | recipe | checkpoint MB | pieces | texts cut as before | same answers as its parent | as the first | "
        "exports: same answers as the checkpoint they were made of |",
        "|--|--|--:|--:|--:|--:|--:|--|",
    ]
    for row in found["models"]:
        exports = ", ".join(f"{form} {each['parent']:.2%}" for form, each in row["artifacts"].items())
        cells = [
            row["model"], row["recipe"], " -> ".join(f"{size}" for size in row["size_mb"]),
            " -> ".join(f"{count:,}" for count in row["pieces"]), f"{row['parent']['more']['same_tokens']:.1%}",
            f"{row['parent']['agreement']:.2%}", f"{row['root']['agreement']:.2%}", exports,
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    kills = found["kills"]
    taken, finished = (sum(len(kill["taken"]) for kill in kills), sum(kill["finished"] for kill in kills))
    return (
        "# Recipes on real checkpoints\n\n`python results/recipes.py`, "
        f"{found['machine']}. Answers to 500 texts of the test set (a language model: tokens of 41).\n\n"
        + "\n".join(rows)
        + "\n\nA recipe by hand run twice: "
        + ("the same files" if found["again"]["same files twice"] else "OTHER FILES")
        + "; the lineage of what came out as a recipe: "
        + ("the same files" if found["again"]["same files from the lineage"] else "OTHER FILES")
        + f".\n\nKilled {len(kills)} times at moments spread over five steps: {taken} of {finished} finished ones were "
        f"taken from where they lay, {sum(kill['ok'] for kill in kills)} of {len(kills)} ended in the same bytes.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
