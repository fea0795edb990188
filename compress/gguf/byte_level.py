"""Byte-level BPE, as GPT-2, RoBERTa, Llama 3 and Qwen have it: which of llama.cpp's named pre-tokenisers it is.

llama.cpp does not read a pattern from the file: it has about seventy of them compiled in, chosen by name, and an
unknown name or a wrong one is either a refusal or a model that reads other tokens than it was trained on. So the
pattern in tokenizer.json is compared with those that are known here, letter by letter; a new one is a row in `KNOWN`.
"""

from pathlib import Path
from typing import Any, NamedTuple

from mct import MctError
from mct.compress.gguf.tokenizer import Json, Pieces, Vocabulary, ends, unique

# GPT-2's pattern, which the tokenizers library has built in: contractions, words, numbers, the rest, spaces.
GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
_LINES = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA_3 = _CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + _LINES
QWEN_2 = _CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + _LINES
QWEN_3_5 = (
    _CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DIGITS = r"\p{N}"
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"


class Pattern(NamedTuple):
    """How text is split before BPE: the patterns in order, and whether a word that is a token skips the merges."""

    splits: tuple[str, ...]
    ignore_merges: bool


KNOWN = {
    Pattern((GPT_2,), False): "gpt-2",
    Pattern((LLAMA_3,), True): "llama-bpe",
    Pattern((LLAMA_3,), False): "smaug-bpe",
    Pattern((QWEN_2,), False): "qwen2",
    Pattern((QWEN_3_5,), False): "qwen35",
    Pattern((DIGITS, GPT_2), False): "smollm",
    Pattern((BLOOM,), False): "bloom",
}


def is_byte_level(tokenizer: Json) -> bool:
    """True where text becomes bytes before it is split into tokens."""
    return any(part.get("type") == "ByteLevel" for part in _parts(tokenizer, "pre_tokenizer"))


def read(folder: Path, tokenizer: Json, pieces: Pieces) -> Vocabulary:
    """The tokenizer as GGUF has it. MctError for a pattern that no name is known for."""
    if not tokenizer["model"]["merges"]:
        raise MctError(
            f"{folder} has a BPE tokenizer without merges, which llama.cpp does not load",
            "choose --format onnx or openvino for it",
        )
    specials, flags, differences = ends(tokenizer, pieces)
    around = (tokenizer.get("post_processor") or {}).get("type")
    roberta = around == "RobertaProcessing"
    if roberta:
        flags["add_sep_token"] = True
    if any(part.get("add_prefix_space") for part in _parts(tokenizer, "pre_tokenizer")):
        differences.append("no space is put before the first word")
    if normalizer := tokenizer.get("normalizer"):
        differences.append(f"text is not normalised ({normalizer['type']})")
    return Vocabulary(
        model="gpt2",
        pre="roberta-bpe" if roberta else pre_tokenizer(folder, tokenizer),
        tokens=unique(pieces.tokens),
        types=pieces.types,
        merges=tuple(pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]),
        specials=specials,
        flags=flags,
        differences=tuple(differences),
    )


def pre_tokenizer(folder: Path, tokenizer: Json) -> str:
    """llama.cpp's name of the way this tokenizer splits text. MctError where it is unknown."""
    splits = [split for part in _parts(tokenizer, "pre_tokenizer") for split in _splits(part)]
    pattern = Pattern(tuple(splits), bool(tokenizer["model"].get("ignore_merges")))
    if pattern not in KNOWN:
        raise MctError(
            f"{folder}: llama.cpp has no name that is known here for this pre-tokenizer: {' then '.join(splits)[:160]}",
            f"known ones: {', '.join(KNOWN.values())}; choose --format onnx or openvino for it",
        )
    return KNOWN[pattern]


def _splits(part: Json) -> list[str]:
    """The patterns of one step of a pre-tokenizer. Any other step is only named, which matches nothing known."""
    if part["type"] == "ByteLevel":
        return [GPT_2] if part.get("use_regex", True) else []
    if part["type"] == "Digits" and part.get("individual_digits"):
        return [DIGITS]
    if part["type"] == "Split" and part.get("behavior") == "Isolated" and not part.get("invert"):
        pattern: dict[str, str] = part["pattern"]
        return [pattern.get("Regex", f"the text {pattern.get('String')!r}")]
    return [f"({part['type']})"]


def _parts(tokenizer: Json, name: str) -> list[dict[str, Any]]:
    """The steps of a part of tokenizer.json, one or several."""
    part = tokenizer.get(name) or {}
    found: list[dict[str, Any]] = part.get("pretokenizers") or part.get("normalizers") or ([part] if part else [])
    return found
