"""ONNX decoders by ONNX Runtime, continuing a text with a cache. Needs onnxruntime and numpy alone.

Keys and values live in one buffer for each layer, as long as the text may become: attention writes a new token's behind
the earlier ones where it stands, instead of copying all of them into a longer array at every token. That asks for
outputs bound to the memory of the inputs (IOBinding), and for an operator that knows a buffer longer than the text.
The buffers are kept from text to text, and made anew, twice as long, for one that does not fit. On a GPU they lie in
its memory; token ids go there and logits come back at every token, since the next one is chosen here.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mct.models.families.experts import ROUTER_SCORES, chosen_experts, experts_used
from mct.models.tasks.tokens import Tokens
from mct.targets.devices.gpus import is_cuda
from mct.targets.runtimes.run_onnxruntime import ERRORS, cannot, open_file
from mct.targets.runtimes.table import Executable

Step = Callable[[Sequence[int], int], NDArray[np.float32]]

SMALLEST = 64

PAST, PRESENT = "past_key_values", "present"
KEEP = "num_logits_to_keep"


@dataclass(frozen=True)
class Cache:
    """One name of the graph's cache, and the shape of one entry: (heads, width)."""

    past: str
    present: str
    heads: int
    width: int


@dataclass(frozen=True)
class _Generator:
    """An opened decoder, answering one input at a time. Texts end where `max_tokens` are full."""

    path: Path
    session: ort.InferenceSession
    caches: tuple[Cache, ...]
    vocabulary: int
    max_tokens: int
    adapter: Mapping[str, ort.OrtValue]
    place: str = "cpu"
    bound: dict[int, Step] = field(default_factory=dict)

    def __call__(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        (logits,) = self._run(batch, ["logits"])
        return {"logits": logits}

    def with_experts(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.generic]]:
        """The same with the experts that each token goes to, where the graph shows what its routers say."""
        names = [value.name for value in self.session.get_outputs() if value.name.endswith(ROUTER_SCORES)]
        if not names:
            return {**self(batch)}
        config = json.loads((self.path.parents[1] / "config.json").read_text(encoding="utf-8"))
        logits, *scores = self._run(batch, ["logits", *names])
        return {"logits": logits, "experts": chosen_experts(scores, experts_used(config))}

    def _run(self, batch: Sequence[Tokens], names: list[str]) -> list[NDArray[np.float32]]:
        (tokens,) = batch
        ids = np.array([tokens.ids], np.int64)
        empty = {cache.past: np.zeros((1, cache.heads, 0, cache.width), np.float32) for cache in self.caches}
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)} | empty
        inputs |= {name: value.numpy() for name, value in self.adapter.items()}
        try:
            found: list[NDArray[np.float32]] = self.session.run(names, inputs)
        except ERRORS as error:
            raise cannot("run", self.path, error) from error
        return found

    def write(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> Iterator[int]:
        """Greedy, one token at a time; the prompt in one go, of which only the last token's logits are computed."""
        room = min(len(prompt.ids) + most, self.max_tokens)
        step = self._step_for(room)
        new, length = prompt.ids, 0
        for _ in range(most):
            length += len(new)
            if length > room:
                return
            token = int(step(new, length).argmax())
            if token in stop:
                return
            yield token
            new = [token]

    def generate(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> list[int]:
        """The same all at once."""
        return list(self.write(prompt, most, stop))

    def _step_for(self, room: int) -> Step:
        """The function that computes in the buffers at hand, or in longer ones where these hold less than `room`."""
        capacity = max(self.bound, default=0)
        if capacity < room:
            while capacity < room:
                capacity = max(SMALLEST, 2 * capacity)
            capacity = min(capacity, self.max_tokens)
            self.bound.clear()
            self.bound[capacity] = self._bind(capacity)
        return self.bound[capacity]

    def _bind(self, room: int) -> Step:
        """A function that computes the next tokens in buffers for `room` of them: (new ids, length by then) to logits.

        The logits, (vocabulary,), are overwritten by the next call.
        """
        binding = self.session.io_binding()
        for cache in self.caches:
            empty = np.zeros((1, cache.heads, room, cache.width), np.float32)
            buffer = ort.OrtValue.ortvalue_from_numpy(empty, self.place, 0)
            binding.bind_ortvalue_input(cache.past, buffer)
            binding.bind_ortvalue_output(cache.present, buffer)
        logits = np.zeros((1, 1, self.vocabulary), np.float32)
        binding.bind_ortvalue_output("logits", _shared(logits))
        last: NDArray[np.float32] = logits[0, 0]
        binding.bind_ortvalue_input(KEEP, _shared(np.array(1, np.int64)))
        for name, value in self.adapter.items():
            binding.bind_ortvalue_input(name, value)
        mask = np.ones((1, room), np.int64)

        def step(new: Sequence[int], length: int) -> NDArray[np.float32]:
            binding.bind_ortvalue_input("input_ids", _shared(np.array([new], np.int64)))
            binding.bind_ortvalue_input("attention_mask", _shared(mask[:, :length]))
            try:
                self.session.run_with_iobinding(binding)
            except ERRORS as error:
                raise cannot("run", self.path, error) from error
            return last

        return step


def _shared(array: NDArray[np.generic]) -> ort.OrtValue:
    """The array's own memory, as ONNX Runtime takes it: nothing is copied."""
    return ort.OrtValue.ortvalue_from_numpy(array)


def open_session(executable: Executable, threads: int) -> _Generator:
    """Open `executable.model` on `threads` threads. MctError where ONNX Runtime cannot read the file."""
    session = open_file(executable, threads)
    caches = tuple(
        Cache(value.name, value.name.replace(PAST, PRESENT), value.shape[1], value.shape[3])
        for value in session.get_inputs()
        if value.name.startswith(PAST)
    )
    vocabulary = session.get_outputs()[0].shape[-1]
    adapter = _read_adapter(executable.adapter) if executable.adapter else {}
    return _Generator(
        executable.folder / executable.model, session, caches, vocabulary, executable.max_tokens, adapter,
        place="cuda" if is_cuda(executable.device) else "cpu",
    )  # fmt: skip


def _read_adapter(path: Path) -> Mapping[str, ort.OrtValue]:
    """What an adapter gives for inputs that the graph has a default for: a binding takes no `add_active_adapter`."""
    try:
        found: Mapping[str, ort.OrtValue] = ort.AdapterFormat.read_adapter(str(path)).get_parameters()
    except ERRORS as error:
        raise cannot("read", path, error) from error
    return found
