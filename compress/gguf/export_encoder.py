"""Checkpoint to GGUF at F32: an encoder of any kind as llama.cpp's "bert" graph, its head inside or beside it.

Written with the gguf library straight from the safetensors file: no graph is traced, so the result depends on the
checkpoint's bytes alone. llama.cpp cannot know that a head is missing (it would answer with another model's scores),
so everything the architecture needs is planned and checked before the file is written.
"""

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from gguf import GGUFWriter, LlamaFileType, PoolingType
from safetensors.numpy import save

from mct.compress.gguf.graphs.encoders import Encoder, Sizes, Tensor, find_encoder, read_encoder
from mct.compress.gguf.graphs.heads import TaskHead, read_head
from mct.compress.gguf.graphs.weights import Read, open_weights, stored_names
from mct.compress.gguf.keys import add_keys
from mct.compress.gguf.tokenizer import add_vocabulary, read_vocabulary
from mct.compress.plan.passes import SCORERS, Product, Resources
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.data.declared import read_object
from mct.models.families.table import Family
from mct.models.writing.folders import write_bytes_atomically

MODEL = "model.gguf"
HEAD = "head.safetensors"


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `model.gguf` and, where llama.cpp's graph lacks the model's last layers, `head.safetensors`.

    MctError for an architecture, tokenizer or variant that llama.cpp does not compute, and for weights that do not fit.
    """
    checkpoint = resources.checkpoint
    family = find_encoder(checkpoint.model_type)
    outputs = 1 if checkpoint.network in SCORERS else len(checkpoint.labels)
    config = read_object(source.folder / "config.json")
    encoder = read_encoder(family, config, outputs, _prefix(source.folder, family))
    vocabulary = read_vocabulary(source.folder, encoder.sizes.vocabulary)
    with open_weights(source.folder) as read, closing(GGUFWriter(draft / MODEL, encoder.graph)) as writer:
        _add_tensors(writer, read, encoder.tensors)
        head = read_head(checkpoint, family, encoder.sizes, read)
        _add_tensors(writer, read, head.inside)
        _write_header(writer, checkpoint, encoder, head, config)
        add_vocabulary(writer, vocabulary)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    if head.outside:
        write_bytes_atomically(draft / HEAD, save(dict(head.outside)))
    notes = {"tokenizer": vocabulary.model, "tokenizer_differences": list(vocabulary.differences)}
    return Product(draft, MODEL, _settings(checkpoint, encoder.sizes, head), notes)


def _prefix(folder: Path, family: Family) -> str:
    """What stands before the backbone's names: something where it was saved with a head, nothing where alone."""
    return family.prefix if any(name.startswith(family.prefix) for name in stored_names(folder)) else ""


def _settings(checkpoint: Checkpoint, sizes: Sizes, head: TaskHead) -> dict[str, Any]:
    """What mct.targets.llama.encoders has to know that the file does not say."""
    settings: dict[str, Any] = {"pooling": head.pooling.name.lower()}
    if checkpoint.network in SCORERS:
        settings["second_segment"] = "added" if sizes.token_types > 1 else "ignored"
    if head.outside:
        settings["head"] = HEAD
    if head.outputs:
        settings["outputs"] = {name: dict(output) for name, output in head.outputs.items()}
    return settings


def _write_header(
    writer: GGUFWriter, checkpoint: Checkpoint, encoder: Encoder, head: TaskHead, config: Mapping[str, Any]
) -> None:
    """The graph's dimensions. The number of labels is nowhere else: llama.cpp counts their names, one without any."""
    writer.add_name(checkpoint.architecture)
    writer.add_file_type(LlamaFileType.ALL_F32)
    add_keys(writer, encoder.graph, encoder.keys)
    writer.add_token_type_count(encoder.sizes.token_types)
    writer.add_pooling_type(head.pooling)
    if pooling := config.get("classifier_pooling"):
        add_keys(writer, encoder.graph, {"classifier.pooling_type": int(PoolingType[pooling.upper()])})
    if checkpoint.labels:
        writer.add_classifier_output_labels(checkpoint.labels)


def _add_tensors(writer: GGUFWriter, read: Read, tensors: Iterable[Tensor]) -> None:
    for tensor in tensors:
        writer.add_tensor(tensor.name, read(tensor))
