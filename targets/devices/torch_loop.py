"""Greedy text by a step that is recorded once and then only replayed: a decoder's way not to wait for launches.

Torch and transformers alone. The cache has a fixed length and counts its tokens in a tensor
(`transformers.StaticCache`), so that nothing in a step is decided on the CPU, and a CUDA graph can hold all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from transformers import StaticCache

from mct.targets.devices.torch_device import TorchDevice

NO_OPTIONS: Mapping[str, int] = {}


class Loop:
    """A decoder and a cache for `length` tokens. `options` are given to the model at every call.

    The step is recorded at the first text, whose prompt has made the cache; not `recorded`, it is launched every time.
    `stepping` is the model for single tokens, where that is another (compiled) than the one that reads prompts.
    """

    def __init__(
        self,
        model: Any,
        device: TorchDevice,
        length: int,
        options: Mapping[str, int] = NO_OPTIONS,
        recorded: bool = True,
    ) -> None:
        self.model, self.device, self.options, self.recorded = model, device, options, recorded
        self.stepping = model
        self.cache = StaticCache(config=model.config, max_cache_len=length)
        self.token = torch.zeros((1, 1), dtype=torch.long, device=device.name)
        self.position = torch.zeros((1, 1), dtype=torch.long, device=device.name)
        self.replay: Callable[[], None] | None = None

    def tokens(self, prompt: Sequence[int]) -> Iterator[int]:
        """The likeliest tokens after `prompt`, without end: the caller stops before the cache is full."""
        self._read(prompt)
        yield int(self.token)
        if self.replay is None:
            self._read(prompt[:1])  # recording takes steps, for which the cache must have room
            with torch.inference_mode():
                self.replay = self.device.captured(self._step) if self.recorded else self._step
            self._read(prompt)
        while True:
            with torch.inference_mode():
                self.replay()
            yield int(self.token)

    def _read(self, prompt: Sequence[int]) -> None:
        """The prompt into an empty cache, and its likeliest next token."""
        ids = torch.tensor([prompt], device=self.device.name)
        positions = torch.arange(len(prompt), device=self.device.name)[None]
        with torch.inference_mode():
            _rewind(self.cache)
            self.token.copy_(self._likeliest(self.model, ids, positions))
            self.position.fill_(len(prompt))

    def _step(self) -> None:
        self.token.copy_(self._likeliest(self.stepping, self.token, self.position))
        self.position.add_(1)

    def _likeliest(self, model: Any, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        found = model(ids, position_ids=positions, past_key_values=self.cache, use_cache=True, **self.options)
        chosen: torch.Tensor = found.logits[:, -1:].argmax(dim=-1)
        return chosen


def _rewind(cache: StaticCache) -> None:
    """Forget what it holds: counted as nothing, not wiped, since the mask hides what stands behind the count."""
    for layer in cache.layers:
        if getattr(layer, "is_initialized", False):
            count: Any = getattr(layer, "cumulative_length", None)
            if isinstance(count, torch.Tensor):
                count.zero_()
            else:
                layer.reset()
