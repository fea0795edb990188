"""A language model, or a reward model, to GGUF at F32: the decoder's graph with its tokenizer and chat template.

A reward model is the same decoder without its output matrix: llama.cpp pools the last token's vector, and the score
layer is kept beside the file and applied by the session (its own graph knows none for decoders).

What would end llama.cpp, or make another model of this one, is found before a byte is written: a tensor that is missing
or has another shape, one that no place was found for, embeddings that are tied in the configuration and not in the
weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter, LlamaFileType, PoolingType
from safetensors.numpy import save
from transformers import AutoConfig

from mct import MctError
from mct.compress.gguf.adapter_files import SUFFIX, write_adapter
from mct.compress.gguf.graphs.decoders import Config, Decoder, read_decoder
from mct.compress.gguf.graphs.encoders import Tensor
from mct.compress.gguf.graphs.weights import Read, open_weights, stored_names
from mct.compress.gguf.keys import add_keys
from mct.compress.gguf.obstacles import no_reward
from mct.compress.gguf.prefix_state import settings_of, write_state
from mct.compress.gguf.tokenizer import Vocabulary, add_vocabulary, read_vocabulary
from mct.compress.merge.kept_adapters import load_kept
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.kept_files import file_names
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.load import REFUSALS, cannot_load
from mct.models.checkpoints.load_adapter import load_with_prefix
from mct.models.writing.folders import write_bytes_atomically

MODEL = "model.gguf"
HEAD = "head.safetensors"
HEAD_SOURCE = "score.weight"

PHI_3_TOKENS = frozenset({"<s>", "</s>", "<unk>", "<|endoftext|>"})

# For mct.targets.llama.rewards: one layer on the last token's vector.
_SCORED = {
    "pooling": "last",
    "head": HEAD,
    "outputs": {"logits": {"per": "text", "steps": [{"linear": "output"}]}},
}

# Buffers that older versions of transformers saved: they hold no weights.
_BUFFERS = (
    ".rotary_emb.inv_freq", ".attn.masked_bias", ".attn.bias", ".attention.masked_bias", ".attention.bias",
)  # fmt: skip


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `model.gguf`, and `head.safetensors` for a reward model. MctError for what llama.cpp cannot hold.

    The F32 model is run with an F32 cache: what it continues is then what the original continues, token by token.
    """
    checkpoint = resources.checkpoint
    folder = checkpoint.sizes  # adapters that are kept lie beside it
    config = read_config(folder)
    stored = stored_names(folder)
    planned = plan(checkpoint, config)
    decoder = _as_stored(planned, stored, config["tie_word_embeddings"])
    vocabulary = read_vocabulary(checkpoint.vocabulary, config["vocab_size"])
    _check_names(folder, decoder, config, stored - ({HEAD_SOURCE} if checkpoint.network == "reward" else set()))
    writer = GGUFWriter(draft / MODEL, decoder.graph)
    try:
        writer.add_name(_name(checkpoint.architecture, vocabulary.tokens))
        _write_header(writer, checkpoint, decoder)
        add_vocabulary(writer, vocabulary)
        with open_weights(folder) as read:
            _add_tensors(writer, decoder, read)
            if checkpoint.network == "reward":
                _keep_head(read, draft / HEAD, len(checkpoint.labels) or 1, config["hidden_size"])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    scored = _SCORED if checkpoint.network == "reward" else {}
    settings = {"cache": "f32", "context": decoder.context, **scored}
    product = Product(draft, MODEL, settings, _notes(decoder, vocabulary))
    return product if checkpoint.adaptation is None else _with_adapters(product, checkpoint, planned)


def _with_adapters(product: Product, checkpoint: Checkpoint, decoder: Decoder) -> Product:
    """The product with the files of adapters that stay beside it, or of the prefix that stands before every text."""
    settings, notes, draft = product.settings, product.notes, product.folder
    if checkpoint.has_prefix:
        _, prefix = load_with_prefix(checkpoint)
        write_state(draft, MODEL, decoder, prefix)
        told = settings_of(prefix)
        return replace(product, settings={**settings, **told, "context": decoder.context - int(told["prefix_tokens"])})
    _, kept = load_kept(checkpoint)
    names = file_names(kept, SUFFIX)
    written = {name: write_adapter(draft / names[name], decoder, layers) for name, layers in kept.items()}
    return replace(product, settings={**settings, "adapters": names}, notes={**notes, "adapters": written})


def read_config(folder: Path) -> Config:
    """The checkpoint's configuration with the defaults of its family filled in, as transformers reads it."""
    try:
        found: dict[str, Any] = AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        ).to_dict()
    except REFUSALS as error:
        raise cannot_load(folder, error) from error
    return found


