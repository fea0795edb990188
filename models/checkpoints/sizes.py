"""How large a checkpoint is, by its weights' headers and by what its configurations promise: both must agree.

Read without loading a weight, so that a promise which nothing keeps is refused before it costs hours.
"""

from collections.abc import Mapping
from pathlib import Path

from mct import MctError
from mct.models.checkpoints.adapters import WEIGHTS as OF_ADAPTER
from mct.models.checkpoints.files import (
    CONFIG,
    SHARDS,
    TOKENIZER,
    TRANSFORMER,
    Config,
    Shards,
    TokenizerConfig,
    Transformer,
    read_if_there,
)
from mct.models.data.declared import read_json, read_object
from mct.models.families.table import find_family
from mct.models.tables import load

PICKLES = ("pytorch_model.bin", "model.pt", "pytorch_model.bin.index.json")

# A text has at least a token of its own beside those that mark its begin and end.
LEAST_TOKENS = 3

Shape = tuple[int, ...]


def check_sizes(path: Path, config: Config, shapes: Mapping[str, Shape]) -> None:
    """MctError where config.json promises a model that the weights cannot be: one much larger would take hours to fail.

    Whether every weight has its place and shape is for those to say who load it.
    """
    sizes = {size for shape in shapes.values() for size in shape}
    layers = config.num_hidden_layers or config.n_layers or config.n_layer or 0
    widths = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size or config.dim or config.n_embd,
    }
    for name, promised in widths.items():
        if promised is not None and promised not in sizes:
            raise _of_another_model(path, f"a {name} of {promised}, which no tensor has")
    if layers > len(shapes):
        raise _of_another_model(path, f"{layers} layers, and there are {len(shapes)} tensors")
    if config.vocab_size is not None and (config.pad_token_id or 0) >= config.vocab_size:
        raise _of_another_model(path, f"the pad_token_id {config.pad_token_id} beyond its vocab_size")


def _of_another_model(path: Path, promise: str) -> MctError:
    return MctError(
        f"{path / CONFIG} promises {promise}", f"weights and {CONFIG} must come from the same model: save both again"
    )


def most_tokens(path: Path, config: Config) -> int:
    """The longest input: what its positions, its tokenizer and its embedder all allow. MctError where no text fits."""
    positions = config.max_position_embeddings or config.n_positions or config.seq_length or 512
    family = find_family(config.model_type)
    if family is not None and family.positions_follow_padding:
        if "pad_token_id" in (said := read_object(path / CONFIG)) and said["pad_token_id"] is None:
            raise MctError(
                f"{path / CONFIG} says that there is no padding (pad_token_id is null), and this family counts its "
                "positions from there",
                "set it to the id of the tokenizer's padding token",
            )
        positions -= (1 if config.pad_token_id is None else config.pad_token_id) + 1
    most = int(min([positions, *said_limits(path)]))
    if most < LEAST_TOKENS:
        raise MctError(
            f"{path} takes inputs of {most} tokens: too few for any text",
            f"check max_position_embeddings in {CONFIG} and model_max_length in {TOKENIZER}",
        )
    return most


def said_limits(path: Path) -> list[float]:
    """How long an input the folder's tokenizer and its embedder say that they take, where they do."""
    tokenizer = read_if_there(path / TOKENIZER, TokenizerConfig)
    transformer = read_if_there(path / TRANSFORMER, Transformer)
    return [most for most in (tokenizer.model_max_length, transformer.max_seq_length) if most is not None]


def read_by_file(path: Path) -> dict[str, dict[str, Shape]]:
    """The shape of every tensor beside config.json, by file. MctError where there is none, or a part is missing."""
    read = load("mct.models.checkpoints.tensor_files:read_shapes")
    by_file = {file.name: read(file) for file in sorted(path.glob("*.safetensors")) if file.name != OF_ADAPTER}
    if (path / SHARDS).is_file():
        _check_shards(path, by_file)
    if not any(by_file.values()):
        raise _without_weights(path)
    return by_file


def _check_shards(path: Path, by_file: Mapping[str, Mapping[str, Shape]]) -> None:
    """MctError where the index of a checkpoint in several files names a file or a tensor that is not in the folder."""
    for tensor, file in read_json(path / SHARDS, Shards).weight_map.items():
        if tensor not in by_file.get(file, {}):
            lost = f"{tensor!r} of {file}" if file in by_file else f"the file {file!r}"
            raise MctError(
                f"{path / SHARDS} names {lost}, which is not in the folder", "copy all files of the checkpoint"
            )


def _without_weights(path: Path) -> MctError:
    pickles = [name for name in PICKLES if (path / name).is_file()]
    if not pickles:
        return MctError(f"{path} has no *.safetensors weights", "save them: model.save_pretrained(folder)")
    return MctError(
        f"{path} has its weights only as a pickle ({pickles[0]}), which can run code and is not loaded",
        "convert it where you trust it: "
        'python -c "from transformers import AutoModelForSequenceClassification as M; '
        f"M.from_pretrained('{path}').save_pretrained('{path}')\"",
    )
