"""Which decoders cannot be written as ONNX, told from config.json alone: what the plan asks before anything is loaded.

Encoders have no such list: one whose graph is not known is traced.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.data.declared import read_object
from mct.models.families.table import graph_of, with_graph

# GPT-2's activations by their names in configurations, and the operators. FastGelu is the approximation by tanh.
GPT_2_ACTIVATIONS = {"gelu_new": "FastGelu", "gelu_pytorch_tanh": "FastGelu", "gelu": "Gelu"}

# Rotations whose angles depend on the length of the text, which one table cannot hold.
_VARYING_ROTATIONS = frozenset({"dynamic", "longrope"})
_HEAD_WIDTH_STEP = 16

Config = Mapping[str, Any]


def why_not(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why a language or reward model cannot become ONNX; "" where it can."""
    return obstacle(read_object(checkpoint.sizes / "config.json"))


def obstacle(config: Config) -> str:
    """The same from a configuration; what it does not say is its family's default."""
    family = str(config.get("model_type"))
    if known := _GRAPHS.get(graph_of(family, "onnx")):
        return known(config)
    return f"the graph of {family} is not known; known are {', '.join(with_graph('onnx', _GRAPHS))}"


def _of_gpt_2(config: Config) -> str:
    activation = config.get("activation_function", "gelu_new")
    if activation not in GPT_2_ACTIVATIONS:
        return f"its activation is {activation}"
    return "it attends to an encoder" if config.get("add_cross_attention") else ""


def _of_llama(config: Config) -> str:
    activation = config.get("hidden_act", "silu")
    if activation != "silu":
        return f"its activation is {activation}"
    rotation = _rotation(config)
    if rotation in _VARYING_ROTATIONS:
        return f"its {rotation} rotation changes with the length of the text"
    width = head_width(config)
    if width % _HEAD_WIDTH_STEP:
        return f"its heads are {width} wide, and the rotation needs a multiple of {_HEAD_WIDTH_STEP}"
    return ""


def _rotation(config: Config) -> str:
    """The kind of rotation, as this transformers writes it, or as earlier ones did."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return str(rope.get("rope_type") or rope.get("type") or "default")


def head_width(config: Config) -> int:
    """The width of a head, worked out where it is not given."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


# By the graph that a family's row names.
_GRAPHS: Mapping[str, Callable[[Config], str]] = {"gpt2": _of_gpt_2, "llama": _of_llama}
