"""The BERT family as ONNX Runtime would like it: one node for attention, one for each residual + LayerNorm, one for
each bias + GELU, written straight from the weights.

A traced graph spells these out in dozens of small nodes, which ONNX Runtime's own optimiser hardly recognises; at batch
1 their overhead is a good part of the latency. Two savings come on top, both exact: query, key and value are one matrix
product, and behind the last attention only the first token is computed, since nothing else reaches a classifier.
The price is portability: the `com.microsoft` operators run in ONNX Runtime (also in browsers) and few other places.

Operators: onnxruntime's docs/ContribOperators.md. Architecture: Devlin et al. 2018, arXiv:1810.04805.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from transformers import PreTrainedModel

OPSETS = {"": 17, "com.microsoft": 1}
IR_VERSION = 8
MICROSOFT = "com.microsoft"

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Names:
    """Where one architecture keeps its weights, and how its head is activated. `{}` stands for the layer's number."""

    embeddings: str
    attention: tuple[str, str, str]
    attention_output: str
    attention_norm: str
    widen: str
    narrow: str
    layer_norm: str
    dense: str
    activation: str
    classifier: str


def _bert_names(trunk: str, dense: str, classifier: str) -> Names:
    layer = f"{trunk}.encoder.layer.{{}}"
    return Names(
        embeddings=f"{trunk}.embeddings",
        attention=(
            f"{layer}.attention.self.query",
            f"{layer}.attention.self.key",
            f"{layer}.attention.self.value",
        ),
        attention_output=f"{layer}.attention.output.dense",
        attention_norm=f"{layer}.attention.output.LayerNorm",
        widen=f"{layer}.intermediate.dense",
        narrow=f"{layer}.output.dense",
        layer_norm=f"{layer}.output.LayerNorm",
        dense=dense,
        activation="Tanh",
        classifier=classifier,
    )


_ROBERTA = _bert_names("roberta", "classifier.dense", "classifier.out_proj")
_DISTILBERT = "distilbert.transformer.layer.{}"

ARCHITECTURES = {
    "BertForSequenceClassification": _bert_names("bert", "bert.pooler.dense", "classifier"),
    "RobertaForSequenceClassification": _ROBERTA,
    "XLMRobertaForSequenceClassification": _ROBERTA,
    "CamembertForSequenceClassification": _ROBERTA,
    "DistilBertForSequenceClassification": Names(
        embeddings="distilbert.embeddings",
        attention=(
            f"{_DISTILBERT}.attention.q_lin",
            f"{_DISTILBERT}.attention.k_lin",
            f"{_DISTILBERT}.attention.v_lin",
        ),
        attention_output=f"{_DISTILBERT}.attention.out_lin",
        attention_norm=f"{_DISTILBERT}.sa_layer_norm",
        widen=f"{_DISTILBERT}.ffn.lin1",
        narrow=f"{_DISTILBERT}.ffn.lin2",
        layer_norm=f"{_DISTILBERT}.output_layer_norm",
        dense="pre_classifier",
        activation="Relu",
        classifier="classifier",
    ),
}


def obstacle(model: PreTrainedModel) -> str:
    """Why this model cannot be written with fused operators; empty where it can."""
    architecture = type(model).__name__
    if architecture not in ARCHITECTURES:
        return f"no fused graph for {architecture}"
    config = model.config
    activation = getattr(config, "hidden_act", None) or getattr(config, "activation", None)
    if activation != "gelu":
        return f"the fused operators have no {activation}"
    if getattr(config, "position_embedding_type", None) not in (None, "absolute"):
        return f"the fused operators have no {config.position_embedding_type} positions"
    return "it is a decoder" if getattr(config, "is_decoder", False) else ""


def build(model: PreTrainedModel, inputs: list[str]) -> onnx.ModelProto:
    """The model's graph with the given inputs (int64, batch x sequence) and one output `logits` (batch, labels).

    Only for a model without an `obstacle`.
    """
    weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    names = ARCHITECTURES[type(model).__name__]
    draft = _Draft(weights, heads=model.config.num_attention_heads, epsilon=_epsilon(model.config))
    hidden = _embed(draft, names, inputs, _first_position(model))
    mask = draft.add("Cast", ["attention_mask"], to=TensorProto.INT32)
    layers = model.config.num_hidden_layers
    for layer in range(layers):
        hidden = _layer(draft, names, layer, hidden, mask, last=layer == layers - 1)
    dense = draft.add(names.activation, [_dense(draft, names.dense, hidden)])
    draft.add("Gemm", [dense, *_pair(draft, names.classifier)], output="logits", transB=1)
    return _assemble(draft, inputs, labels=model.config.num_labels)


@dataclass(frozen=True)
class _Draft:
    """A graph in the making: nodes in order, constants by name. Grows; becomes a value in `_assemble`."""

    weights: Weights
    heads: int
    epsilon: float
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def add(self, operator: str, inputs: list[str], output: str = "", domain: str = "", **attributes: Any) -> str:
        """Append a node; gives the name of its first output."""
        name = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=f"node_{name}", domain=domain, **attributes))
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Keep an array under `name`; gives the name."""
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def weight(self, name: str) -> str:
        """Keep one of the model's weights as it is."""
        return self.constant(name, self.weights[name])


