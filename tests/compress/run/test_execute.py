"""From a checkpoint to artifacts, through every pass the table has, with the real runtimes."""

import functools
import hashlib
import itertools
import json
import os
import resource
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mct import MctError
from mct.cli import commands
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tables import load
from mct.targets.machine import probe_machine

Limit = Callable[[int], AbstractContextManager[None]]
DATA = Path(__file__).parents[1].joinpath("messages.csv")


def make(checkpoint: Path, out: Path, formats: list[str], precisions: list[str]) -> list[Path]:
    plan = make_plan(inspect(checkpoint), formats, precisions)
    resources, texts = gather(plan, DATA, DATA.with_name("messages_eval.csv"), {}, seed=0)
    return execute(plan, resources, texts, out)


@pytest.mark.parametrize(
    ("form", "agreement", "delta"),
    [
        ("onnx-fp32", 1.0, 1e-3), ("openvino-fp32", 1.0, 1e-3), ("gguf-f32", 1.0, 1e-2),
        ("onnx-int8", 0.6, 10), ("openvino-int8", 0.6, 10), ("gguf-f16", 0.9, 0.1), ("gguf-q8_0", 0.6, 10),
    ],
)  # fmt: skip
def test_every_form_is_made_and_checked(
    artifacts: Mapping[str, Path], form: str, agreement: float, delta: float
) -> None:
    artifact = read_artifact(artifacts[form])
    assert artifact.name == form
    assert artifact.labels == ("order_tracking", "returns", "other")
    assert artifact.parity["agreement"] >= agreement
    assert 0 < artifact.parity["max_abs_delta"] <= delta
    assert {"config.json", "tokenizer.json", artifact.model} <= set(artifact.files)
    assert artifact.lineage[0]["architecture"] == "BertForSequenceClassification"


