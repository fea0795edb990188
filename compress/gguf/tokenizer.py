"""The checkpoint's tokenizer.json in GGUF's terms, so that llama.cpp's own programs cut text into the same ids.

mct itself feeds ids that tokenizer.json gave; this is for everyone else who opens the file. Of llama.cpp's kinds four
are written: WordPiece as "bert", byte-level BPE as "gpt2" (byte_level.py), and of SentencePiece's two BPE on characters
as "llama" (sentencepiece.py) and Unigram as "t5" (unigram.py), each with a fixed pre-tokeniser. What it would cut in a
wholly different way is refused; where only rare texts differ, the difference is noted rather than hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mct import MctError
from mct.models.checkpoints.files import read_tokenizer
from mct.models.data.declared import declared, read_object, read_text

if TYPE_CHECKING:
    from gguf import GGUFWriter

# Token types of the GGUF format.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

# GGUF's name of a special token -> its keys in tokenizer_config.json, and what it is called where that says nothing.
_SPECIALS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bos": (("cls_token", "bos_token"), ("[CLS]", "<s>")),
    "eos": (("sep_token", "eos_token"), ("[SEP]", "</s>", "<|endoftext|>")),
    "seperator": (("sep_token",), ("[SEP]", "</s>")),  # spelt so in the format
    "unknown": (("unk_token",), ("[UNK]", "<unk>")),
    "padding": (("pad_token",), ("[PAD]", "<pad>")),
    "mask": (("mask_token",), ("[MASK]", "<mask>")),
}

Json = Mapping[str, Any]

MARKS = "with the accents all other combining marks go too (of keycap emoji, Hindi vowels)"


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer as GGUF metadata. `specials` maps GGUF's name ("bos") to an id; `flags` are further keys.

    `scores` rank SentencePiece's tokens, and `characters` is its table of those to rewrite. `differences` lists what
    llama.cpp's tokenizer will do otherwise than tokenizer.json asks.
    """

    model: str
    pre: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    specials: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, bool] = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    chat_template: str = ""
    characters: bytes = b""


@dataclass(frozen=True)
class Pieces:
    """Text and type of every id, and the ids of special tokens: what all kinds of tokenizer have."""

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    specials: Mapping[str, int]


