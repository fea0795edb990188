"""Which language models become GGUF: one row per Hugging Face model_type, one file per family of them.

A family's file reads the configuration and says three things: llama.cpp's name of the graph, its dimensions, and where
in the checkpoint each tensor of that graph lies. llama.cpp is strict about names but not about meaning (a matrix in the
wrong order is a model that talks nonsense), so whatever its graph does not compute is refused here by name, and every
tensor of the checkpoint must have found its place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.compress.gguf.graphs.encoders import Tensor
from mct.models.families.table import graph_of, with_graph
from mct.models.tables import load, unknown

Array = NDArray[np.float32]
Config = Mapping[str, Any]
Keys = Mapping[str, int | float | str | Sequence[bool]]
Arrange = Callable[[Sequence[Array]], Array]


def only(sources: Sequence[Array]) -> Array:
    """The one source as it is: how most tensors are written."""
    (values,) = sources
    return values


@dataclass(frozen=True)
class Weight:
    """One tensor of the file: `arrange` makes it of the checkpoint's `sources`.

    `reads` is the module of the torch model whose input it multiplies ("" where importance means nothing): a linear
    layer, or the experts of a layer with `part` "up" or "down".
    """

    name: str
    sources: tuple[Tensor, ...]
    arrange: Arrange = only
    reads: str = ""
    part: str = ""


def plain(name: str, source: str, shape: tuple[int, ...], arrange: Arrange = only, reads: str = "") -> Weight:
    """A tensor of the file that is one of the checkpoint's."""
    return Weight(name, (Tensor(name, source, shape),), arrange, reads)


def with_bias(
    name: str, source: str, shape: tuple[int, ...], arrange: Arrange = only, reads: str = ""
) -> Iterator[Weight]:
    """A linear layer, or a norm that subtracts the mean: its weight, and a bias of its rows."""
    yield plain(f"{name}.weight", f"{source}.weight", shape, arrange, reads)
    yield plain(f"{name}.bias", f"{source}.bias", shape[:1], arrange)


@dataclass(frozen=True)
class Decoder:
    """A language model in llama.cpp's terms.

    `keys` are GGUF's, without the graph's name in front. `context` is the longest input that the graph computes as the
    original does. `extra` are tensors that stand in no checkpoint. `output` is what the checkpoint calls the matrix of
    the logits. `notes` say what a user should know.
    """

    graph: str
    keys: Keys
    weights: tuple[Weight, ...]
    context: int
    extra: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    output: str = "lm_head.weight"


# By the graph that a family's row names. Each file has two functions: `check(config)`, which refuses what the graph
# does not compute and can be asked of a configuration as it stands in a file, and `read_decoder(config)`, for one with
# its family's defaults filled in.
GRAPHS = {
    "llama": "mct.compress.gguf.graphs.decoder_llama",
    "qwen2": "mct.compress.gguf.graphs.decoder_qwen",
    "qwen2moe": "mct.compress.gguf.graphs.decoder_qwen",
    "qwen3": "mct.compress.gguf.graphs.decoder_qwen",
    "qwen3moe": "mct.compress.gguf.graphs.decoder_qwen",
    "gpt2": "mct.compress.gguf.graphs.decoder_gpt2",
    "smollm3": "mct.compress.gguf.graphs.decoder_llama",
    "phi3": "mct.compress.gguf.graphs.decoder_phi",
    "gemma2": "mct.compress.gguf.graphs.decoder_gemma",
    "gemma3": "mct.compress.gguf.graphs.decoder_gemma",
    "gptneox": "mct.compress.gguf.graphs.decoder_megatron",
    "bloom": "mct.compress.gguf.graphs.decoder_megatron",
}


def read_decoder(config: Config) -> Decoder:
    """The plan of a language model's file, from its whole configuration (defaults filled in).

    MctError for a family that has no row, and for a variant that llama.cpp does not compute.
    """
    check(config)
    try:
        decoder: Decoder = load(f"{_file(config)}:read_decoder")(config)
    except KeyError as error:
        raise MctError(
            f"config.json does not say {error}", "save it again with: model.save_pretrained(folder)"
        ) from error
    return decoder


def check(config: Config) -> None:
    """MctError for a family that has no row, and for a variant that is said and that llama.cpp does not compute."""
    load(f"{_file(config)}:check")(config)


def _file(config: Config) -> str:
    model_type = str(config.get("model_type"))
    graph = graph_of(model_type, "gguf")
    if graph not in GRAPHS:
        raise unknown("kind of language model for GGUF", model_type, with_graph("gguf", GRAPHS))
    return GRAPHS[graph]


def require(config: Config, key: str, *allowed: Any) -> None:
    """MctError where the configuration asks for what llama.cpp's graph of this family does not compute."""
    if key in config and config[key] not in allowed:
        wanted = " or ".join(repr(value) for value in allowed)
        raise MctError(
            f"llama.cpp computes {config['model_type']} with {key} {wanted}; this checkpoint has {config[key]!r}",
            "choose --format onnx or openvino for it",
        )
