"""Leave out the pieces that the user's texts never need: their rows of the embeddings, and of the output matrix.

A small encoder's word embeddings are half of its bytes or more, and one shop's texts meet a third of them. Texts whose
pieces are all kept get the same ids but for their numbering, so the same answers to the last bit; other texts are cut
into shorter pieces, and what that changes is measured. Ids keep their order, so the padding and the special tokens that
come first stay where they are.

The idea: Abdaoui et al. 2020, arXiv:2010.05609, who trimmed multilingual models to the languages they were used in.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mct import MctError
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import copy_rest, rewrite_weights
from mct.compress.run.inputs import encode_requests
from mct.compress.shrink.tokenizer import Ids, pieces_needed, trimmed
from mct.models.checkpoints.files import pieces_of, read_tokenizer
from mct.models.data.declared import read_object
from mct.models.families.table import find_family
from mct.models.writing.folders import write_atomically, write_json

# Where positions are counted from it and config.json does not say it: RoBERTa's, which the library takes.
PADDING = 1

# What says again what tokenizer.json says: written anew where it is easy, left out where it is not.
_LEFT_OUT = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "added_tokens.json")


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint with the pieces that the calibration texts need, and every single character."""
    folder = source.folder
    tokenizer = read_tokenizer(folder)
    texts = resources.calibration_requests()
    used = {number for tokens in encode_requests(resources.checkpoint, texts) for number in tokens.ids}
    config = read_object(folder / "config.json")
    special = {number for each in (config, _generation(folder)) for number in _ids_in(each)}
    known = set(pieces_of(tokenizer).values())
    kept = sorted(pieces_needed(tokenizer, used | (special & known)))
    new = {old: number for number, old in enumerate(kept)}
    _require_padding_in_place(config, new)
    _rewrite_words(folder, draft, config, kept)
    write_json(draft / "tokenizer.json", trimmed(tokenizer, new))
    _rewrite_companions(folder, draft, new)
    write_json(draft / "config.json", _renumbered(config, new) | {"vocab_size": len(kept)})
    copy_rest(folder, draft)
    for name in _LEFT_OUT:
        (draft / name).unlink(missing_ok=True)
    return Product(draft, "", notes={"pieces": len(kept), "of": len(known), "texts": len(texts)})


def _generation(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    return dict(read_object(path)) if path.is_file() else {}


def _ids_in(config: Mapping[str, Any]) -> set[int]:
    """Every token id that a configuration names: "eos_token_id" may be one or a list."""
    named = [value for key, value in config.items() if key.endswith("_token_id")]
    return {number for value in named for number in (value if isinstance(value, list) else [value]) if _is_id(number)}


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _renumbered(config: Mapping[str, Any], new: Ids) -> dict[str, Any]:
    """The configuration with its token ids in the new numbering; what names pieces that went is left out."""
    found = dict(config)
    for key, value in config.items():
        if key.endswith("_token_id") and _is_id(value):
            found[key] = new.get(value)
        elif key.endswith(("_token_id", "suppress_tokens")) and isinstance(value, list):
            found[key] = [new[number] for number in value if _is_id(number) and number in new]
        elif key == "bad_words_ids" and isinstance(value, list):
            words = [word for word in value if isinstance(word, list) and all(_is_id(n) and n in new for n in word)]
            found[key] = [[new[number] for number in word] for word in words] or None
    return found


def _require_padding_in_place(config: Mapping[str, Any], new: Ids) -> None:
    """MctError where positions are counted from the padding's id, and that would change."""
    family, padding = find_family(config["model_type"]), config.get("pad_token_id", PADDING)
    if family is not None and family.positions_follow_padding and new.get(padding) != padding:
        raise MctError(
            f"a {config['model_type']} model counts positions from its padding id {padding}, which would change",
            "its padding has to be among the first pieces of the vocabulary",
        )


def _rewrite_words(folder: Path, draft: Path, config: Mapping[str, Any], kept: list[int]) -> None:
    """Write the weights with the rows of the pieces that stay, of every table that has one row a piece."""
    family = find_family(config["model_type"])
    assert family is not None
    rows = torch.tensor(kept)
    tables = (family.words, *family.word_rows)

    def change(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor]:
        is_table = any(name == table or name.endswith(f".{table}") for table in tables)
        return name, tensor[rows].contiguous() if is_table else tensor

    rewrite_weights(folder, draft, change)


def _rewrite_companions(folder: Path, draft: Path, new: Ids) -> None:
    """What names pieces or their ids beside tokenizer.json, where the folder has it."""
    tokenizer = read_object(draft / "tokenizer.json")
    model = tokenizer["model"]
    if (folder / "vocab.txt").is_file():
        pieces = sorted(pieces_of(tokenizer).items(), key=lambda entry: entry[1])
        write_atomically(draft / "vocab.txt", "".join(f"{piece}\n" for piece, _ in pieces))
    if (folder / "vocab.json").is_file():
        write_json(draft / "vocab.json", model["vocab"])
    if (folder / "merges.txt").is_file():
        merges = "".join(f"{left} {right}\n" for left, right in model["merges"])
        write_atomically(draft / "merges.txt", f"#version: 0.2\n{merges}")
    if (folder / "generation_config.json").is_file():
        write_json(draft / "generation_config.json", _renumbered(_generation(folder), new))
    if (folder / "tokenizer_config.json").is_file():
        write_json(draft / "tokenizer_config.json", _renumbered_added(folder / "tokenizer_config.json", new))


def _renumbered_added(path: Path, new: Ids) -> dict[str, Any]:
    """A tokenizer's configuration, which may describe the pieces that were added to it by their ids."""
    found = read_object(path)
    added = found.get("added_tokens_decoder")
    if isinstance(added, dict):
        known = {old: token for old, token in added.items() if old.isdecimal() and int(old) in new}
        found["added_tokens_decoder"] = {str(new[int(old)]): token for old, token in known.items()}
    return found
