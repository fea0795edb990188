"""An artifact is trusted only when every byte is the one that was written."""

import json
import os
from pathlib import Path

import pytest

from mct import MctError
from mct.compress.plan.recipe import LINEAGE, read_recipe
from mct.compress.run.artifact import MANIFEST, Artifact, check_lineage, read_artifact, seal
from mct.compress.run.describe import describe_artifact
from mct.models.tasks.table import Head


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    artifact = Artifact(
        format="onnx", precision="int8", runtime="onnxruntime", task="sequence-classification", labels=("a", "b"),
        technique="full fine-tuning", max_tokens=64, model="onnx/model.onnx", settings={}, lineage=({"step": "x"},),
        parity={}, checked_on={}, heads=(Head("logits", "label", ("a", "b")),),
    )  # fmt: skip
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    assert seal(artifact, tmp_path) == read_artifact(tmp_path)
    return tmp_path


def test_a_changed_byte_is_found(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").write_bytes(b"weightz")
    with pytest.raises(MctError, match="has changed"):
        read_artifact(folder)


def test_a_missing_file_is_found(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(MctError, match=r"lacks config\.json"):
        read_artifact(folder)


def change(folder: Path, **changes: object) -> None:
    """Fields of the manifest set, or taken out where the value is ...."""
    found = json.loads((folder / MANIFEST).read_text()) | changes
    (folder / MANIFEST).write_text(json.dumps({key: value for key, value in found.items() if value is not ...}))


HEAD = {"name": "logits", "kind": "label", "labels": ["a", "b"]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 99}, "schema 99"),
        ({"unheard_of": 1}, "unknown name .* 'unheard_of'"),
        ({"labels": ...}, "is null, expected a list|missing required field"),
        ({"files": {"../secret": "0" * 64}}, "names a file outside its folder"),
        ({"files": {"/etc/hostname": "0" * 64}}, "names a file outside its folder"),
        ({"files": {"onnx/model.onnx": "00"}}, "matching regex"),
        ({"files": {}}, r"holds config\.json, which its mct\.json does not list"),
        ({"model": "/etc/hostname"}, "needs '/etc/hostname', which is not among its files"),
        ({"model": "../../x.onnx"}, "needs '../../x.onnx', which is not among its files"),
        ({"model": "onnx/../onnx/model.onnx"}, "which is not among its files"),
        ({"model": ""}, "Expected `str` of length >= 1"),
        ({"model": ["onnx/model.onnx"]}, "is a list, expected a text"),
        ({"format": "onx"}, "unknown format 'onx'"),
        ({"format": "checkpoint", "runtime": "torch"}, "is not run by 'torch'"),
        ({"runtime": "llama.cpp"}, "onnx is not run by 'llama.cpp'"),
        ({"task": "guessing"}, "unknown task 'guessing'"),
        ({"task": "pair-scoring"}, "does not answer by the heads logits"),
        ({"task": "multi-head", "heads": []}, "does not answer by the heads none"),
        ({"heads": [HEAD, HEAD], "task": "multi-head", "labels": []}, "does not answer by the heads logits, logits"),
        ({"heads": [HEAD | {"kind": "tags"}]}, "does not answer by the heads logits"),
        ({"heads": [HEAD | {"kind": "guess"}]}, "Invalid enum value 'guess'"),
        ({"heads": [HEAD | {"labels": ["a", "c"]}]}, "its labels are not those of its head"),
        ({"heads": [HEAD | {"labels": ["a", "a"]}], "labels": ["a", "a"]}, "the label 'a' twice"),
        ({"labels": ["a", "b", "c"]}, "its labels are not those of its head"),
        ({"labels": "ab"}, r"`\$\.labels` is a text, expected a list"),
        ({"max_tokens": "many"}, r"`\$\.max_tokens` is a text, expected a whole number"),
        ({"max_tokens": 0}, ">= 1"),
        ({"settings": {"pad_id": "zero"}}, r"settings: `\$\.pad_id` is a text, expected a whole number"),
        ({"settings": {"pad_id": -1}}, ">= 0"),
        ({"settings": {"execute": "rm"}}, "unknown field `execute`"),
        ({"settings": [1]}, "is a list, expected an object"),
        ({"lineage": ["step"]}, r"`\$\.lineage\[0\]` is a text, expected an object"),
        ({"lineage": [{}]}, r"lineage\[0\]: `\$`: Object missing required field `step`"),
        ({"parity": {"inputs": 5, "agreement": "all", "max_abs_delta": 0}}, r"`\$\.agreement` is a text"),
        ({"made_for": {"cpu": 5}}, r"`\$\.cpu` is a whole number, expected a text"),
    ],
)
def test_a_manifest_that_does_not_go_together_is_refused(folder: Path, changes: dict[str, object], says: str) -> None:
    change(folder, **changes)
    with pytest.raises(MctError, match=says):
        read_artifact(folder)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "openvino", "runtime": "openvino"}, "needs 'onnx/model.bin', which is not among its files"),
        ({"format": "gguf", "runtime": "llama.cpp", "settings": {"head": "../head.safetensors"}}, "head.safetensors"),
    ],
)
def test_what_a_runtime_opens_beside_the_model_is_among_the_files(
    folder: Path, changes: dict[str, object], says: str
) -> None:
    change(folder, **changes)
    with pytest.raises(MctError, match=says):
        read_artifact(folder)


def test_a_file_that_nobody_listed_is_refused_by_its_name(folder: Path) -> None:
    (folder / "onnx" / "notes.txt").write_text("not sealed")
    with pytest.raises(MctError, match=r"holds onnx/notes\.txt, which its mct\.json does not list"):
        read_artifact(folder)


def test_a_link_out_of_an_artifact_is_refused_though_its_hash_is_right(folder: Path, tmp_path: Path) -> None:
    model = folder / "onnx" / "model.onnx"
    outside = tmp_path.with_name(f"{tmp_path.name}-outside")
    model.rename(outside)
    model.symlink_to(outside)
    with pytest.raises(MctError, match="leads out of its folder"):
        read_artifact(folder)


def test_a_pipe_in_an_artifact_is_not_waited_for(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(MctError, match="is a pipe"):
        read_artifact(folder)


def test_a_folder_without_a_manifest_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="no artifact"):
        read_artifact(tmp_path)
    with pytest.raises(MctError, match="does not exist"):
        read_artifact(tmp_path / "nowhere")


def test_a_manifest_may_leave_out_where_its_checkpoint_came_from(folder: Path) -> None:
    manifest = json.loads((folder / "mct.json").read_text())
    manifest["lineage"] = [{"step": "checkpoint"}]
    (folder / "mct.json").write_text(json.dumps(manifest))
    assert describe_artifact(read_artifact(folder), folder)["made from"].endswith("weights ?")


@pytest.mark.parametrize("parity", [{"texts": "these"}, {"texts": {"name": 1}}, "good"])
def test_a_checkpoint_s_lineage_that_says_nonsense_is_refused(parity: object, tmp_path: Path) -> None:
    said = [{"step": "checkpoint", "seed": 0}, {"step": "drop-layers", "options": {"keep": [0]}, "parity": parity}]
    (tmp_path / LINEAGE).write_text(json.dumps(said))
    with pytest.raises(MctError, match=r"mct-lineage\.json\[1\]"):
        check_lineage(json.loads((tmp_path / LINEAGE).read_text()), str(tmp_path / LINEAGE))


def test_a_lineage_that_is_a_link_elsewhere_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[]")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / LINEAGE).symlink_to(tmp_path / "other.json")
    with pytest.raises(MctError, match="a link that leads out of its folder"):
        read_recipe(tmp_path / "made")
