"""Which models llama.cpp cannot run, told from a folder's small files: what the plan asks before anything is built.

The exports ask the same functions once more.
"""

from collections.abc import Mapping
from typing import Any

from mct import MctError
from mct.compress.gguf.graphs.decoders import check
from mct.compress.gguf.graphs.encoders import find_encoder, read_encoder
from mct.compress.gguf.tokenizer import read_vocabulary
from mct.models.checkpoints.checkpoint import STATIC, Checkpoint
from mct.models.data.declared import read_object
from mct.models.families.table import graph_of

# Graphs that cannot do without the matrix that a reward model does not have.
OUTPUT_NEEDED = ("qwen2moe", "gptneox")

# Graphs whose cache takes a prefix, each held against the original by a test.
PREFIXED = frozenset({"llama", "qwen2", "gpt2"})


def no_reward(model_type: str) -> str:
    """Why a family's reward models cannot become GGUF; "" where they can."""
    graph = graph_of(model_type, "gguf")
    return f"llama.cpp's {graph} needs an output matrix, and a reward model has none" if graph in OUTPUT_NEEDED else ""


def why_not_encoder(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why an encoder cannot become GGUF: its family, its variant or its tokenizer; "" where it can."""
    if checkpoint.model_type == STATIC:
        return "a table of vectors has no layer, and llama.cpp runs no graph without one"
    if checkpoint.has_prefix:
        return "llama.cpp's encoders have no cache that a prefix of keys and values could stand in"
    config = read_object(checkpoint.sizes / "config.json")
    try:
        encoder = read_encoder(find_encoder(checkpoint.model_type), config, len(checkpoint.labels))
        read_vocabulary(checkpoint.vocabulary, encoder.sizes.vocabulary)
    except MctError as error:
        return error.message
    return ""


def why_not_decoder(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why a language or reward model cannot become GGUF: its family, its variant or its tokenizer; "" where it can.

    What config.json leaves to its family's defaults is looked at by the export, once transformers has filled it in.
    """
    config = read_object(checkpoint.sizes / "config.json")
    if checkpoint.has_prefix and (graph := graph_of(checkpoint.model_type, "gguf")) not in PREFIXED:
        return f"a prefix in llama.cpp's {graph or checkpoint.model_type} was never held against the original"
    if checkpoint.network == "reward" and (reason := no_reward(checkpoint.model_type)):
        return reason
    try:
        check(config)
        if "vocab_size" in config:
            read_vocabulary(checkpoint.vocabulary, config["vocab_size"])
    except MctError as error:
        return error.message
    return ""