def plan(checkpoint: Checkpoint, config: Config) -> Decoder:
    """The decoder's plan; a reward model has no output matrix."""
    decoder = read_decoder(config)
    if checkpoint.network != "reward":
        return decoder
    if reason := no_reward(checkpoint.model_type):
        raise MctError(reason, "choose another format")
    head = decoder.output.removesuffix(".weight")
    weights = (replace(weight, reads="") if weight.reads == head else weight for weight in decoder.weights)
    return replace(decoder, weights=tuple(weight for weight in weights if weight.name != "output.weight"))


def _as_stored(decoder: Decoder, stored: frozenset[str], tied: bool) -> Decoder:
    """The plan with each tensor under the name it has here."""
    weights = (
        replace(
            weight, sources=tuple(_located(tensor, stored, decoder.output if tied else "") for tensor in weight.sources)
        )
        for weight in decoder.weights
    )
    return replace(decoder, weights=tuple(weights))


def _located(tensor: Tensor, stored: frozenset[str], tied: str) -> Tensor:
    """A bare model is saved without the prefix of its own; embeddings `tied` to an output once, under either name."""
    prefix, _, bare = tensor.source.partition(".")
    if tensor.source in stored:
        return tensor
    if prefix in {"transformer", "model", "gpt_neox"} and bare in stored:
        return replace(tensor, source=bare)
    if tied in stored and tensor.name == "token_embd.weight":
        return replace(tensor, source=tied)
    return tensor


def _check_names(folder: Path, decoder: Decoder, config: Config, stored: frozenset[str]) -> None:
    """Every tensor of the checkpoint has found its place, and tied embeddings are tied."""
    used = {tensor.source for weight in decoder.weights for tensor in weight.sources}
    left = {name for name in stored - used if not name.endswith(_BUFFERS)}
    if decoder.output in left and config["tie_word_embeddings"]:
        _require_tied(folder, decoder)
        left -= {decoder.output}
    if left:
        raise MctError(
            f"{folder} has {len(left)} tensors that llama.cpp's {decoder.graph} has no place for: {min(left)}",
            "is it saved from the architecture that its config.json names?",
        )


def _require_tied(folder: Path, decoder: Decoder) -> None:
    (embeddings,) = next(weight for weight in decoder.weights if weight.name == "token_embd.weight").sources
    with open_weights(folder) as read:
        same = np.array_equal(read(embeddings), read(replace(embeddings, source=decoder.output)))
    if not same:
        raise MctError(
            f"{folder}: config.json ties output and input embeddings, but {decoder.output} differs from them",
            'set "tie_word_embeddings": false in config.json if the output was trained on its own',
        )


def _name(architecture: str, tokens: Sequence[str]) -> str:
    """The architecture, but for a Phi-3 without the tokens that llama.cpp looks up blindly where it reads that name."""
    return architecture if "phi3" not in architecture.lower() or PHI_3_TOKENS.issubset(tokens) else "Decoder"


def _write_header(writer: GGUFWriter, checkpoint: Checkpoint, decoder: Decoder) -> None:
    writer.add_file_type(LlamaFileType.ALL_F32)
    add_keys(writer, decoder.graph, decoder.keys)
    if checkpoint.network == "reward":
        writer.add_pooling_type(PoolingType.LAST)


def _add_tensors(writer: GGUFWriter, decoder: Decoder, read: Read) -> None:
    for name, values in decoder.extra.items():
        writer.add_tensor(name, values)
    for weight in decoder.weights:
        sources = [read(tensor) for tensor in weight.sources]
        writer.add_tensor(weight.name, np.ascontiguousarray(weight.arrange(sources)))


def _keep_head(read: Read, path: Path, labels: int, hidden: int) -> None:
    weight = read(Tensor("output", HEAD_SOURCE, (labels, hidden)))
    write_bytes_atomically(path, save({"output.weight": weight, "output.bias": np.zeros(labels, dtype=np.float32)}))


def _notes(decoder: Decoder, vocabulary: Vocabulary) -> dict[str, Any]:
    notes: dict[str, Any] = {
        "graph": decoder.graph,
        "context": decoder.context,
        "tokenizer": vocabulary.model,
        "pre_tokenizer": vocabulary.pre,
        "tokenizer_differences": list(vocabulary.differences),
        "chat_template": bool(vocabulary.chat_template),
    }
    return notes | ({"remarks": list(decoder.notes)} if decoder.notes else {})
