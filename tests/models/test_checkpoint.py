"""A folder is understood from its headers alone, and refused when it is broken or could run code."""

import json
import shutil
from pathlib import Path

import pytest

from mct import MctError
from mct.models.checkpoint import inspect


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))


def test_inspect_says_what_a_folder_is(folder: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    found = inspect(folder)
    assert (found.task, found.model_type, found.max_tokens) == ("sequence-classification", "bert", 64)
    assert found.labels == ("order_tracking", "returns", "other")
    assert found.parameters == AutoModelForSequenceClassification.from_pretrained(folder).num_parameters()


def test_a_truncated_weight_file_is_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(MctError, match="truncated"):
        inspect(folder)


@pytest.mark.parametrize("start", [b"", b"\x00" * 4, b"\xff" * 8, b"\x04\x00\x00\x00\x00\x00\x00\x00nope"])
def test_a_damaged_header_is_refused(folder: Path, start: bytes) -> None:
    (folder / "model.safetensors").write_bytes(start)
    with pytest.raises(MctError, match="damaged"):
        inspect(folder)


def test_a_pickle_only_checkpoint_is_refused_with_the_command_that_converts_it(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(MctError, match="pickle") as refused:
        inspect(folder)
    assert "save_pretrained" in refused.value.hint


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="does not exist"):
        inspect(tmp_path / "nowhere")
    with pytest.raises(MctError, match="no checkpoint"):
        inspect(tmp_path)


def test_an_architecture_without_a_task_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["ViTForImageClassification"]}))
    with pytest.raises(MctError, match="ViTForImageClassification"):
        inspect(folder)
