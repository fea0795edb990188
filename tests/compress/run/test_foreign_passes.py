"""A pass of another package that fails, or hands back what no pass may: one line that names it, nothing left behind."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from mct import MctError
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import LINEAGE, Recipe, Step
from mct.compress.plan.table import passes
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tables import added_by_others

TEXTS = ("Where is my order?", "I want to return volume 3", "how long does shipping take")
PACKAGE = """
import json, shutil, sys
from pathlib import Path
from mct.compress.plan.passes import ENCODERS, START, Option, Pass, Product
from safetensors.torch import load_file, save_file


def copied(source, draft):
    for path in source.folder.iterdir():
        if path.is_file():
            shutil.copyfile(path, draft / path.name)
    return Product(draft, "")


def with_two_labels(source, draft):
    product = copied(source, draft)
    config = json.loads((draft / "config.json").read_text())
    (draft / "config.json").write_text(json.dumps(config | {"id2label": {"0": "yes", "1": "no"}, "label2id": None}))
    tensors = load_file(draft / "model.safetensors")
    cut = {name: tensors[name][:2].contiguous() for name in ("classifier.weight", "classifier.bias")}
    save_file({**tensors, **cut}, draft / "model.safetensors", metadata={"format": "pt"})
    return product


def into_its_source(source, draft):
    (source.folder / "notes.txt").write_text("mine")
    return copied(source, draft)


def exported(source, draft, **more):
    (draft / "model.onnx").write_bytes((source.folder / source.model).read_bytes())
    return Product(**{"folder": draft, "model": "model.onnx"} | more)


DOES = {
    "copies": copied,
    "raises": lambda source, draft: {}["nowhere"],
    "exits": lambda source, draft: sys.exit(1),
    "gives nothing": lambda source, draft: None,
    "gives another folder": lambda source, draft: Product(source.folder, ""),
    "removes its folder": lambda source, draft: (shutil.rmtree(draft), Product(draft, ""))[1],
    "gives notes that are no JSON": lambda source, draft: Product(draft, "", notes={"at": draft}),
    "gives infinite notes": lambda source, draft: Product(draft, "", notes={"loss": float("nan")}),
    "gives a list as notes": lambda source, draft: Product(draft, "", notes=["kept"]),
    "writes into its source": into_its_source,
    "has two labels": with_two_labels,
    "is refused": copied,
}
EXPORTS = {
    "exports": exported,
    "names no file": lambda source, draft: exported(source, draft, model="other.onnx"),
    "names a file elsewhere": lambda source, draft: exported(source, draft, model=str(source.folder / source.model)),
    "names a number": lambda source, draft: exported(source, draft, model=3),
    "has settings of its own": lambda source, draft: exported(source, draft, settings={"context": "long"}),
}


def run(source, draft, options, resources):
    return {**DOES, **EXPORTS}[options["what"]](source, draft)


def why_not(checkpoint, options):
    if options["what"] == "is refused":
        raise ValueError("cannot say why")
    return ""


