"""What stands on an encoder's backbone, as ONNX nodes: one function for each kind of module that a checkpoint loads as.

A head says whether it reads more than the first token. Where it does not, the backbone computes nothing else behind its
last attention. Heads for a whole text are `Gemm` nodes, which no quantiser here touches: they cost a thousandth of the
time, and their errors reach the answer undamped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from transformers import PreTrainedModel

from mct.compress.onnx.graphs.graph import GraphBuilder, Weights
from mct.models.checkpoints.load_embedder import Dense, Embedder, EmbedderWithHead, LayerNorm, Normalize
from mct.models.checkpoints.load_heads import Heads
from mct.models.families.table import find_family
from mct.models.tasks.multi_head import SUFFIX

BATCH, SEQUENCE = "batch", "sequence"
HIDDEN, EMBEDDING, LOGITS = "last_hidden_state", "sentence_embedding", "logits"
NO_LESS = 1e-12  # torch's floor of a length that it divides by

Outputs = Sequence[onnx.ValueInfoProto]


@dataclass(frozen=True)
class TaskHead:
    """A head over the backbone's token vectors.

    `write` is given the name of (batch, sequence, width), or of (batch, width) where `first_only`, and gives the
    graph's outputs. `weights` are those it needs beside the backbone's.
    """

    first_only: bool
    weights: Weights
    write: Callable[[GraphBuilder, str], Outputs]


@dataclass(frozen=True)
class _Layer:
    """A linear layer by the name of its weights, and the ONNX operator that follows it, "" for none."""

    name: str
    activation: str = ""


# Operators by the names that a family's row has for activations.
_OPERATORS = {"tanh": "Tanh", "relu": "Relu", "gelu": "Gelu"}

_ACTIVATIONS: Mapping[type[torch.nn.Module], str] = {
    torch.nn.Identity: "",
    torch.nn.Tanh: "Tanh",
    torch.nn.ReLU: "Relu",
    torch.nn.GELU: "Gelu",
    torch.nn.Sigmoid: "Sigmoid",
}


def head_of(module: torch.nn.Module) -> TaskHead | None:
    """The head of a loaded checkpoint; None where it is not known here."""
    if isinstance(module, Embedder):
        return TaskHead(False, _step_weights(module), lambda builder, hidden: _write_embedding(builder, hidden, module))
    if isinstance(module, EmbedderWithHead):
        return _embedding_head(module)
    if isinstance(module, Heads):
        return _several(module)
    model = module.model
    assert isinstance(model, PreTrainedModel)
    name, labels = type(model).__name__, int(model.config.num_labels)
    if name.endswith("ForTokenClassification"):
        return TaskHead(
            False, arrays(model), lambda builder, hidden: [_write_tags(builder, "classifier", hidden, LOGITS, labels)]
        )
    family = find_family(model.config.model_type)
    if not name.endswith("ForSequenceClassification") or family is None or family.classifier is None:
        return None
    head = family.classifier
    layers = (_Layer(head.dense, _OPERATORS[head.activation]), _Layer(head.output))
    return TaskHead(True, arrays(model), lambda builder, first: [_write_layers(builder, layers, first, LOGITS, labels)])


def arrays(module: torch.nn.Module) -> dict[str, Any]:
    """A module's weights by name."""
    return {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}


def _several(module: Heads) -> TaskHead:
    first_only = all(head.kind != "tags" for head in module.heads)

    def write(builder: GraphBuilder, hidden: str) -> Outputs:
        first = hidden if first_only else first_token(builder, hidden)
        return [
            _write_tags(builder, f"layers.{number}", hidden, head.name + SUFFIX, len(head.labels))
            if head.kind == "tags"
            else _write_layers(builder, [_Layer(f"layers.{number}")], first, head.name + SUFFIX, len(head.labels))
            for number, head in enumerate(module.heads)
        ]

    weights = {f"layers.{name}": array for name, array in arrays(module.layers).items()}
    return TaskHead(first_only, weights, write)


def _embedding_head(module: EmbedderWithHead) -> TaskHead:
    embedder = module.embedder
    first_only = embedder.pooling.modes == ("cls",)

    def write(builder: GraphBuilder, hidden: str) -> Outputs:
        vector = hidden if first_only else _pool(builder, hidden, embedder.pooling.modes)
        vector, _ = _write_steps(builder, vector, embedder)
        return [_write_layers(builder, [_Layer("head")], vector, LOGITS, module.head.out_features)]

    weights = {f"head.{name}": array for name, array in arrays(module.head).items()}
    return TaskHead(first_only, {**_step_weights(embedder), **weights}, write)


def _write_embedding(builder: GraphBuilder, hidden: str, embedder: Embedder) -> Outputs:
    """Both outputs that programs know: every token's vector, for those that pool themselves, and the text's."""
    width = int(embedder.model.config.hidden_size)
    vector, narrowed = _write_steps(builder, _pool(builder, hidden, embedder.pooling.modes), embedder)
    builder.add("Identity", [hidden], HIDDEN)
    builder.add("Identity", [vector], EMBEDDING)
    size = narrowed or width * len(embedder.pooling.modes)
    return [_output(HIDDEN, BATCH, SEQUENCE, width), _output(EMBEDDING, BATCH, size)]


