"""Several heads on one backbone: written and read as one folder, each head from the token it is meant to read."""

from pathlib import Path

import pytest
import torch

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_module, outputs_of
from mct.models.checkpoints.load_heads import save_heads
from mct.models.tasks.table import Head

HEADS = (
    Head("label", "label", ("returns", "other")),
    Head("topics", "labels", ("price", "time", "age")),
    Head("slots", "tags", ("O", "B-title", "I-title", "B-volume")),
)
INPUTS = {
    "input_ids": torch.tensor([[2, 9, 8, 3], [2, 7, 3, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    "token_type_ids": torch.zeros((2, 4), dtype=torch.int64),
}


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    from transformers import AutoModel, AutoTokenizer

    torch.manual_seed(0)
    AutoModel.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    save_heads(tmp_path, HEADS, {head.name: torch.nn.Linear(64, len(head.labels)) for head in HEADS})
    return tmp_path


def test_what_was_saved_is_what_is_read(folder: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModel

    checkpoint = inspect(folder)
    assert (checkpoint.task, checkpoint.heads, checkpoint.labels) == ("multi-head", HEADS, ())
    found = outputs_of(load_module(checkpoint), INPUTS)
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(**INPUTS).last_hidden_state
    weights = load_file(folder / "heads.safetensors")
    for head in HEADS:
        logits = hidden @ weights[f"{head.name}.weight"].T + weights[f"{head.name}.bias"]
        expected = logits if head.kind == "tags" else logits[:, 0]
        torch.testing.assert_close(found[f"{head.name}_logits"], expected, atol=1e-5, rtol=0)


def test_heads_that_do_not_fit_their_weights_are_refused(folder: Path) -> None:
    save_heads(folder, HEADS, {head.name: torch.nn.Linear(32, len(head.labels)) for head in HEADS})
    with pytest.raises(MctError, match="no layer of 2 x 64 for the head 'label'"):
        load_module(inspect(folder))
    (folder / "heads.safetensors").write_bytes(b"short")
    with pytest.raises(MctError, match="damaged"):
        load_module(inspect(folder))
