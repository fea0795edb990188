"""Which decoders cannot be written as ONNX, told from config.json alone: what the plan asks before anything is loaded.

Encoders have no such list: one whose graph is not known is traced.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.data.declared import read_object
from mct.models.families.rotations import kind_of, rotations, share_of
from mct.models.families.table import find_family, graph_of, with_graph

# Activations by their names in configurations, and the operators. FastGelu is the approximation by tanh.
GELUS = {"gelu_new": "FastGelu", "gelu_fast": "FastGelu", "gelu_pytorch_tanh": "FastGelu", "gelu": "Gelu"}
GATED_ACTIVATIONS = {"silu": "QuickGelu", **GELUS}

# Rotations whose angles change with every token of a text, which no table can hold.
_VARYING_ROTATIONS = frozenset({"dynamic"})
_ROTATED_STEP = 16

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


def activation_of(config: Config) -> str:
    """What config.json calls the activation; "" where it leaves that to its family's default."""
    family = find_family(str(config.get("model_type")))
    found = config.get(family.keys.activation) if family else None
    return str(found or config.get("hidden_act") or "")


def _of_gpt_2(config: Config) -> str:
    activation = activation_of(config)
    if activation and activation not in GELUS:
        return f"its activation is {activation}"
    return "it attends to an encoder" if config.get("add_cross_attention") else ""


def _of_llama(config: Config) -> str:
    return _of_gated(config, ("silu",)) or _of_rotation(config)


def _of_gemma(config: Config) -> str:
    if config.get("use_bidirectional_attention"):
        return "its tokens look at those behind them too"
    return _of_gated(config, tuple(GELUS)) or _of_rotation(config)


def _of_neox(config: Config) -> str:
    return _of_gated(config, tuple(GELUS)) or _of_rotation(config)


def _of_bloom(config: Config) -> str:
    return "its residuals begin behind the norms" if config.get("apply_residual_connection_post_layernorm") else ""


def _of_gated(config: Config, known: Sequence[str]) -> str:
    activation = activation_of(config)
    return f"its activation is {activation}" if activation and activation not in known else ""


def _of_rotation(config: Config) -> str:
    for rotation in rotations(config):
        if kind_of(rotation) in _VARYING_ROTATIONS:
            return f"its {kind_of(rotation)} rotation changes with the length of the text"
        turned = int(head_width(config) * share_of(config, rotation))
        if turned % _ROTATED_STEP:
            return f"it rotates {turned} channels of a head, and the operator needs a multiple of {_ROTATED_STEP}"
    return ""


def head_width(config: Config) -> int:
    """The width of a head, worked out where it is not given."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


# By the graph that a family's row names.
_GRAPHS: Mapping[str, Callable[[Config], str]] = {
    "gpt2": _of_gpt_2, "llama": _of_llama, "gemma": _of_gemma, "gpt_neox": _of_neox, "bloom": _of_bloom,
}  # fmt: skip
