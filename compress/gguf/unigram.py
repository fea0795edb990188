"""SentencePiece's Unigram, as XLM-RoBERTa has it: the pieces whose scores add up to most (Kudo 2018, arXiv:1804.10959).

llama.cpp calls it "t5" and computes the same: each piece has its score, a character that is in none costs ten more than
the worst. What stands before it in tokenizer.json is a table of characters to rewrite (copied as it is) and the cutting
at spaces, of which llama.cpp has one way: those at the ends go, several become one, each word begins with "▁".
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from mct.compress.gguf.tokenizer import UNKNOWN, Json, Pieces, Vocabulary, ends, unique

SPACE = "▁"
LEAST = -1e9  # the score of an id that no text is given


def is_like_sentencepiece(tokenizer: Json) -> bool:
    """True where words are cut at spaces and begin with "▁", and characters are rewritten by a table or not at all."""
    steps = {step["type"] for step in _steps(tokenizer, "normalizer", "normalizers")}
    return _prefix(tokenizer) and steps <= {"Precompiled", "Replace"} and not tokenizer["model"].get("byte_fallback")


def read(tokenizer: Json, pieces: Pieces) -> Vocabulary:
    """The tokenizer as GGUF has it."""
    vocabulary, unknown = tokenizer["model"]["vocab"], tokenizer["model"].get("unk_id")
    specials, flags, differences = ends(tokenizer, pieces)
    types = list(pieces.types)
    if unknown is not None:
        types[unknown], specials["unknown"] = UNKNOWN, unknown
    scores = [float(score) for _, score in vocabulary] + [LEAST] * (len(pieces.tokens) - len(vocabulary))
    tables = [step for step in _steps(tokenizer, "normalizer", "normalizers") if step["type"] == "Precompiled"]
    if not tables:
        differences.append("words end at spaces alone, not at tabs and new lines")
    if not _splits_at_spaces(tokenizer):
        differences.append("spaces at the ends of a text go, and several become one")
    return Vocabulary(
        model="t5",
        pre="default",
        tokens=unique(pieces.tokens),
        types=tuple(types),
        scores=tuple(scores),
        specials=specials,
        flags={**flags, "add_space_prefix": True, "remove_extra_whitespaces": True},
        differences=tuple(differences),
        characters=b64decode(tables[0]["precompiled_charsmap"] or "") if tables else b"",
    )


def _prefix(tokenizer: Json) -> bool:
    """Whether every word begins with "▁", the first of a text too."""
    steps = _steps(tokenizer, "pre_tokenizer", "pretokenizers")
    if [step["type"] for step in steps] not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]):
        return False
    return steps[-1].get("replacement") == SPACE and steps[-1].get("prepend_scheme", "always") != "never"


def _splits_at_spaces(tokenizer: Json) -> bool:
    return len(_steps(tokenizer, "pre_tokenizer", "pretokenizers")) > 1


def _steps(tokenizer: Json, part: str, several: str) -> list[Mapping[str, Any]]:
    found = tokenizer.get(part) or {}
    steps: list[Mapping[str, Any]] = found.get(several) or ([found] if found else [])
    return steps
