"""A causal language model of Hugging Face by torch, eager and fp32: the original that artifacts are held against."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from mct.models.checkpoints import checkpoint
from mct.models.checkpoints.adapted import read_told
from mct.models.checkpoints.load import load_model
from mct.models.families.experts import chosen_experts, experts_used
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.table import Executable

KEEP = "logits_to_keep"


@dataclass(frozen=True)
class _Generator:
    """The loaded model, answering one input at a time. `last_only` asks it for the last token's logits alone."""

    model: PreTrainedModel
    last_only: dict[str, int]

    def __call__(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        (tokens,) = batch
        with torch.inference_mode():
            return {"logits": self.model(torch.tensor([tokens.ids]), use_cache=False).logits.numpy()}

    def with_experts(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.generic]]:
        """The same with the experts that each token goes to, of a mixture of them."""
        (tokens,) = batch
        used = experts_used(self.model.config.to_dict())
        if not used:
            return {**self(batch)}
        with torch.inference_mode():
            found = self.model(torch.tensor([tokens.ids]), use_cache=False, output_router_logits=True)
        scores = [layer.numpy() for layer in found.router_logits if layer is not None]
        return {"logits": found.logits.numpy(), "experts": chosen_experts(scores, used)}

    def write(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> Iterator[int]:
        """Greedy, one token at a time, on the model's own cache."""
        past, ids = None, torch.tensor([prompt.ids])
        for _ in range(most):
            with torch.inference_mode():  # not across the yield: it would hold for the caller too
                output = self.model(ids, past_key_values=past, use_cache=True, **self.last_only)
                token = int(output.logits[0, -1].argmax())
            if token in stop:
                return
            yield token
            past, ids = output.past_key_values, torch.tensor([[token]])

    def generate(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> list[int]:
        """The same all at once."""
        return list(self.write(prompt, most, stop))


def open_session(executable: Executable, threads: int) -> _Generator:
    """Load the checkpoint and answer on `threads` threads (a setting of the whole process, as torch has it)."""
    model = load_model(checkpoint.inspect(executable.folder, read_told(executable.settings)))
    torch.set_num_threads(threads)
    takes = inspect.signature(model.forward).parameters
    return _Generator(model, {KEEP: 1} if KEEP in takes else {})
