"""What stands on an encoder's trunk, as ONNX nodes: one function for each kind of module that a checkpoint loads as.

A head says whether it reads more than the first token. Where it does not, the trunk computes nothing else behind its
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

from mct.compress.onnx.graphs.graph import Draft, Weights
from mct.models.checkpoints.load_embedder import Dense, Embedder, EmbedderWithHead, Normalize
from mct.models.checkpoints.load_heads import Heads
from mct.models.families.table import find_family
from mct.models.tasks.multi_head import SUFFIX

BATCH, SEQUENCE = "batch", "sequence"
HIDDEN, EMBEDDING, LOGITS = "last_hidden_state", "sentence_embedding", "logits"
NO_LESS = 1e-12  # torch's floor of a length that it divides by

Outputs = Sequence[onnx.ValueInfoProto]


@dataclass(frozen=True)
class Top:
    """A head over the trunk's token vectors.

    `write` is given the name of (batch, sequence, width), or of (batch, width) where `first_only`, and gives the
    graph's outputs. `weights` are those it needs beside the trunk's.
    """

    first_only: bool
    weights: Weights
    write: Callable[[Draft, str], Outputs]


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


def top_of(module: torch.nn.Module) -> Top | None:
    """The head of a loaded checkpoint; None where it is not known here."""
    if isinstance(module, Embedder):
        return Top(False, _step_weights(module), lambda draft, hidden: _write_embedding(draft, hidden, module))
    if isinstance(module, EmbedderWithHead):
        return _embedding_head(module)
    if isinstance(module, Heads):
        return _several(module)
    model = module.model
    assert isinstance(model, PreTrainedModel)
    name, labels = type(model).__name__, int(model.config.num_labels)
    if name.endswith("ForTokenClassification"):
        return Top(
            False, arrays(model), lambda draft, hidden: [_write_tags(draft, "classifier", hidden, LOGITS, labels)]
        )
    family = find_family(model.config.model_type)
    if not name.endswith("ForSequenceClassification") or family is None or family.classifier is None:
        return None
    head = family.classifier
    layers = (_Layer(head.dense, _OPERATORS[head.activation]), _Layer(head.output))
    return Top(True, arrays(model), lambda draft, first: [_write_layers(draft, layers, first, LOGITS, labels)])


def arrays(module: torch.nn.Module) -> dict[str, Any]:
    """A module's weights by name."""
    return {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}


def _several(module: Heads) -> Top:
    first_only = all(head.kind != "tags" for head in module.heads)

    def write(draft: Draft, hidden: str) -> Outputs:
        first = hidden if first_only else first_token(draft, hidden)
        return [
            _write_tags(draft, f"layers.{number}", hidden, head.name + SUFFIX, len(head.labels))
            if head.kind == "tags"
            else _write_layers(draft, [_Layer(f"layers.{number}")], first, head.name + SUFFIX, len(head.labels))
            for number, head in enumerate(module.heads)
        ]

    weights = {f"layers.{name}": array for name, array in arrays(module.layers).items()}
    return Top(first_only, weights, write)


def _embedding_head(module: EmbedderWithHead) -> Top:
    embedder = module.embedder
    first_only = embedder.pooling.modes == ("cls",)

    def write(draft: Draft, hidden: str) -> Outputs:
        vector = hidden if first_only else _pool(draft, hidden, embedder.pooling.modes)
        vector, _ = _write_steps(draft, vector, embedder)
        return [_write_layers(draft, [_Layer("head")], vector, LOGITS, module.head.out_features)]

    weights = {f"head.{name}": array for name, array in arrays(module.head).items()}
    return Top(first_only, {**_step_weights(embedder), **weights}, write)


def _write_embedding(draft: Draft, hidden: str, embedder: Embedder) -> Outputs:
    """Both outputs that programs know: every token's vector, for those that pool themselves, and the text's."""
    width = int(embedder.model.config.hidden_size)
    vector, narrowed = _write_steps(draft, _pool(draft, hidden, embedder.pooling.modes), embedder)
    draft.add("Identity", [hidden], HIDDEN)
    draft.add("Identity", [vector], EMBEDDING)
    size = narrowed or width * len(embedder.pooling.modes)
    return [_output(HIDDEN, BATCH, SEQUENCE, width), _output(EMBEDDING, BATCH, size)]


def _step_weights(embedder: Embedder) -> dict[str, Any]:
    return {f"steps.{name}": array for name, array in arrays(embedder.steps).items()}


