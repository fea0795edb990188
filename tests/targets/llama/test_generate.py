from pathlib import Path

import llama_cpp
import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from mct import MctError
from mct.compress.gguf import export_decoder as export_gguf_lm
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import Tokens
from mct.targets.llama import context
from mct.targets.llama.generate import open_session
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable, original, runtime_for
from mct.targets.runtimes.table import open_session as open_any

LONGEST = 640
PROMPT = Tokens([3, 10, 40, 21, 8], [0] * 5)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers that takes more tokens than one step of the session."""
    folder = tmp_path_factory.mktemp("llama")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        ["manga manga order orders"], trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=["</s>"])
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=64, max_position_embeddings=LONGEST, initializer_range=0.2,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Executable:
    resources = Resources(inspect(checkpoint), None, probe_machine(), 0)
    product = export_gguf_lm.run(Product(checkpoint, ""), tmp_path_factory.mktemp("gguf"), {}, resources)
    return Executable(product.folder, product.model, "causal-lm", 0, LONGEST, product.settings)


def test_the_table_opens_it_and_every_position_has_logits(checkpoint: Path, model: Executable) -> None:
    """600 tokens: more than the session runs at once, and more than its first context holds."""
    ids = np.random.default_rng(0).integers(1, 250, size=600).tolist()
    tokens = Tokens(ids, [0] * 600)
    found = open_any(runtime_for("gguf"), model, 1)([tokens])["logits"]
    expected = open_any(runtime_for("checkpoint"), original(inspect(checkpoint)), 1)([tokens])["logits"]
    assert found.shape == expected.shape == (1, 600, expected.shape[2])
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-3


def test_text_goes_on_as_the_original_does(checkpoint: Path, model: Executable) -> None:
    ids = open_any(runtime_for("checkpoint"), original(inspect(checkpoint)), 1).generate(PROMPT, 64)  # type: ignore[attr-defined]
    session = open_session(model, 1)
    assert session.generate(PROMPT, 64) == ids
    assert session.generate(PROMPT, 7) == ids[:7]
    stop = ids[5]
    assert session.generate(PROMPT, 64, frozenset({stop})) == ids[: ids.index(stop)]


def test_calls_do_not_remember_one_another(model: Executable) -> None:
    session = open_session(model, 1)
    before = session([PROMPT])["logits"]
    session.generate(Tokens([9] * 30, [0] * 30), 10)
    assert np.array_equal(session([PROMPT])["logits"], before)


def test_a_context_is_no_longer_than_needed(model: Executable) -> None:
    session = open_session(model, 1)
    session([PROMPT])
    assert session.contexts.capacity == context.SMALLEST
    session([Tokens([7] * 513, [0] * 513)])
    assert session.contexts.capacity == LONGEST


def test_a_smaller_cache_stays_near(model: Executable) -> None:
    full = open_session(model, 1)([PROMPT])["logits"]
    small = open_session(Executable(model.folder, model.model, model.task, 0, LONGEST, {"cache": "f16"}), 1)
    assert 0 < np.abs(small([PROMPT])["logits"] - full).max() < 0.05


def test_too_long_inputs_are_refused_and_the_session_goes_on(model: Executable) -> None:
    session = open_session(model, 1)
    with pytest.raises(MctError, match="641 tokens; this model takes 1 to 640"):
        session([Tokens([7] * 641, [0] * 641)])
    with pytest.raises(MctError, match="0 tokens"):
        session([Tokens([], [])])
    with pytest.raises(MctError, match="641 tokens"):
        session.generate(Tokens([7] * 600, [0] * 600), 41)
    with pytest.raises(MctError, match=r"llama\.cpp refused an input of 2 tokens: "):
        session([Tokens([1, 100_000], [0, 0])])
    assert np.isfinite(session([PROMPT])["logits"]).all()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused_with_the_reason(model: Executable, kept: float, tmp_path: Path) -> None:
    whole = (model.folder / model.model).read_bytes()
    (tmp_path / "model.gguf").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(MctError, match=r"llama\.cpp cannot load .*model\.gguf: "):
        open_session(Executable(tmp_path, "model.gguf", model.task, 0, LONGEST), 1)


def test_what_a_context_held_is_forgotten_and_not_wiped(model: Executable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wiping writes to the whole cache, inside the time of every request."""
    wiped: list[bool] = []
    forget = llama_cpp.llama_memory_clear

    def clear(memory: object, data: bool) -> None:
        wiped.append(data)
        forget(memory, data)

    monkeypatch.setattr(llama_cpp, "llama_memory_clear", clear)
    session = open_session(model, 1)
    session.generate(PROMPT, 2)
    assert wiped == [False]
