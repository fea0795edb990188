"""Checkpoint to ONNX fp32, in one file that ONNX Runtime opens here, in browsers and on phones.

Two ways lead there: the graph written from the weights with fused operators where the architecture is known
(mct.compress.onnx.graphs.fused: faster), else the graph that torch traces (any architecture). A fused graph must give
the model's own answers here, or the traced one is taken.

The file depends on the checkpoint alone. torch's exporter writes stack traces with the paths of the machine into it,
and shapes that its later rewrites make wrong; both are taken out, so that two exports are equal byte by byte.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from transformers import PreTrainedModel

from mct.compress.onnx.graphs import fused, shallow
from mct.compress.onnx.graphs.graph import save
from mct.compress.onnx.graphs.heads import BATCH, EMBEDDING, HIDDEN, SEQUENCE
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.agreement import spread
from mct.compress.run.quiet import quiet
from mct.models.checkpoints.files import pad_id
from mct.models.checkpoints.load import load_module, outputs_of
from mct.models.checkpoints.load_adapter import Prefixed
from mct.models.checkpoints.load_embedder import Embedder
from mct.models.families.table import graph_of
from mct.targets.runtimes.run_torch import input_names

MODEL = "onnx/model.onnx"
OPSET = 20

# Largest |difference| of any output between the model and its fused graph, in spreads of that output.
TOLERANCE = 1e-3


class _Written(torch.nn.Module):
    """A loaded checkpoint with the inputs and outputs that its file has, each input an argument of its own.

    An embedder gives its tokens' vectors too: what programs that pool for themselves read.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        inputs = {name: value for name, value in given.items() if value is not None}
        if not isinstance(self.module, Embedder):
            outputs: dict[str, torch.Tensor] = self.module(**inputs)
            return outputs
        assert attention_mask is not None
        hidden = self.module.model(**inputs).last_hidden_state
        return {HIDDEN: hidden, EMBEDDING: self.module.embed(hidden, attention_mask)}


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `onnx/model.onnx`: int64 inputs of shape (batch, sequence), the task's outputs by the runtimes' names.

    An embedder has "last_hidden_state" beside its "sentence_embedding". `options["graph"]` = "exported" takes the
    traced graph whatever the architecture.
    """
    checkpoint = resources.checkpoint
    if checkpoint.has_prefix:
        graph, notes = _graph(Prefixed(checkpoint).train(False), "exported")
    else:
        graph, notes = _graph(load_module(checkpoint), options.get("graph", "fused"))
    save(graph, draft / MODEL)
    return Product(draft, MODEL, {"pad_id": pad_id(checkpoint.sizes)}, notes)


def _graph(module: torch.nn.Module, wanted: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    model = module.model
    assert isinstance(model, PreTrainedModel)
    names = input_names(model)
    graphs = shallow if graph_of(model.config.model_type, "onnx") == shallow.GRAPH else fused
    reason = "asked for" if wanted == "exported" else graphs.obstacle(module)
    if not reason:
        graph = graphs.build(module, names)
        delta = max_difference(module, graph, names)
        if delta <= TOLERANCE:
            return graph, {"graph": "fused", "max_delta": delta}
        reason = f"the fused graph differs by {delta:.2%} of how much the outputs differ among themselves"
    return trace(module, names), {"graph": "exported", "why": reason}


def max_difference(module: torch.nn.Module, graph: onnx.ModelProto, names: list[str]) -> float:
    """Largest |difference| of an output between the model and its graph, on two random inputs, one of them padded.

    In spreads of that output (`mct.compress.run.agreement.spread`). Token vectors on padding are left out: nobody reads
    them, and attention there is free to differ.
    """
    inputs = _two_inputs(module, names)
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = dict(zip([value.name for value in session.get_outputs()], session.run(None, inputs), strict=True))
    ours = outputs_of(_Written(module), {name: torch.from_numpy(array) for name, array in inputs.items()})
    real = _MASK.astype(bool)
    sides = [
        (each[real] if each.ndim == 3 else each for each in (value.numpy(), theirs[name]))
        for name, value in ours.items()
    ]
    return max(float(np.abs(after - before).max()) / spread([before]) for before, after in sides)


# Two inputs of twelve tokens, five of the second's padding.
_MASK = np.array([[1] * 12, [1] * 7 + [0] * 5])


def _two_inputs(module: torch.nn.Module, names: list[str]) -> dict[str, Any]:
    assert isinstance(module.model, PreTrainedModel)
    config = module.model.config
    ids = np.random.default_rng(0).integers(5, config.vocab_size, size=_MASK.shape)
    ids[_MASK == 0] = config.pad_token_id or 0
    segments = np.zeros_like(ids)
    segments[:, 4:] = _MASK[:, 4:]
    inputs = {"input_ids": ids, "attention_mask": _MASK, "token_type_ids": segments}
    return {name: inputs[name] for name in names}


def trace(module: torch.nn.Module, names: list[str]) -> onnx.ModelProto:
    """The module as torch traces it, with free batch and sequence axes, stripped of all that describes this machine."""
    example = {name: torch.ones((2, 8), dtype=torch.int64) for name in names}
    written = _Written(module)
    axes = dict.fromkeys(range(2), torch.export.Dim.DYNAMIC)
    with quiet():
        program = torch.onnx.export(
            written,
            kwargs=example,
            input_names=names,
            output_names=list(outputs_of(written, example)),
            dynamic_shapes=dict.fromkeys(names, axes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return _strip(program.model_proto)


def _strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop doc strings, the exporter's metadata and all shapes between the ends; name the free axes."""
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for value in (*graph.input, *graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, (BATCH, SEQUENCE), strict=False):
            if not dimension.dim_value:
                dimension.dim_param = name
    return model
