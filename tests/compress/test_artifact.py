"""An artifact is trusted only when every byte is the one that was written."""

import json
from pathlib import Path

import pytest

from mct import MctError
from mct.compress.artifact import MANIFEST, Artifact, read_artifact, seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    artifact = Artifact(
        format="onnx", precision="int8", runtime="onnxruntime", task="sequence-classification", labels=("a", "b"),
        technique="full fine-tuning", max_tokens=64, model="onnx/model.onnx", settings={}, lineage=({"step": "x"},),
        parity={}, checked_on={},
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


def test_a_path_that_leaves_the_folder_is_refused(folder: Path) -> None:
    value = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(value | {"files": {"../secret": "00"}}))
    with pytest.raises(MctError, match="outside"):
        read_artifact(folder)


@pytest.mark.parametrize("change", [{"schema": 99}, {"unheard_of": 1}])
def test_another_schema_is_refused(folder: Path, change: dict[str, int]) -> None:
    value = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(value | change))
    with pytest.raises(MctError, match=r"schema|incomplete"):
        read_artifact(folder)


def test_a_folder_without_a_manifest_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="no artifact"):
        read_artifact(tmp_path)
    with pytest.raises(MctError, match="does not exist"):
        read_artifact(tmp_path / "nowhere")