def _write_steps(draft: Draft, vector: str, embedder: Embedder) -> tuple[str, int]:
    """What follows the pooling; also the width of the last dense layer, 0 where there is none."""
    width = 0
    for number, step in enumerate(embedder.steps):
        if isinstance(step, Normalize):
            length = draft.add("ReduceL2", [vector, draft.integer(1)], keepdims=1)
            vector = draft.add("Div", [vector, draft.add("Max", [length, _float(draft, NO_LESS)])])
        else:
            assert isinstance(step, Dense)
            layer = _Layer(f"steps.{number}.linear", _ACTIVATIONS[type(step.activation)])
            vector, width = _dense(draft, layer, vector), step.linear.out_features
    return vector, width


def _write_layers(draft: Draft, layers: Sequence[_Layer], value: str, output: str, labels: int) -> onnx.ValueInfoProto:
    for layer in layers[:-1]:
        value = _dense(draft, layer, value)
    _dense(draft, layers[-1], value, output)
    return _output(output, BATCH, labels)


def _dense(draft: Draft, layer: _Layer, value: str, *output: str) -> str:
    """(batch, width) to (batch, new width)."""
    bias = [draft.weight(f"{layer.name}.bias")] if f"{layer.name}.bias" in draft.weights else []
    product = [value, draft.weight(f"{layer.name}.weight"), *bias]
    if not layer.activation:
        return draft.add("Gemm", product, *output, transB=1)
    return draft.add(layer.activation, [draft.add("Gemm", product, transB=1)], *output)


def _write_tags(draft: Draft, name: str, hidden: str, output: str, labels: int) -> onnx.ValueInfoProto:
    """One linear layer on every token."""
    table = draft.constant(f"{name}.weight", draft.weights[f"{name}.weight"].T)
    draft.add("Add", [draft.add("MatMul", [hidden, table]), draft.weight(f"{name}.bias")], output)
    return _output(output, BATCH, SEQUENCE, labels)


def first_token(draft: Draft, hidden: str) -> str:
    """(batch, sequence, width) to (batch, width)."""
    return draft.add("Gather", [hidden, draft.integer(0, scalar=True)], axis=1)


def _pool(draft: Draft, hidden: str, modes: Sequence[str]) -> str:
    """(batch, sequence, width) to (batch, width x modes), as mct.models.checkpoints.load_embedder pools."""
    mask = draft.add("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    mask = draft.add("Unsqueeze", [mask, draft.integer(2)])
    vectors = [_POOL[mode](draft, hidden, mask) for mode in modes]
    return draft.add("Concat", vectors, axis=-1) if len(vectors) > 1 else vectors[0]


def _sum(draft: Draft, value: str) -> str:
    """Over the tokens."""
    return draft.add("ReduceSum", [value, draft.integer(1)], keepdims=0)


def _mean(draft: Draft, hidden: str, weight: str) -> str:
    return draft.add("Div", [_sum(draft, draft.add("Mul", [hidden, weight])), _sum(draft, weight)])


def _mean_by_root(draft: Draft, hidden: str, mask: str) -> str:
    total = _sum(draft, draft.add("Mul", [hidden, mask]))
    return draft.add("Div", [total, draft.add("Sqrt", [_sum(draft, mask)])])


def _mean_by_place(draft: Draft, hidden: str, mask: str) -> str:
    place = draft.add("CumSum", [mask, draft.integer(1, scalar=True)])
    return _mean(draft, hidden, draft.add("Mul", [place, mask]))


def _highest(draft: Draft, hidden: str, mask: str) -> str:
    real = draft.add("Greater", [mask, _float(draft, 0.0)])
    lowest = _float(draft, float(np.finfo(np.float32).min))
    return draft.add("ReduceMax", [draft.add("Where", [real, hidden, lowest]), draft.integer(1)], keepdims=0)


def _first(draft: Draft, hidden: str, mask: str) -> str:
    return first_token(draft, hidden)


def _last(draft: Draft, hidden: str, mask: str) -> str:
    count = draft.add("ReduceSum", ["attention_mask", draft.integer(1)], keepdims=1)
    return draft.add("GatherND", [hidden, draft.add("Sub", [count, draft.integer(1)])], batch_dims=1)


_POOL: Mapping[str, Callable[[Draft, str, str], str]] = {
    "cls": _first,
    "max": _highest,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_by_root,
    "weightedmean": _mean_by_place,
    "lasttoken": _last,
}


def _float(draft: Draft, value: float) -> str:
    return draft.constant(f"float_{value:g}", np.array(value, np.float32))


def _output(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
