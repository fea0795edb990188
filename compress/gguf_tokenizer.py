"""The checkpoint's tokenizer.json in GGUF's terms, so that llama.cpp's own programs cut text into the same ids.

mct itself feeds ids that tokenizer.json gave; this is for everyone else who opens the file. llama.cpp knows WordPiece
as "bert" and byte-level BPE as "gpt2", each with a fixed normaliser and pre-tokeniser: where tokenizer.json asks for
others, the difference is noted rather than hidden.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.folders import read_json

# Token types of the GGUF format.
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5

# GGUF's name of a special token -> the key in tokenizer_config.json, and what it is called where that says nothing.
_SPECIALS = {
    "bos": ("cls_token", ("[CLS]", "<s>")),
    "eos": ("sep_token", ("[SEP]", "</s>")),
    "seperator": ("sep_token", ("[SEP]", "</s>")),  # spelt so in the format
    "unknown": ("unk_token", ("[UNK]", "<unk>")),
    "padding": ("pad_token", ("[PAD]", "<pad>")),
    "mask": ("mask_token", ("[MASK]", "<mask>")),
}


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer as GGUF metadata. `specials` maps GGUF's name ("bos") to an id; `flags` are further keys.

    `differences` lists what llama.cpp's tokenizer will do otherwise than tokenizer.json asks.
    """

    model: str
    pre: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...] = ()
    specials: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, bool] = field(default_factory=dict)
    differences: tuple[str, ...] = ()


def read_vocabulary(folder: Path, size: int) -> Vocabulary:
    """The tokenizer of a checkpoint whose embedding has `size` rows. MctError for a kind llama.cpp does not have."""
    tokenizer = read_json(folder / "tokenizer.json")
    kind = tokenizer["model"].get("type", "WordPiece")
    if kind not in _KINDS:
        raise MctError(
            f"{folder} has a {kind} tokenizer, which cannot be written as GGUF yet",
            f"tokenizers that can: {', '.join(_KINDS)}",
        )
    tokens, types = _tokens(folder, tokenizer, size)
    config = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    return _KINDS[kind](tokenizer, tokens, types, _special_ids(config, tokens))


def _tokens(folder: Path, tokenizer: Mapping[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Text and type of every id. Ids that the tokenizer never gives are filled up: llama.cpp counts rows by them."""
    by_id: dict[int, str] = {number: text for text, number in tokenizer["model"]["vocab"].items()}
    types = dict.fromkeys(by_id, NORMAL)
    for added in tokenizer.get("added_tokens", ()):
        by_id[added["id"]] = added["content"]
        types[added["id"]] = CONTROL if added.get("special") else USER_DEFINED
    if max(by_id) >= size:
        raise MctError(
            f"{folder}: the tokenizer gives ids up to {max(by_id)}, the model has {size} embeddings",
            "tokenizer and weights must come from the same model",
        )
    return [by_id.get(row, f"[UNUSED_{row}]") for row in range(size)], [types.get(row, UNUSED) for row in range(size)]


def _special_ids(config: Mapping[str, Any], tokens: list[str]) -> dict[str, int]:
    ids = {text: row for row, text in enumerate(tokens)}
    found = {}
    for name, (key, usual) in _SPECIALS.items():
        named = config.get(key)
        text = named.get("content") if isinstance(named, dict) else named
        for candidate in (text, *usual):
            if candidate in ids:
                found[name] = ids[candidate]
                break
    return found


def _wordpiece(
    tokenizer: Mapping[str, Any], tokens: list[str], types: list[int], specials: Mapping[str, int]
) -> Vocabulary:
    """llama.cpp marks the start of a word where WordPiece marks its continuation, so every text is rewritten."""
    prefix = tokenizer["model"].get("continuing_subword_prefix", "##")
    marked = [
        text
        if kind in {CONTROL, USER_DEFINED, UNUSED}
        else text[len(prefix) :]
        if text.startswith(prefix)
        else "▁" + text
        for text, kind in zip(tokens, types, strict=True)
    ]
    normalizer = tokenizer.get("normalizer") or {}
    lowercase = bool(normalizer.get("lowercase", normalizer.get("type") == "Lowercase"))
    strip = normalizer.get("strip_accents")
    flags = {"normalizer.lowercase": lowercase, "normalizer.strip_accents": lowercase if strip is None else bool(strip)}
    differences = [
        *_unlike(tokenizer, "normalizer", "BertNormalizer"),
        *_unlike(tokenizer, "pre_tokenizer", "BertPreTokenizer"),
        *(() if normalizer.get("handle_chinese_chars", True) else ("each Chinese character becomes a word",)),
    ]
    return Vocabulary("bert", "default", _unique(marked), tuple(types), (), specials, flags, tuple(differences))


def _byte_level_bpe(
    tokenizer: Mapping[str, Any], tokens: list[str], types: list[int], specials: Mapping[str, int]
) -> Vocabulary:
    """RoBERTa's: GPT-2's bytes and pattern, with <s> … </s> around each text."""
    merges = tuple(pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"])
    flags = {"add_bos_token": True, "add_eos_token": True, "add_sep_token": True}
    differences = [*_unlike(tokenizer, "pre_tokenizer", "ByteLevel")]
    if (tokenizer.get("pre_tokenizer") or {}).get("add_prefix_space"):
        differences.append("no space is put before the first word")
    if tokenizer.get("normalizer"):
        differences.append("text is not normalised")
    return Vocabulary("gpt2", "roberta-bpe", _unique(tokens), tuple(types), merges, specials, flags, tuple(differences))


def _unlike(tokenizer: Mapping[str, Any], part: str, expected: str) -> list[str]:
    found = (tokenizer.get(part) or {}).get("type")
    return [] if found == expected else [f"the {part} is {expected}, not {found}"]


def _unique(tokens: list[str]) -> tuple[str, ...]:
    """llama.cpp ends the process on two tokens of equal text: all but the first get a space, which no token has."""
    seen: set[str] = set()
    unique = []
    for row, text in enumerate(tokens):
        unique.append(f"{text} {row}" if text in seen or not text else text)
        seen.add(text)
    return tuple(unique)


_KINDS = {"WordPiece": _wordpiece, "BPE": _byte_level_bpe}