def _embed(draft: _Draft, names: Names, inputs: list[str], first_position: int | None) -> str:
    """LayerNorm of word + position + segment. A lone segment is folded into the positions."""
    prefix = names.embeddings
    words = draft.add("Gather", [draft.weight(f"{prefix}.word_embeddings.weight"), "input_ids"])
    table = draft.weights[f"{prefix}.position_embeddings.weight"]
    segments = f"{prefix}.token_type_embeddings.weight"
    if "token_type_ids" in inputs:
        words = draft.add("Add", [words, draft.add("Gather", [draft.weight(segments), "token_type_ids"])])
    elif segments in draft.weights:
        table = table + draft.weights[segments][0]
    positions = draft.constant(f"{prefix}.position_embeddings.weight", table)
    skip = _count_up(draft, positions) if first_position is None else _count_words(draft, positions, first_position)
    return _add_and_norm(draft, f"{prefix}.LayerNorm", words, skip)


def _count_up(draft: _Draft, table: str) -> str:
    """Rows 0, 1, 2, … of the position table."""
    ends = [draft.constant(f"int_{number}", np.array([number], np.int64)) for number in (0, 1, 2)]
    length = draft.add("Slice", [draft.add("Shape", ["input_ids"]), ends[1], ends[2]])
    rows = draft.add("Slice", [table, ends[0], length, ends[0]])
    return draft.add("Unsqueeze", [rows, ends[0]])


def _count_words(draft: _Draft, table: str, pad_id: int) -> str:
    """RoBERTa's rows: pad_id for padding, pad_id + 1, + 2, … for the rest."""
    pad = draft.constant("pad_id", np.array(pad_id, np.int64))
    word = draft.add("Cast", [draft.add("Not", [draft.add("Equal", ["input_ids", pad])])], to=TensorProto.INT64)
    counted = draft.add("CumSum", [word, draft.constant("axis_1", np.array(1, np.int64))])
    return draft.add("Gather", [table, draft.add("Add", [draft.add("Mul", [counted, word]), pad])])


def _layer(draft: _Draft, names: Names, layer: int, hidden: str, mask: str, last: bool) -> str:
    """One transformer layer, (batch, sequence, width) to the same; the last gives the first token, (batch, width)."""
    mixed = _attend(draft, [name.format(layer) for name in names.attention], hidden, mask)
    if last:
        first = draft.constant("first", np.array(0, np.int64))
        mixed = draft.add("Gather", [mixed, first], axis=1)
        hidden = draft.add("Gather", [hidden, first], axis=1)
    hidden = _project_and_norm(draft, names.attention_output, names.attention_norm, layer, mixed, hidden)
    wide = draft.add("MatMul", [hidden, _transposed(draft, names.widen.format(layer))])
    wide = draft.add("BiasGelu", [wide, draft.weight(f"{names.widen.format(layer)}.bias")], domain=MICROSOFT)
    return _project_and_norm(draft, names.narrow, names.layer_norm, layer, wide, hidden)


def _attend(draft: _Draft, parts: list[str], hidden: str, mask: str) -> str:
    """Self-attention with query, key and value weights side by side: (width, 3 * width)."""
    packed = np.concatenate([draft.weights[f"{part}.weight"].T for part in parts], axis=1)
    biases = np.concatenate([draft.weights[f"{part}.bias"] for part in parts])
    inputs = [
        hidden,
        draft.constant(f"{parts[0]}_key_value.weight", packed),
        draft.constant(f"{parts[0]}_key_value.bias", biases),
        mask,
    ]
    lowest = float(np.finfo(np.float32).min)
    return draft.add("Attention", inputs, domain=MICROSOFT, num_heads=draft.heads, mask_filter_value=lowest)


def _project_and_norm(draft: _Draft, dense: str, norm: str, layer: int, value: str, residual: str) -> str:
    product = draft.add("MatMul", [value, _transposed(draft, dense.format(layer))])
    return _add_and_norm(draft, norm.format(layer), product, residual, draft.weight(f"{dense.format(layer)}.bias"))


def _add_and_norm(draft: _Draft, norm: str, value: str, residual: str, *bias: str) -> str:
    inputs = [value, residual, draft.weight(f"{norm}.weight"), draft.weight(f"{norm}.bias"), *bias]
    return draft.add("SkipLayerNormalization", inputs, domain=MICROSOFT, epsilon=draft.epsilon)


def _dense(draft: _Draft, name: str, value: str) -> str:
    return draft.add("Gemm", [value, *_pair(draft, name)], transB=1)


def _pair(draft: _Draft, name: str) -> tuple[str, str]:
    return draft.weight(f"{name}.weight"), draft.weight(f"{name}.bias")


def _transposed(draft: _Draft, name: str) -> str:
    return draft.constant(f"{name}.weight", draft.weights[f"{name}.weight"].T)


def _epsilon(config: Any) -> float:
    """DistilBERT has no setting for it: its code says 1e-12."""
    return float(getattr(config, "layer_norm_eps", 1e-12))


def _first_position(model: PreTrainedModel) -> int | None:
    """The padding id where positions are counted from it (RoBERTa), None where they start at 0."""
    return int(model.config.pad_token_id) if "Bert" not in type(model).__name__ else None


def _assemble(draft: _Draft, inputs: list[str], labels: int) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in inputs]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])
    graph = helper.make_graph(draft.nodes, "classifier", values, [logits], list(draft.constants.values()))
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="mct")
