"""The original as it is timed: the same work as every other runtime does."""

from pathlib import Path

import pytest
import torch
import transformers

from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.generate_torch import open_session
from mct.targets.runtimes.table import Executable

PROMPT = Tokens([5, 77, 120, 33, 250, 8], [0] * 6)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch") / "llama"
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_only_the_last_token_of_the_prompt_gets_logits(checkpoint: Path) -> None:
    session = open_session(Executable(checkpoint, "", "causal-lm", 0, 64), 1)
    rows: list[int] = []
    session.model.lm_head.register_forward_hook(lambda layer, given, logits: rows.append(logits.shape[1]))
    first = session.generate(PROMPT, 4)
    assert rows == [1, 1, 1, 1]
    assert int(session([PROMPT])["logits"][0, -1].argmax()) == first[0]
    assert rows[4] == len(PROMPT.ids)


def test_each_token_comes_as_it_is_found(checkpoint: Path) -> None:
    session = open_session(Executable(checkpoint, "", "causal-lm", 0, 64), 1)
    steps: list[int] = []
    session.model.register_forward_hook(lambda *_: steps.append(1))
    written = session.write(PROMPT, 4)
    assert steps == []
    first = next(written)
    assert len(steps) == 1
    assert [first, *written] == session.generate(PROMPT, 4)
