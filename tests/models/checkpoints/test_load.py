"""A checkpoint is loaded whole or refused: weights that are missing are never drawn at random."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_model, load_module, outputs_of


def _without(folder: Path, copy: Path, *names: str) -> Path:
    shutil.copytree(folder, copy)
    weights = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in weights.items() if name not in names}, copy / "model.safetensors")
    return copy


def test_a_classifier_without_its_last_layer_is_refused_and_the_layer_named(tiny_bert: Path, tmp_path: Path) -> None:
    broken = _without(tiny_bert, tmp_path / "broken", "classifier.weight", "classifier.bias")
    with pytest.raises(MctError, match=r"lacks 2 of its weights: classifier\.bias, classifier\.weight"):
        load_module(inspect(broken))


def test_an_embedder_needs_no_pooler(tiny_bert: Path, tmp_path: Path) -> None:
    unused = ("bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias")
    folder = _without(tiny_bert, tmp_path / "embedder", *unused)
    (folder / "modules.json").write_text('[{"path": "", "type": "m.Transformer"}, {"path": "", "type": "m.Pooling"}]')
    checkpoint = inspect(folder)
    assert checkpoint.task == "sentence-embedding"
    assert load_model(checkpoint).config.hidden_size == 64


@pytest.mark.parametrize("name", ["kernels-community/flash-attn", "flash_attention_2", "eager", "sdpa"])
def test_an_attention_kernel_that_the_folder_names_is_not_asked_for(tiny_bert: Path, tmp_path: Path, name: str) -> None:
    """transformers would fetch it from the hub and run it, whatever `trust_remote_code` says."""
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "bert"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attn_implementation": name}))
    assert load_model(inspect(folder)).config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    "said",
    [
        {"output_attentions": True, "output_hidden_states": True}, {"return_dict": False},
        {"chunk_size_feed_forward": 7}, {"pad_token_id": -1},
    ],
)  # fmt: skip
def test_what_a_folder_says_of_how_it_is_called_changes_no_answer(
    tiny_bert: Path, tmp_path: Path, said: dict[str, object]
) -> None:
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "bert"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | said))
    inputs = {"input_ids": torch.arange(10).reshape(1, 10), "attention_mask": torch.ones(1, 10, dtype=torch.int64)}
    answers = [outputs_of(load_module(inspect(each)), inputs)["logits"] for each in (tiny_bert, folder)]
    assert torch.equal(*answers)