def _step_weights(embedder: Embedder) -> dict[str, Any]:
    return {f"steps.{name}": array for name, array in arrays(embedder.steps).items()}


def _write_steps(builder: GraphBuilder, vector: str, embedder: Embedder) -> tuple[str, int]:
    """What follows the pooling; also the width of the last dense layer, 0 where there is none."""
    width = 0
    for number, step in enumerate(embedder.steps):
        if isinstance(step, Normalize):
            length = builder.add("ReduceL2", [vector, builder.integer(1)], keepdims=1)
            vector = builder.add("Div", [vector, builder.add("Max", [length, _float(builder, NO_LESS)])])
        elif isinstance(step, LayerNorm):
            norm = [builder.weight(f"steps.{number}.{part}") for part in ("weight", "bias")]
            vector = builder.add("LayerNormalization", [vector, *norm], axis=-1, epsilon=step.eps)
        else:
            assert isinstance(step, Dense)
            layer = _Layer(f"steps.{number}.linear", _ACTIVATIONS[type(step.activation)])
            vector, width = _dense(builder, layer, vector), step.linear.out_features
    return vector, width


def _write_layers(
    builder: GraphBuilder, layers: Sequence[_Layer], value: str, output: str, labels: int
) -> onnx.ValueInfoProto:
    for layer in layers[:-1]:
        value = _dense(builder, layer, value)
    _dense(builder, layers[-1], value, output)
    return _output(output, BATCH, labels)


def _dense(builder: GraphBuilder, layer: _Layer, value: str, *output: str) -> str:
    """(batch, width) to (batch, new width)."""
    bias = [builder.weight(f"{layer.name}.bias")] if f"{layer.name}.bias" in builder.weights else []
    product = [value, builder.weight(f"{layer.name}.weight"), *bias]
    if not layer.activation:
        return builder.add("Gemm", product, *output, transB=1)
    return builder.add(layer.activation, [builder.add("Gemm", product, transB=1)], *output)


def _write_tags(builder: GraphBuilder, name: str, hidden: str, output: str, labels: int) -> onnx.ValueInfoProto:
    """One linear layer on every token."""
    table = builder.constant(f"{name}.weight", builder.weights[f"{name}.weight"].T)
    builder.add("Add", [builder.add("MatMul", [hidden, table]), builder.weight(f"{name}.bias")], output)
    return _output(output, BATCH, SEQUENCE, labels)


def first_token(builder: GraphBuilder, hidden: str) -> str:
    """(batch, sequence, width) to (batch, width)."""
    return builder.add("Gather", [hidden, builder.integer(0, scalar=True)], axis=1)


def _pool(builder: GraphBuilder, hidden: str, modes: Sequence[str]) -> str:
    """(batch, sequence, width) to (batch, width x modes), as mct.models.checkpoints.load_embedder pools."""
    mask = builder.add("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    mask = builder.add("Unsqueeze", [mask, builder.integer(2)])
    vectors = [_POOL[mode](builder, hidden, mask) for mode in modes]
    return builder.add("Concat", vectors, axis=-1) if len(vectors) > 1 else vectors[0]


def _sum(builder: GraphBuilder, value: str) -> str:
    """Over the tokens."""
    return builder.add("ReduceSum", [value, builder.integer(1)], keepdims=0)


def _mean(builder: GraphBuilder, hidden: str, weight: str) -> str:
    return builder.add("Div", [_sum(builder, builder.add("Mul", [hidden, weight])), _sum(builder, weight)])


def _mean_by_root(builder: GraphBuilder, hidden: str, mask: str) -> str:
    total = _sum(builder, builder.add("Mul", [hidden, mask]))
    return builder.add("Div", [total, builder.add("Sqrt", [_sum(builder, mask)])])


def _mean_by_place(builder: GraphBuilder, hidden: str, mask: str) -> str:
    place = builder.add("CumSum", [mask, builder.integer(1, scalar=True)])
    return _mean(builder, hidden, builder.add("Mul", [place, mask]))


def _highest(builder: GraphBuilder, hidden: str, mask: str) -> str:
    real = builder.add("Greater", [mask, _float(builder, 0.0)])
    lowest = _float(builder, float(np.finfo(np.float32).min))
    return builder.add("ReduceMax", [builder.add("Where", [real, hidden, lowest]), builder.integer(1)], keepdims=0)


def _first(builder: GraphBuilder, hidden: str, mask: str) -> str:
    return first_token(builder, hidden)


def _last(builder: GraphBuilder, hidden: str, mask: str) -> str:
    count = builder.add("ReduceSum", ["attention_mask", builder.integer(1)], keepdims=1)
    return builder.add("GatherND", [hidden, builder.add("Sub", [count, builder.integer(1)])], batch_dims=1)


_POOL: Mapping[str, Callable[[GraphBuilder, str, str], str]] = {
    "cls": _first,
    "max": _highest,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_by_root,
    "weightedmean": _mean_by_place,
    "lasttoken": _last,
}


def _float(builder: GraphBuilder, value: float) -> str:
    return builder.constant(f"float_{value:g}", np.array(value, np.float32))


def _output(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