@pytest.fixture(scope="module")
def artifacts(tiny_bert: Path, hub_cache: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every form of one model, the last of them made from where the hub's library keeps it."""
    out = tmp_path_factory.mktemp("artifacts")
    folders = make(tiny_bert, out, ["onnx", "openvino", "gguf"], ["fp32", "int8"])
    folders += make(hub_cache.snapshot, out, ["gguf"], ["f16"])
    assert sorted(path.name for path in out.iterdir()) == sorted(folder.name for folder in folders)
    return {folder.name: folder for folder in folders}


def test_what_came_from_the_hub_names_its_commit(artifacts: Mapping[str, Path], hub_cache: Any) -> None:
    named, unnamed = (read_artifact(artifacts[form]).lineage[0] for form in ("gguf-f16", "gguf-f32"))
    assert (named["hub"], named["revision"]) == ("org/bert", hub_cache.commit)
    assert not {"hub", "revision"} & set(unnamed)
    assert not any(path.is_symlink() for path in artifacts["gguf-f16"].rglob("*"))


def test_inspect_says_what_an_artifact_is(artifacts: Mapping[str, Path]) -> None:
    done = CliRunner().invoke(commands, ["models", "inspect", str(artifacts["onnx-int8"])])
    assert done.exit_code == 0, done.output
    facts = dict(line.split(maxsplit=1) for line in done.output.replace("made ", "made-").splitlines())
    assert (facts["format"], facts["precision"]) == ("onnx, run by onnxruntime", "int8")
    assert (facts["task"], facts["technique"]) == ("sequence-classification", "full")
    assert facts["labels"] == "3: order_tracking, returns, other"
    assert facts["made-by"] == "export-onnx, quantise-onnx"
    assert facts["made-for"].startswith(probe_machine().cpu)
    assert "same answers on" in facts["parity"] and facts["size"].endswith("MB")
    values = json.loads(
        CliRunner().invoke(commands, ["models", "inspect", str(artifacts["gguf-f16"]), "--json"]).output
    )
    assert (values["format"], values["precision"], values["lineage"][0]["hub"]) == ("gguf", "f16", "org/bert")


def test_the_same_input_gives_the_same_bytes(tiny_bert: Path, artifacts: Mapping[str, Path], tmp_path: Path) -> None:
    for folder in make(tiny_bert, tmp_path, ["onnx", "openvino", "gguf"], ["int8"]):
        assert read_artifact(folder).files == read_artifact(artifacts[folder.name]).files


def broken(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """An export that moves one weight: the kind of mistake that parity is there to find."""
    import onnx
    from onnx import numpy_helper

    from mct.compress.onnx.export_encoder import run

    product = run(source, draft, options, resources)
    model = onnx.load(draft / product.model)
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = numpy_helper.to_array(weight).copy()
    values.flat[:: values.size // 50] += 0.5
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, draft / product.model)
    return product


def test_an_export_that_is_another_model_is_refused(tiny_bert: Path, tmp_path: Path, monkeypatch: Any) -> None:
    plan = make_plan(inspect(tiny_bert), ["onnx"], ["fp32"])
    resources, texts = gather(plan, DATA, None, {}, seed=0)
    monkeypatch.setattr("mct.compress.run.execute.load", _load_broken)
    with pytest.raises(MctError, match="not the same model"):
        execute(plan, resources, texts, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _load_broken(reference: str, extra: str = "") -> Any:
    return broken if reference.endswith("onnx.export_encoder:run") else load(reference, extra)


def wrapped(monkeypatch: pytest.MonkeyPatch, around: Callable[..., Callable[..., Product]]) -> None:
    """Have every pass of `execute` called through `around(its function)`."""
    from mct.models.tables import load

    def loaded(reference: str, extra: str = "") -> Any:
        found = load(reference, extra)
        return around(found) if reference.endswith(":run") else found

    monkeypatch.setattr("mct.compress.run.execute.load", loaded)


@pytest.mark.parametrize("theirs", ["notes.txt", "config.json"])
def test_what_somebody_put_into_an_artifact_is_refused_before_any_work(
    tiny_bert: Path, artifacts: Mapping[str, Path], tmp_path: Path, theirs: str
) -> None:
    out = Path(shutil.copytree(artifacts["onnx-int8"], tmp_path / "out" / "onnx-int8")).parent
    (out / "onnx-int8" / theirs).write_text("mine")
    stages: list[str] = []
    plan = make_plan(inspect(tiny_bert), ["gguf", "onnx"], ["int8"])
    resources, texts = gather(plan, DATA, None, {}, seed=0)
    with pytest.raises(MctError, match=theirs):
        execute(plan, resources, texts, out, lambda stage, share: stages.append(stage))
    assert not stages
    assert (out / "onnx-int8" / theirs).read_text() == "mine"
    assert [path.name for path in out.iterdir()] == ["onnx-int8"]


def test_what_lies_beside_the_artifacts_stays(tiny_bert: Path, artifacts: Mapping[str, Path], tmp_path: Path) -> None:
    shutil.copytree(artifacts["onnx-int8"], tmp_path / "onnx-int8")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".passes.abc12345.mct-draft" / "onnx-fp32").mkdir(parents=True)
    make(tiny_bert, tmp_path, ["onnx"], ["int8"])
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "onnx-int8"}


def test_two_at_once_in_one_folder_leave_one_another_alone(
    tiny_bert: Path, artifacts: Mapping[str, Path], tmp_path: Path
) -> None:
    """A whole second run while the first is at work: both come to their end, and what is there is whole."""
    stages: list[str] = []

    def run_another(stage: str, share: float) -> None:
        stages.append(stage)
        if stage == "onnx-int8: quantise-onnx":
            make(tiny_bert, tmp_path, ["onnx"], ["int8"])

    plan = make_plan(inspect(tiny_bert), ["onnx"], ["int8"])
    resources, texts = gather(plan, DATA, DATA.with_name("messages_eval.csv"), {}, seed=0)
    execute(plan, resources, texts, tmp_path, run_another)
    assert "onnx-int8: quantise-onnx" in stages
    assert read_artifact(tmp_path / "onnx-int8").files == read_artifact(artifacts["onnx-int8"]).files
    assert [path.name for path in tmp_path.iterdir()] == ["onnx-int8"]


def test_artifacts_are_not_copies_and_share_nothing_in_the_end(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second copy of a large model is time and disk for nothing; two artifacts of one file would change together."""
    made: set[int] = set()

    def noting(run: Callable[..., Product]) -> Callable[..., Product]:
        def noted(*given: Any) -> Product:
            product = run(*given)
            made.update(file.stat().st_ino for file in product.folder.rglob("*") if file.is_file())
            return product

        return noted

    wrapped(monkeypatch, noting)
    models = [next(folder.rglob("*.onnx")) for folder in make(tiny_bert, tmp_path, ["onnx"], ["fp32", "int8"])]
    assert {model.stat().st_ino for model in models} <= made
    assert [model.stat().st_nlink for model in models] == [1, 1]


def test_where_files_cannot_have_two_names_they_are_copied(
    tiny_bert: Path, artifacts: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError(1, "Operation not permitted", source)

    monkeypatch.setattr(os, "link", refuse)
    (folder,) = make(tiny_bert, tmp_path, ["onnx"], ["int8"])
    assert read_artifact(folder).files == read_artifact(artifacts["onnx-int8"]).files


@pytest.mark.parametrize("form", ["onnx-int8", "openvino-int8", "gguf-q8_0"])
@pytest.mark.parametrize("passed", [0, 1], ids=["at the export", "at the quantiser"])
def test_a_full_disk_keeps_what_was_there(
    tiny_bert: Path, artifacts: Mapping[str, Path], tmp_path: Path, monkeypatch: Any, files_of_at_most: Limit,
    form: str, passed: int,
) -> None:  # fmt: skip
    """As a limit on the size of files brings it about, once so many passes are through."""
    old = Path(shutil.copytree(artifacts[form], tmp_path / form))
    runs = itertools.count()

    def limited(run: Callable[..., Product]) -> Callable[..., Product]:
        def run_limited(*given: Any) -> Product:
            with files_of_at_most(20_000 if next(runs) >= passed else resource.RLIM_INFINITY):
                return run(*given)

        return run_limited

    wrapped(monkeypatch, limited)
    with pytest.raises(MctError, match=r"File too large|No space left"):
        make(tiny_bert, tmp_path, [form.partition("-")[0]], ["int8"])
    assert read_artifact(old).name == form
    assert list(tmp_path.iterdir()) == [old]


def test_calibration_without_texts_is_refused(tiny_bert: Path) -> None:
    plan = make_plan(inspect(tiny_bert), ["openvino"], ["int8"])
    with pytest.raises(MctError, match="none were given"):
        gather(plan, None, None, {}, seed=0)


def test_calibration_never_sees_an_evaluation_text(tiny_bert: Path) -> None:
    plan = make_plan(inspect(tiny_bert), ["openvino"], ["int8"])
    with pytest.raises(MctError, match=r"also a row of messages\.csv"):
        gather(plan, DATA, DATA, {}, seed=0)
    resources, texts = gather(plan, DATA, DATA.with_name("messages_eval.csv"), {}, seed=0)
    assert resources.calibration is not None
    assert not set(resources.calibration.column("text")) & set(texts.requests)


def test_shared_passes_run_once(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four artifacts of one export: four passes, where each artifact alone would take one, two, two and three."""
    ran: list[str] = []

    def loaded(reference: str, extra: str = "") -> Callable[..., Any]:
        function = load(reference, extra)

        @functools.wraps(function)
        def counted(*words: Any) -> Any:
            if words and isinstance(words[0], Product):
                ran.append(reference.removeprefix("mct.compress."))
            return function(*words)

        return counted

    monkeypatch.setattr("mct.compress.run.execute.load", loaded)
    folders = make(tiny_bert, tmp_path, ["onnx", "openvino"], ["fp32", "int8"])
    assert [folder.name for folder in folders] == ["onnx-fp32", "onnx-int8", "openvino-fp32", "openvino-int8"]
    assert ran == [
        "onnx.export_encoder:run", "onnx.quantise:run", "openvino.export:run", "openvino.quantise:run",
    ]  # fmt: skip


def test_an_artifact_says_what_it_was_checked_on(artifacts: Mapping[str, Path]) -> None:
    texts = read_artifact(artifacts["onnx-int8"]).parity["texts"]
    content = DATA.with_name("messages_eval.csv").read_bytes()
    assert texts == {
        "name": "messages_eval.csv", "sha256": hashlib.sha256(content).hexdigest(), "rows": 15, "left_out": 0,
        "held_out": False,
    }  # fmt: skip
