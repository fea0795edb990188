"""Causal language models by OpenVINO on the CPU, with the cache of keys and values inside the model.

The graph is stateful: what it has read stays in its variables until they are reset, so that each new token costs one
step. This is the graph that openvino-genai and optimum-intel run. The cache takes the precision that the artifact's
pass recorded: OpenVINO's own choice, 8 bits, is too coarse to continue a text by the same tokens as the original.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mct.models.tasks.tokens import Tokens
from mct.targets.arithmetic import arithmetic_of
from mct.targets.machine import probe_machine
from mct.targets.runtimes.private_openvino import ov
from mct.targets.runtimes.run_openvino import open_core, read_model
from mct.targets.runtimes.table import Executable


@dataclass(frozen=True)
class _Generator:
    """The compiled model and the inputs it takes. One request: not safe for two threads at once."""

    request: ov.InferRequest
    inputs: frozenset[str]

    def __call__(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        (tokens,) = batch
        self.request.reset_state()
        return {"logits": self._read(tokens.ids, before=0).copy()}

    def generate(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> list[int]:
        """Greedy, one token at a time, on the model's own cache."""
        self.request.reset_state()
        found: list[int] = []
        read, ids = 0, prompt.ids
        while len(found) < most:
            token = int(self._read(ids, read)[0, -1].argmax())
            if token in stop:
                break
            found.append(token)
            read, ids = read + len(ids), [token]
        return found

    def _read(self, ids: Sequence[int], before: int) -> NDArray[np.float32]:
        """Logits (1, len(ids), vocabulary) of what follows `before` tokens in the cache; valid until the next call."""
        arrays = step_inputs(ids, before)
        self.request.infer({name: arrays[name] for name in self.inputs})
        logits: NDArray[np.float32] = self.request.get_tensor("logits").data
        return logits


def step_inputs(ids: Sequence[int], before: int = 0) -> dict[str, NDArray[np.int64] | NDArray[np.int32]]:
    """All that a stateful graph may ask for to read `ids`, one sequence, after `before` tokens in its cache."""
    return {
        "input_ids": np.array([ids], dtype=np.int64),
        "attention_mask": np.ones((1, before + len(ids)), dtype=np.int64),
        "position_ids": np.arange(before, before + len(ids), dtype=np.int64)[None],
        "beam_idx": np.zeros(1, dtype=np.int32),
    }


def rounding_properties() -> dict[str, str]:
    """What OpenVINO must be told where this machine may not round activations; nothing where it may.

    It rounds those of products with compressed weights to 8 bits if the processor has the instructions, and asks the
    processor alone: under ONEDNN_MAX_CPU_ISA it then fails for want of instructions that it was forbidden.
    """
    return {} if arithmetic_of(probe_machine()).rounds_activations else {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}


def open_session(executable: Executable, threads: int) -> _Generator:
    """Compile the model on `threads` threads. MctError where OpenVINO cannot read the file."""
    settings = executable.settings
    properties = {
        "INFERENCE_PRECISION_HINT": str(settings.get("inference_precision", "f32")),
        "KV_CACHE_PRECISION": str(settings.get("kv_cache_precision", "f32")),
        **rounding_properties(),
    }
    core = open_core(threads, properties)
    compiled = core.compile_model(read_model(core, executable), "CPU")
    return _Generator(compiled.create_infer_request(), frozenset(port.any_name for port in compiled.inputs))
