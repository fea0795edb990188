"""A causal language model of Hugging Face by torch, eager and fp32: the original that artifacts are held against."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from mct.models.checkpoints import checkpoint
from mct.models.checkpoints.load import load_model
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.table import Executable


@dataclass(frozen=True)
class _Generator:
    """The loaded model, answering one input at a time."""

    model: PreTrainedModel

    def __call__(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        (tokens,) = batch
        with torch.inference_mode():
            return {"logits": self.model(torch.tensor([tokens.ids]), use_cache=False).logits.numpy()}

    def generate(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> list[int]:
        """Greedy, one token at a time, on the model's own cache."""
        found: list[int] = []
        past, ids = None, torch.tensor([prompt.ids])
        with torch.inference_mode():
            while len(found) < most:
                output = self.model(ids, past_key_values=past, use_cache=True)
                token = int(output.logits[0, -1].argmax())
                if token in stop:
                    break
                found.append(token)
                past, ids = output.past_key_values, torch.tensor([[token]])
        return found


def open_session(executable: Executable, threads: int) -> _Generator:
    """Load the checkpoint and answer on `threads` threads (a setting of the whole process, as torch has it)."""
    model = load_model(checkpoint.inspect(executable.folder))
    torch.set_num_threads(threads)
    return _Generator(model)
