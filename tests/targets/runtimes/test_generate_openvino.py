"""A stateful OpenVINO language model continues a prompt as the original does, whatever was asked before."""

from pathlib import Path

import numpy as np
import pytest

from mct import MctError
from mct.compress.openvino import export_lm as export_openvino_lm
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable, Generator, open_session, original, runtime_for

TEXTS = ("Where is my order?", "I want to return volume 3, it arrived damaged", "hi", "注文 12345 はどこですか")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with random weights and a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=128, max_position_embeddings=128, initializer_range=0.2,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("lm") / "llama"
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def product(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Product:
    resources = Resources(inspect(checkpoint), None, probe_machine(), seed=0)
    return export_openvino_lm.run(Product(checkpoint, ""), tmp_path_factory.mktemp("openvino"), {}, resources)


@pytest.fixture(scope="module")
def ours(checkpoint: Path, product: Product) -> Generator:
    executable = Executable(product.folder, product.model, "causal-lm", 0, 128, product.settings)
    return open_session(runtime_for("openvino"), executable, 1)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def theirs(checkpoint: Path) -> Generator:
    return open_session(runtime_for("checkpoint"), original(inspect(checkpoint)), 1)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def inputs(checkpoint: Path) -> list[Tokens]:
    encode = open_tokenizer(checkpoint, 128)
    return [encode(text) for text in TEXTS]


def test_logits_of_every_token_are_the_originals(ours: Generator, theirs: Generator, inputs: list[Tokens]) -> None:
    for tokens in inputs:
        logits = ours([tokens])["logits"]
        assert logits.dtype == np.float32 and logits.shape[:2] == (1, len(tokens.ids))
        np.testing.assert_allclose(logits, theirs([tokens])["logits"], atol=1e-3)


def test_sixty_four_tokens_are_the_originals(ours: Generator, theirs: Generator, inputs: list[Tokens]) -> None:
    for tokens in inputs:
        assert ours.generate(tokens, 64) == theirs.generate(tokens, 64)


def test_nothing_of_one_prompt_is_left_for_the_next(ours: Generator, inputs: list[Tokens]) -> None:
    first = ours.generate(inputs[0], 8)
    kept = ours([inputs[1]])["logits"]
    ours.generate(inputs[2], 8)
    assert ours.generate(inputs[0], 8) == first
    np.testing.assert_array_equal(ours([inputs[1]])["logits"], kept)


def test_generation_ends_before_a_stop_token(ours: Generator, inputs: list[Tokens]) -> None:
    free = ours.generate(inputs[1], 16)
    stop = free[5]
    assert ours.generate(inputs[1], 16, frozenset({stop})) == free[: free.index(stop)]


def test_a_damaged_file_is_an_error_a_user_can_mend(product: Product, tmp_path: Path) -> None:
    (tmp_path / product.model).write_text("<net")
    with pytest.raises(MctError, match="openvino cannot open"):
        open_session(runtime_for("openvino"), Executable(tmp_path, product.model, "causal-lm", 0, 128, {}), 1)


def test_a_long_prompt_costs_the_logits_of_its_last_token_alone(ours: Generator, inputs: list[Tokens]) -> None:
    """As in every other runtime: the exporter's graph computes them of every token, which is timed along."""
    ours.generate(inputs[1], 1)
    request = ours.request  # type: ignore[attr-defined]
    assert len(inputs[1].ids) > 1
    assert tuple(request.get_tensor("logits").shape)[:2] == (1, 1)
    ours([inputs[1]])
    assert tuple(request.get_tensor("logits").shape)[:2] == (1, len(inputs[1].ids))