def read_vocabulary(folder: Path, size: int) -> Vocabulary:
    """The tokenizer of a checkpoint whose embedding has `size` rows. MctError for a kind llama.cpp does not have."""
    if not (folder / "tokenizer.json").is_file():
        raise MctError(
            f"{folder} has no tokenizer.json", "save the fast tokenizer beside the model (tokenizer.save_pretrained)"
        )
    tokenizer = read_tokenizer(folder)
    config = read_object(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    read = _reader(folder, tokenizer)
    tokens, types = _tokens(folder, tokenizer, size)
    pieces = Pieces(tokens, types, _special_ids(config, tokens))
    return replace(read(pieces), chat_template=_chat_template(folder, config))


def add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    """Write a tokenizer's metadata."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    for name, row in vocabulary.specials.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", row)
    for name, value in vocabulary.flags.items():
        writer.add_bool(f"tokenizer.ggml.{name}", value)
    if vocabulary.characters:
        writer.add_precompiled_charsmap(vocabulary.characters)
    if vocabulary.chat_template:
        writer.add_chat_template(vocabulary.chat_template)


def _reader(folder: Path, tokenizer: Json) -> Callable[[Pieces], Vocabulary]:
    """By what tokenizer.json says of itself: the model's type, and whether it works on bytes or on characters.

    Asked before the vocabulary is read: other kinds do not keep theirs as text to number.
    """
    from mct.compress.gguf import byte_level, sentencepiece, unigram

    algorithm = tokenizer["model"].get("type", "WordPiece")
    if algorithm == "WordPiece":
        return partial(_wordpiece, tokenizer)
    if algorithm == "BPE" and byte_level.is_byte_level(tokenizer):
        return partial(byte_level.read, folder, tokenizer)
    if algorithm == "BPE" and sentencepiece.is_sentencepiece(tokenizer):
        return partial(sentencepiece.read, tokenizer)
    if algorithm == "Unigram" and unigram.is_like_sentencepiece(tokenizer):
        return partial(unigram.read, tokenizer)
    what = (
        "BPE tokenizer that is neither byte-level nor SentencePiece's"
        if algorithm == "BPE"
        else f"{algorithm} tokenizer"
    )
    raise MctError(
        f"{folder} has a {what}, which cannot be written as GGUF yet",
        "tokenizers that can: WordPiece, BPE (byte-level, or SentencePiece's), Unigram with words that begin with ▁",
    )


def added_around(tokenizer: Json) -> tuple[list[str], list[str]]:
    """The special tokens that tokenizer.json puts before and after a text."""
    processor = tokenizer.get("post_processor") or {}
    for part in processor.get("processors", [processor]):
        if part.get("type") in {"RobertaProcessing", "BertProcessing"}:
            return [part["cls"][0]], [part["sep"][0]]
        if part.get("type") == "TemplateProcessing":
            return _around_sequence(part["single"])
    return [], []


def _around_sequence(template: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    place = next(at for at, item in enumerate(template) if "Sequence" in item)
    names = [item["SpecialToken"]["id"] if "SpecialToken" in item else "" for item in template]
    return names[:place], names[place + 1 :]


def ends(tokenizer: Json, pieces: Pieces) -> tuple[dict[str, int], dict[str, bool], list[str]]:
    """Special ids, GGUF's flags, and differences, for the tokens that are put around a text.

    llama.cpp can put one begin and one end token; both are always said, because its own defaults differ by kind.
    """
    before, after = added_around(tokenizer)
    specials, differences = dict(pieces.specials), []
    ids = {text: row for row, text in enumerate(pieces.tokens)}
    for name, around in (("bos", before), ("eos", after)):
        if len(around) == 1:
            specials[name] = ids[around[0]]
        elif around:
            differences.append(f"{len(around)} tokens are put around a text; llama.cpp puts none of these: {around}")
    if "eos" not in specials:
        differences.append("no token ends a text")
    return specials, {"add_bos_token": len(before) == 1, "add_eos_token": len(after) == 1}, differences


def unique(tokens: tuple[str, ...]) -> tuple[str, ...]:
    """llama.cpp ends the process on two tokens of equal text: all but the first get a space, which no token has."""
    seen: set[str] = set()
    found = []
    for row, text in enumerate(tokens):
        found.append(f"{text} {row}" if text in seen or not text else text)
        seen.add(text)
    return tuple(found)


def unlike(tokenizer: Json, part: str, expected: str) -> list[str]:
    """A line where a part of tokenizer.json is not of the type that llama.cpp always uses."""
    found = (tokenizer.get(part) or {}).get("type")
    return [] if found == expected else [f"the {part} is {expected}, not {found}"]


def _tokens(folder: Path, tokenizer: Json, size: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Text and type of every id. Ids that the tokenizer never gives are filled up: llama.cpp counts rows by them."""
    vocabulary = tokenizer["model"]["vocab"]
    listed = isinstance(vocabulary, list)  # Unigram's pieces stand with their scores, in the order of their ids
    by_id = (
        dict(enumerate(text for text, _ in vocabulary)) if listed else {row: text for text, row in vocabulary.items()}
    )
    types = dict.fromkeys(by_id, NORMAL)
    for added in tokenizer.get("added_tokens", ()):
        by_id[added["id"]] = added["content"]
        types[added["id"]] = CONTROL if added.get("special") else USER_DEFINED
    if max(by_id) >= size:
        raise MctError(
            f"{folder}: the tokenizer gives ids up to {max(by_id)}, the model has {size} embeddings",
            "tokenizer and weights must come from the same model",
        )
    texts = tuple(by_id.get(row, f"[UNUSED_{row}]") for row in range(size))
    return texts, tuple(types.get(row, UNUSED) for row in range(size))


def _special_ids(config: Json, tokens: tuple[str, ...]) -> dict[str, int]:
    ids = {text: row for row, text in enumerate(tokens)}
    found = {}
    for name, (keys, usual) in _SPECIALS.items():
        named = [config.get(key) for key in keys]
        texts = [text.get("content") if isinstance(text, dict) else text for text in named]
        for candidate in (*texts, *usual):
            if candidate in ids:
                found[name] = ids[candidate]
                break
    return found


def _chat_template(folder: Path, config: Json) -> str:
    """The template of a conversation: a file of its own, or the (default) one in tokenizer_config.json."""
    if (folder / "chat_template.jinja").is_file():
        return read_text(folder / "chat_template.jinja")
    template = config.get("chat_template") or ""
    if isinstance(template, str):
        return template
    named = {each["name"]: each["template"] for each in template}
    return str(named.get("default") or next(iter(named.values()), ""))


def _wordpiece(tokenizer: Json, pieces: Pieces) -> Vocabulary:
    """llama.cpp marks the start of a word where WordPiece marks its continuation, so every text is rewritten."""
    prefix = tokenizer["model"].get("continuing_subword_prefix", "##")
    marked = tuple(
        text
        if token_type in {CONTROL, USER_DEFINED, UNUSED}
        else text[len(prefix) :]
        if text.startswith(prefix)
        else "▁" + text
        for text, token_type in zip(pieces.tokens, pieces.types, strict=True)
    )
    normalizer: Json = declared(tokenizer.get("normalizer") or {}, dict[str, Any], "tokenizer.json: normalizer")
    lowercase = bool(normalizer.get("lowercase", normalizer.get("type") == "Lowercase"))
    strip = normalizer.get("strip_accents")
    strip = lowercase if strip is None else bool(strip)
    return Vocabulary(
        model="bert",
        pre="default",
        tokens=unique(marked),
        types=pieces.types,
        specials=pieces.specials,
        flags={"normalizer.lowercase": lowercase, "normalizer.strip_accents": strip},
        differences=(
            *unlike(tokenizer, "normalizer", "BertNormalizer"),
            *unlike(tokenizer, "pre_tokenizer", "BertPreTokenizer"),
            *(() if normalizer.get("handle_chinese_chars", True) else ("each Chinese character becomes a word",)),
            *((MARKS,) if strip else ()),
        ),
    )
