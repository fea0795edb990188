"""What stands on an encoder's backbone, for each kind of model: how llama.cpp pools, and what is left to the session.

llama.cpp's graph ends in one vector an input (first token, mean or last token), in a row for every token, or in the
head that BERT's and RoBERTa's classifiers have. Where a model goes on from there, its last layers are kept in a
safetensors file beside the GGUF file and applied by the session, in float32 whatever the type of the file: they are a
thousandth of the model. Other programs that open the file then get the backbone's answer, not the model's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gguf import PoolingType
from numpy.typing import NDArray
from torch import nn

from mct import MctError
from mct.compress.gguf.graphs.encoders import GRAPH, MODERN, Sizes, Tensor, plan_tensors
from mct.compress.gguf.graphs.weights import Read
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.load_embedder import Dense, Embedder, LayerNorm, load_embedder, load_with_head
from mct.models.families.table import Family
from mct.models.tasks.multi_head import SUFFIX

Array = NDArray[np.float32]
Step = str | dict[str, str]

# sentence-transformers' names of what llama.cpp does as well.
_POOLING = {"mean": PoolingType.MEAN, "cls": PoolingType.CLS, "lasttoken": PoolingType.LAST}

# What mct.targets.llama.heads computes, by torch's class for it; Identity is no step at all.
_ACTIVATIONS: Mapping[type[nn.Module], tuple[Step, ...]] = {
    nn.Identity: (), nn.Tanh: ("tanh",), nn.ReLU: ("relu",), nn.GELU: ("gelu",), nn.Sigmoid: ("sigmoid",),
}  # fmt: skip


# The activation of a classifier's head that a graph has.
_INSIDE = {GRAPH: "tanh", MODERN: "gelu"}


@dataclass(frozen=True)
class TaskHead:
    """A model above its backbone.

    `inside` are the tensors of the head that llama.cpp's graph has. `outside` are arrays for the session and `outputs`
    what it makes with them, as mct.targets.llama.encoders documents; both empty where llama.cpp does all.
    """

    pooling: PoolingType
    inside: tuple[Tensor, ...] = ()
    outside: Mapping[str, Array] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_head(checkpoint: Checkpoint, family: Family, sizes: Sizes, read: Read) -> TaskHead:
    """What stands on the backbone. MctError for a head or pooling that neither llama.cpp nor mct computes."""
    return _HEADS[checkpoint.network](checkpoint, family, sizes, read)


def _classifier(checkpoint: Checkpoint, family: Family, sizes: Sizes, read: Read) -> TaskHead:
    """Labels, or one score, from the first token through two layers."""
    if inside := classifier_inside(checkpoint, family, sizes):
        return TaskHead(PoolingType.RANK, inside)
    head = family.classifier
    assert head is not None, f"llama.cpp's graph was given to {family.model_type}, which has no head for labels"
    outside = _linear(read, "dense", head.dense, (sizes.hidden, sizes.hidden))
    outside |= _linear(read, "output", head.output, (sizes.labels, sizes.hidden))
    steps = [{"linear": "dense"}, head.activation, {"linear": "output"}]
    return TaskHead(PoolingType.CLS, outside=outside, outputs={"logits": {"per": "text", "steps": steps}})


def classifier_inside(checkpoint: Checkpoint, family: Family, sizes: Sizes) -> tuple[Tensor, ...]:
    """The tensors of a classifier's head that llama.cpp's graph has; empty where they stay outside."""
    head, graph = family.classifier, family.graphs["gguf"]
    if _HEADS[checkpoint.network] is not _classifier or head is None or head.activation != _INSIDE[graph]:
        return ()
    if graph == GRAPH:
        return tuple(plan_tensors({"cls": head.dense, "cls.output": head.output}, sizes))
    square, rows = (sizes.hidden, sizes.hidden), (sizes.labels, sizes.hidden)
    return (
        Tensor("cls.weight", f"{head.dense}.weight", square),
        Tensor("cls.norm.weight", f"{head.norm}.weight", square[:1]),
        Tensor("cls.output.weight", f"{head.output}.weight", rows),
        Tensor("cls.output.bias", f"{head.output}.bias", rows[:1]),
    )


def _tagger(checkpoint: Checkpoint, family: Family, sizes: Sizes, read: Read) -> TaskHead:
    """What stands on every token: one layer, which all families call "classifier", or the head that labels have too."""
    outside = _linear(read, "output", "classifier", (sizes.labels, sizes.hidden))
    if family.graphs["gguf"] == GRAPH:
        return TaskHead(PoolingType.NONE, outside=outside, outputs={"logits": _one_layer("token", "output")})
    head, square = family.classifier, (sizes.hidden, sizes.hidden)
    assert head is not None, f"{family.model_type} has no head for labels"
    dense = {
        "dense.weight": read(Tensor("dense", f"{head.dense}.weight", square)),
        "dense.bias": np.zeros(sizes.hidden, np.float32),
    }
    # The norm's weight stands before the last layer, and goes into it.
    outside["output.weight"] = outside["output.weight"] * read(Tensor("norm", f"{head.norm}.weight", square[:1]))
    steps = [{"linear": "dense"}, head.activation, "standardise", {"linear": "output"}]
    return TaskHead(PoolingType.NONE, outside=dense | outside, outputs={"logits": {"per": "token", "steps": steps}})


def _several_heads(checkpoint: Checkpoint, family: Family, sizes: Sizes, read: Read) -> TaskHead:
    """One layer a head, on the first token or on all of them."""
    outside: dict[str, Array] = {}
    outputs: dict[str, Mapping[str, Any]] = {}
    for head in checkpoint.heads:
        outside |= _linear(read, head.name, head.name, (len(head.labels), sizes.hidden))
        outputs[head.name + SUFFIX] = _one_layer("token" if head.kind == "tags" else "text", head.name)
    return TaskHead(PoolingType.NONE, outside=outside, outputs=outputs)


def _embedder(checkpoint: Checkpoint, family: Family, sizes: Sizes, read: Read) -> TaskHead:
    """A pooled vector through the folder's own steps."""
    embedder = load_embedder(checkpoint)
    outside, steps = _steps(embedder)
    outputs = {"sentence_embedding": {"per": "text", "steps": steps}}
    return TaskHead(_pooling(checkpoint, embedder), outside=outside, outputs=outputs)


