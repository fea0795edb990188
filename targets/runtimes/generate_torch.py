"""A causal language model of Hugging Face by torch: the original that artifacts are held against.

Eager and fp32 on the CPU, unless the settings say otherwise: "precision" as in mct.targets.runtimes.run_torch, and
"graphs" for a step that is recorded once. That step reads and writes the same memory at every token: a cache of fixed
length, the token, and its position; what it finds likeliest is its own next input, and the CPU only looks at it.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from mct.models.checkpoints import checkpoint
from mct.models.checkpoints.adapted import read_told
from mct.models.checkpoints.load import load_model
from mct.models.families.experts import chosen_experts, experts_used
from mct.models.tasks.tokens import Tokens
from mct.targets.devices.torch_device import TorchDevice, torch_device
from mct.targets.devices.torch_loop import Loop
from mct.targets.runtimes.run_torch import GRAPHS, WAYS, put_on
from mct.targets.runtimes.table import Executable

KEEP = "logits_to_keep"
SMALLEST = 64
CPU_DEVICE = TorchDevice()


@dataclass(frozen=True)
class _Generator:
    """The loaded model, answering one input at a time. `last_only` asks it for the last token's logits alone."""

    model: PreTrainedModel
    last_only: dict[str, int]
    device: TorchDevice = CPU_DEVICE
    graphs: bool = False
    loops: dict[int, Loop] = field(default_factory=dict)

    def __call__(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        (tokens,) = batch
        with torch.inference_mode():
            logits = self.model(self._ids(tokens.ids), use_cache=False).logits
        return {"logits": logits.float().cpu().numpy()}

    def with_experts(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.generic]]:
        """The same with the experts that each token goes to, of a mixture of them."""
        (tokens,) = batch
        used = experts_used(self.model.config.to_dict())
        if not used:
            return {**self(batch)}
        with torch.inference_mode():
            found = self.model(self._ids(tokens.ids), use_cache=False, output_router_logits=True)
        scores = [layer.float().cpu().numpy() for layer in found.router_logits if layer is not None]
        return {"logits": found.logits.float().cpu().numpy(), "experts": chosen_experts(scores, used)}

    def write(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> Iterator[int]:
        """Greedy, one token at a time, on the model's own cache."""
        if self.graphs:
            yield from self._write_by_graph(prompt, most, stop)
            return
        past, ids = None, self._ids(prompt.ids)
        for _ in range(most):
            with torch.inference_mode():  # not across the yield: it would hold for the caller too
                output = self.model(ids, past_key_values=past, use_cache=True, **self.last_only)
                token = int(output.logits[0, -1].argmax())
            if token in stop:
                return
            yield token
            past, ids = output.past_key_values, self._ids([token])

    def generate(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> list[int]:
        """The same all at once."""
        return list(self.write(prompt, most, stop))

    def _write_by_graph(self, prompt: Tokens, most: int, stop: frozenset[int]) -> Iterator[int]:
        length = SMALLEST
        while length < len(prompt.ids) + most:
            length *= 2
        if length not in self.loops:
            self.loops[length] = Loop(self.model, self.device, length, self.last_only)
        for token in islice(self.loops[length].tokens(prompt.ids), most):
            if token in stop:
                return
            yield token

    def _ids(self, ids: Sequence[int]) -> torch.Tensor:
        return torch.tensor([ids], device=self.device.name)


def open_session(executable: Executable, threads: int) -> _Generator:
    """Load the checkpoint and answer on `threads` threads (a setting of the whole process, as torch has it)."""
    said = {name: value for name, value in executable.settings.items() if name not in WAYS}
    device = torch_device(executable.device)
    model = load_model(checkpoint.inspect(executable.folder, read_told(said)))
    torch.set_num_threads(threads)
    put_on(model, device, executable.settings)
    takes = inspect.signature(model.forward).parameters
    return _Generator(model, {KEEP: 1} if KEEP in takes else {}, device, bool(executable.settings.get(GRAPHS)))
