"""ONNX language models by ONNX Runtime: the cache in one buffer gives what the whole text at once gives."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from mct import MctError
from mct.compress.onnx import export_decoder as export_onnx_lm
from mct.compress.onnx import quantise_decoder as quantise_onnx_lm
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import Tokens
from mct.targets.machine import probe_machine
from mct.targets.runtimes.generate_onnxruntime import open_session
from mct.targets.runtimes.table import Executable

POSITIONS = 96


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Executable]:
    """A tiny Llama with random weights, in fp32 and in 4 bits."""
    root = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=POSITIONS, initializer_range=0.2,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(root / "checkpoint")
    checkpoint = inspect(root / "checkpoint")
    resources = Resources(checkpoint, None, probe_machine(), seed=0)
    fp32 = export_onnx_lm.run(Product(checkpoint.path, ""), root / "fp32", {}, resources)
    int4 = quantise_onnx_lm.run(fp32, root / "int4", {"bits": 4}, resources)
    return {
        name: Executable(product.folder, product.model, checkpoint.task, 0, checkpoint.max_tokens, product.settings)
        for name, product in (("fp32", fp32), ("int4", int4))
    }


def _tokens(ids: list[int]) -> Tokens:
    return Tokens(ids, [0] * len(ids))


PROMPT = _tokens([5, 77, 120, 33, 250, 8])


@pytest.mark.parametrize("form", ["fp32", "int4"])
def test_each_generated_token_is_the_likeliest_after_the_text_before_it(
    decoders: dict[str, Executable], form: str
) -> None:
    session = open_session(decoders[form], 1)
    found = session.generate(PROMPT, 40)
    text = PROMPT.ids + found
    logits = session([_tokens(text)])["logits"]
    assert logits.shape == (1, len(text), 300)
    assert logits.dtype == np.float32
    rows = logits[0, len(PROMPT.ids) - 1 : -1]
    assert len(found) == 40
    # 4-bit products round a row of several tokens a little differently: a near tie may fall the other way.
    margin = rows.max(axis=1) - rows[np.arange(40), found]
    assert margin.max() <= (1e-4 if form == "fp32" else 0.5)
    assert (margin == 0).mean() >= (1.0 if form == "fp32" else 0.8)


def test_a_text_ends_before_a_stop_token_and_the_session_can_be_used_again(decoders: dict[str, Executable]) -> None:
    session = open_session(decoders["fp32"], 1)
    found = session.generate(PROMPT, 20)
    first = next(place for place, token in enumerate(found) if place >= 5 and token not in found[:place])
    assert session.generate(PROMPT, 20, frozenset({found[first]})) == found[:first]
    assert session.generate(PROMPT, 7) == found[:7]
    assert session.generate(PROMPT, 0) == []


def test_a_text_ends_where_the_model_has_no_more_positions(decoders: dict[str, Executable]) -> None:
    session = open_session(decoders["fp32"], 1)
    assert len(session.generate(PROMPT, 500)) == POSITIONS - len(PROMPT.ids) + 1
    assert len(session.generate(_tokens([5] * POSITIONS), 500)) == 1


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(MctError, match="onnxruntime cannot open"):
        open_session(Executable(tmp_path, "model.onnx", "causal-lm", 0, 16), 1)


def test_the_cache_is_made_once_and_anew_only_for_a_longer_text(decoders: dict[str, Executable]) -> None:
    """Making and wiping it would else be timed with every request, which no other runtime's is."""
    session = open_session(decoders["fp32"], 1)
    session.generate(PROMPT, 4)
    first = dict(session.bound)
    short = session.generate(_tokens([9, 8, 7]), 4)
    assert session.bound == first and list(first) == [64]
    session.generate(_tokens([5] * 70), 4)
    assert list(session.bound) == [POSITIONS]
    assert session.generate(_tokens([9, 8, 7]), 4) == short
