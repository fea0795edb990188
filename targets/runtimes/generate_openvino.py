"""Causal language models by OpenVINO, with the cache of keys and values inside the model.

The graph is stateful: what it has read stays in its variables until they are reset, so that each new token costs one
step. This is the graph that openvino-genai and optimum-intel run. The cache takes the precision that the artifact's
pass recorded: OpenVINO's own choice, 8 bits, is too coarse to continue a text by the same tokens as the original.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.private_openvino import ov
from mct.targets.runtimes.run_openvino import open_core, openvino_device, read_model, rounding_properties
from mct.targets.runtimes.table import Executable

KEEP = "logits_to_keep"
opset = ov.opset13
EACH_VALUE = frozenset({"Convert", "Add", "Multiply", "Divide", "Tanh"})


@dataclass(frozen=True)
class _Generator:
    """The compiled model and the inputs it takes. One request: not safe for two threads at once."""

    request: ov.InferRequest
    inputs: frozenset[str]

    def __call__(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        (tokens,) = batch
        self.request.reset_state()
        return {"logits": self._read(tokens.ids, before=0, keep=len(tokens.ids)).copy()}

    def write(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> Iterator[int]:
        """Greedy, one token at a time, on the model's own cache."""
        self.request.reset_state()
        read, ids = 0, prompt.ids
        for _ in range(most):
            token = int(self._read(ids, read, keep=1)[0, -1].argmax())
            if token in stop:
                return
            yield token
            read, ids = read + len(ids), [token]

    def generate(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> list[int]:
        """The same all at once."""
        return list(self.write(prompt, most, stop))

    def _read(self, ids: Sequence[int], before: int, keep: int) -> NDArray[np.float32]:
        """Logits (1, `keep`, vocabulary) of the last of `ids`, which follow `before` tokens in the cache.

        Valid until the next call.
        """
        arrays = step_inputs(ids, before) | {KEEP: np.array([keep], dtype=np.int64)}
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


def keep_last(model: ov.Model) -> None:
    """Let an input of the graph say of how many tokens, counted from the last, it computes logits.

    An exporter's graph computes them of all, which for a long prompt and a large vocabulary is much of the work, and no
    other runtime does it. What is cut is what goes into the last product; a graph whose logits come otherwise is left
    as it is. openvino-genai cuts the same place.
    """
    product = _last_product(model.output("logits").get_node().input_value(0).get_node())
    if product is None:
        return
    keep = opset.parameter([1], np.int64, KEEP)
    keep.output(0).get_tensor().set_names({KEEP})
    rows = product.input_value(0)
    ends, step, axis = (opset.constant(np.array([value], np.int64)) for value in (np.iinfo(np.int64).max, 1, 1))
    product.input(0).replace_source_output(opset.slice(rows, opset.negative(keep), ends, step, axis).output(0))
    model.add_parameters([keep])
    model.validate_nodes_and_infer_types()


def _last_product(node: ov.Node) -> ov.Node | None:
    """The product that logits come from, where nothing but work on each value stands behind it; None otherwise."""
    while node.get_type_name() in EACH_VALUE:
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "MatMul" else None


def open_session(executable: Executable, threads: int) -> _Generator:
    """Compile the model on `threads` threads. MctError where OpenVINO cannot read the file."""
    settings = executable.settings
    properties = {
        "INFERENCE_PRECISION_HINT": str(settings.get("inference_precision", "f32")),
        "KV_CACHE_PRECISION": str(settings.get("kv_cache_precision", "f32")),
        **rounding_properties(),
    }
    device = openvino_device(executable)
    core = open_core(threads, properties, device)
    model = read_model(core, executable)
    keep_last(model)
    compiled = core.compile_model(model, device)
    return _Generator(compiled.create_infer_request(), frozenset(port.any_name for port in compiled.inputs))