def _embedder_with_head(checkpoint: Checkpoint, family: Family, sizes: Sizes, read: Read) -> TaskHead:
    """An embedder with a linear head on its vector."""
    module = load_with_head(checkpoint)
    outside, steps = _steps(module.embedder)
    outside |= _arrays("head", module.head)
    outputs = {"logits": {"per": "text", "steps": [*steps, {"linear": "head"}]}}
    return TaskHead(_pooling(checkpoint, module.embedder), outside=outside, outputs=outputs)


def _one_layer(per: str, name: str) -> dict[str, Any]:
    return {"per": per, "steps": [{"linear": name}]}


def _linear(read: Read, name: str, source: str, shape: tuple[int, int]) -> dict[str, Array]:
    return {
        f"{name}.weight": read(Tensor(name, f"{source}.weight", shape)),
        f"{name}.bias": read(Tensor(name, f"{source}.bias", shape[:1])),
    }


def _pooling(checkpoint: Checkpoint, embedder: Embedder) -> PoolingType:
    modes = embedder.pooling.modes
    if len(modes) == 1 and modes[0] in _POOLING:
        return _POOLING[modes[0]]
    raise MctError(
        f"{checkpoint.path} pools by {' and '.join(modes)}, which llama.cpp does not",
        f"llama.cpp pools by one of {', '.join(_POOLING)}; choose --format onnx or openvino for it",
    )


def _steps(embedder: Embedder) -> tuple[dict[str, Array], list[Step]]:
    """The arrays and steps behind the pooling: dense layers with their activations, norms."""
    outside: dict[str, Array] = {}
    steps: list[Step] = []
    for number, module in enumerate(embedder.steps):
        if isinstance(module, Dense):
            name = f"dense_{number}"
            outside |= _arrays(name, module.linear)
            steps += [{"linear": name}, *_ACTIVATIONS[type(module.activation)]]
        elif isinstance(module, LayerNorm):
            name = f"norm_{number}"
            weight, bias = (tensor.detach().numpy() for tensor in (module.weight, module.bias))
            outside |= {f"{name}.weight": np.diag(weight), f"{name}.bias": bias}
            steps += ["standardise", {"linear": name}]
        else:
            steps.append("normalise")
    return outside, steps


def _arrays(name: str, layer: nn.Linear) -> dict[str, Array]:
    """A layer's weight, and its bias or zeros."""
    weight: Array = layer.weight.detach().numpy()
    bias: Array = np.zeros(len(weight), dtype=np.float32) if layer.bias is None else layer.bias.detach().numpy()
    return {f"{name}.weight": weight, f"{name}.bias": bias}


_HEADS: Mapping[str, Callable[[Checkpoint, Family, Sizes, Read], TaskHead]] = {
    "sequence-classification": _classifier,
    "multi-label-classification": _classifier,
    "pair-scoring": _classifier,
    "token-classification": _tagger,
    "multi-head": _several_heads,
    "sentence-embedding": _embedder,
    "embedding-head": _embedder_with_head,
}