WHAT = (Option("what", str, "what it does"),)
PASSES = (
    Pass("theirs", START, START, "theirs:run", ENCODERS, options=WHAT, why_not="theirs:why_not"),
    Pass("theirs-exact", START, START, "theirs:run", ENCODERS, options=WHAT, exact=True),
    Pass("theirs-onnx", "onnx-fp32", "onnx-theirs", "theirs:run", ENCODERS, options=WHAT),
    Pass("theirs-lost", START, START, "theirs:not_there", ENCODERS),
)
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installed as any other: a folder on the path, with metadata that names the entry point."""
    site = tmp_path / "site"
    about = site / "theirs-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "theirs.py").write_text(PACKAGE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "top_level.txt").write_text("theirs\n")
    (about / "entry_points.txt").write_text("[mct.passes]\nmine = theirs:PASSES\n")
    monkeypatch.syspath_prepend(site)
    added_by_others.cache_clear()
    yield
    added_by_others.cache_clear()
    sys.modules.pop("theirs", None)


@pytest.fixture
def checkpoint(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))


def made(checkpoint: Path, out: Path, recipe: Recipe, *formats: str) -> list[Path]:
    plan = make_plan(inspect(checkpoint), formats, [], recipe=recipe)
    texts_file = checkpoint.parent / "texts.jsonl"
    texts_file.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    resources, texts = gather(plan, None, texts_file, {}, 0)
    return execute(plan, resources, texts, out)


def does(what: str, name: str = "theirs") -> Recipe:
    return Recipe((Step(name, options={"what": what}),))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raises", r"theirs:run of theirs 1\.0 failed: KeyError: 'nowhere' \(theirs\.py:\d+\)"),
        ("exits", r"theirs:run of theirs 1\.0 failed: SystemExit: 1"),
        ("gives nothing", "the pass theirs gave NoneType and no Product"),
        ("gives another folder", "the pass theirs left its product in .*bert, and not in the folder"),
        ("removes its folder", "the pass theirs left its product in"),
        ("gives notes that are no JSON", "gave notes that cannot be written as JSON: Object of type PosixPath"),
        ("gives infinite notes", "gave notes that cannot be written as JSON: Out of range float"),
        ("gives a list as notes", "gave notes that are no mapping"),
        ("writes into its source", r"the pass theirs changed .*notes\.txt, which it was to read alone"),
        ("is refused", "theirs:why_not of theirs 1.0 failed: ValueError: cannot say why"),
    ],
)
def test_what_no_pass_may_do_is_one_line(what: str, said: str, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(MctError, match=said):
        made(checkpoint, tmp_path / "out", does(what), "checkpoint")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("names no file", r"the pass theirs-onnx left no file 'other\.onnx' in its folder"),
        ("names a file elsewhere", "the pass theirs-onnx left no file '/"),
        ("names a number", "the pass theirs-onnx left no file 3"),
        ("has settings of its own", "the pass theirs-onnx: settings: .*unknown field `context`"),
    ],
)
def test_what_no_export_may_be_is_one_line(what: str, said: str, checkpoint: Path, tmp_path: Path) -> None:
    recipe = Recipe((Step("export-onnx"), *does(what, "theirs-onnx").steps))
    with pytest.raises(MctError, match=said):
        made(checkpoint, tmp_path / "out", recipe)
    assert not (tmp_path / "out").exists()


def test_code_that_is_not_there_is_one_line(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(MctError, match=r"theirs:not_there cannot be loaded: .*has no attribute 'not_there'"):
        made(checkpoint, tmp_path / "out", Recipe((Step("theirs-lost"),)), "checkpoint")


def test_a_pass_may_change_the_labels_and_there_is_nothing_to_compare(checkpoint: Path, tmp_path: Path) -> None:
    folders = made(checkpoint, tmp_path / "out", does("has two labels"), "checkpoint", "onnx")
    assert inspect(folders[0]).labels == ("yes", "no")
    manifest = json.loads((folders[1] / "mct.json").read_text())
    assert manifest["labels"] == ["yes", "no"] and manifest["parity"]["agreement"] is not None
    assert manifest["lineage"][1]["parity"]["parent"] is None and "root" not in manifest["parity"]
    with pytest.raises(MctError, match="does not answer by as many values"):
        made(checkpoint, tmp_path / "exact", does("has two labels", "theirs-exact"), "checkpoint")


def test_what_a_pass_copies_of_mct_s_own_lists_is_left_out(checkpoint: Path, tmp_path: Path) -> None:
    """A checkpoint that a recipe left holds the list of its files: a copy of that would call the next one changed."""
    (first,) = made(checkpoint, tmp_path / "first", does("copies"), "checkpoint")
    weights = load_file(first / "model.safetensors")
    for out in (tmp_path / "second", tmp_path / "second"):  # the second time it is replaced
        (second,) = made(first, out, does("copies"), "checkpoint")
    assert load_file(second / "model.safetensors").keys() == weights.keys()
    assert [entry["step"] for entry in json.loads((second / LINEAGE).read_text())] == ["checkpoint", "theirs"]
    save_file(weights, second / "model.safetensors", metadata={"format": "other"})
    with pytest.raises(MctError, match="was changed since mct wrote it"):
        made(first, tmp_path / "second", does("copies"), "checkpoint")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('"mine", "onnx-fp32", "tflite-int8", "theirs:run", ENCODERS', "takes or gives 'tflite-int8'"),
        ('"mine", "onnx-fp32", "onnx", "theirs:run", ENCODERS', "takes or gives 'onnx'"),
        (
            '"mine", START, START, "theirs:run", ENCODERS, options=(Option("gives", str, "x"),)',
            "with an option 'gives'",
        ),
        *(
            (
                f'"mine", START, START, "theirs:run", ENCODERS, options=(Option("size", {theirs}, "x"),)',
                "with an option 'size' that no recipe file can tell",
            )
            for theirs in ("set[int]", "list[bytes]", "Pass", "'a word'", "dict[int, str]")
        ),
    ],
)
def test_a_row_that_no_recipe_could_use_is_refused(row: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "site" / "theirs.py").write_text(
        f"from mct.compress.plan.passes import ENCODERS, START, Option, Pass\nPASSES = Pass({row})\n"
    )
    with pytest.raises(MctError, match=said):
        passes()
