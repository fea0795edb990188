"""Checkpoint to GGUF at F32: llama.cpp's "bert" graph with the classification head inside, or beside it.

Written with the gguf library straight from the safetensors file: no graph is traced, so the result depends on the
checkpoint's bytes alone. llama.cpp cannot know that a head is missing (it would answer with another model's scores),
so everything the architecture needs is planned and checked before the file is written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter, LlamaFileType, PoolingType
from numpy.typing import NDArray
from safetensors.numpy import save_file

from mct.compress.gguf_architectures import Architecture, Sizes, find_architecture, plan_tensors, read_sizes
from mct.compress.gguf_tokenizer import Vocabulary, read_vocabulary
from mct.compress.gguf_weights import open_weights
from mct.compress.passes import Material, Product
from mct.models.checkpoint import Checkpoint
from mct.models.folders import read_json

MODEL = "model.gguf"
HEAD = "head.safetensors"


def run(source: Product, draft: Path, settings: Mapping[str, Any], material: Material) -> Product:
    """Write `model.gguf` and, where llama.cpp's graph lacks the head, `head.safetensors` (dense, ReLU, output).

    MctError for an architecture, tokenizer or variant that llama.cpp does not compute, and for weights that do not fit.
    """
    checkpoint = material.checkpoint
    architecture = find_architecture(checkpoint.model_type)
    sizes = read_sizes(architecture, read_json(source.folder / "config.json"), len(checkpoint.labels))
    vocabulary = read_vocabulary(source.folder, sizes.vocabulary)
    writer = GGUFWriter(draft / MODEL, "bert")
    try:
        _describe(writer, checkpoint, architecture, sizes)
        _add_vocabulary(writer, vocabulary)
        head = _add_tensors(writer, source.folder, architecture, sizes)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    if head:
        save_file(head, draft / HEAD)
    kept_outside = {"head": HEAD} if head else {}
    notes = {"tokenizer": vocabulary.model, "tokenizer_differences": list(vocabulary.differences)}
    return Product(draft, MODEL, kept_outside, notes)


def _describe(writer: GGUFWriter, checkpoint: Checkpoint, architecture: Architecture, sizes: Sizes) -> None:
    """The graph's dimensions. The number of labels is nowhere else: llama.cpp counts their names."""
    writer.add_name(checkpoint.architecture)
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_context_length(sizes.positions)
    writer.add_embedding_length(sizes.hidden)
    writer.add_feed_forward_length(sizes.feed_forward)
    writer.add_block_count(sizes.layers)
    writer.add_head_count(sizes.heads)
    writer.add_layer_norm_eps(sizes.layer_norm_eps)
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.CLS if architecture.head_outside else PoolingType.RANK)
    writer.add_classifier_output_labels(checkpoint.labels)
    writer.add_token_type_count(sizes.token_types)


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    for name, row in vocabulary.specials.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", row)
    for name, value in vocabulary.flags.items():
        writer.add_bool(f"tokenizer.ggml.{name}", value)


def _add_tensors(
    writer: GGUFWriter, folder: Path, architecture: Architecture, sizes: Sizes
) -> dict[str, NDArray[np.float32]]:
    """Hand every tensor to the writer but those of a head that stays outside, which are returned."""
    head = {}
    with open_weights(folder) as read:
        for tensor in plan_tensors(architecture, sizes):
            values = read(tensor)
            if tensor.name.startswith("head."):
                head[tensor.name.removeprefix("head.")] = values
            else:
                writer.add_tensor(tensor.name, values)
    return head
