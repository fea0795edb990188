"""A checkpoint by torch, eager and compiled."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.runtimes.run_torch import open_session
from mct.targets.runtimes.table import original

TEXTS = ("where is my order", "hi", "returns please, the third volume arrived damaged")


def test_compiled_it_answers_as_eager_and_is_compiled_once_for_all_lengths(tiny_bert: Path) -> None:
    """By the backend that traces and generates no code: torch's own takes half a minute of a C++ compiler."""
    executable = original(inspect(tiny_bert))
    tokenize = open_tokenizer(tiny_bert, executable.max_tokens)
    eager = open_session(executable, 1)
    torch._dynamo.reset()
    session = open_session(replace(executable, settings={"compile": "eager"}), 1)
    graphs = []
    for text in TEXTS:
        tokens = tokenize(text)
        np.testing.assert_allclose(session([tokens])["logits"], eager([tokens])["logits"], atol=1e-5)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs == [1, 1, 1]
