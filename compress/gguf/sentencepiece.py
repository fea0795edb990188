"""BPE on characters with "▁" for spaces, as SentencePiece makes it (Llama 2, Mistral, TinyStories).

llama.cpp's "llama" tokenizer has no list of merges. It joins whichever two neighbours make the token with the highest
score, so the rank of a token's first merge becomes its score. That is the same for vocabularies that SentencePiece
trained (they list every way to make a token, in the order of the tokens); a vocabulary trained with one merge for each
token may, rarely, be cut otherwise, which is noted.
"""

import re
from collections.abc import Mapping
from typing import Any

from mct.compress.gguf.tokenizer import BYTE, NORMAL, UNKNOWN, Json, Pieces, Vocabulary, ends, unique

SPACE = "▁"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
BYTES = 256
LAST = -1e9  # the score of a token that no merge makes


def is_sentencepiece(tokenizer: Json) -> bool:
    """True where spaces become "▁", by a normalizer or by Metaspace, and nothing else is done to a text."""
    return _prefix(tokenizer) is not None


def read(tokenizer: Json, pieces: Pieces) -> Vocabulary:
    """The tokenizer as GGUF has it."""
    merges = [tuple(pair.split(" ") if isinstance(pair, str) else pair) for pair in tokenizer["model"]["merges"]]
    specials, flags, differences = ends(tokenizer, pieces)
    types = tuple(_type(row, text, pieces) for row, text in enumerate(pieces.tokens))
    if types.count(BYTE) < BYTES:
        differences.append("a character that is no token ends llama.cpp's own tokenizer: there are no byte tokens")
    if _prefix(tokenizer) and tokenizer.get("pre_tokenizer"):
        differences.append("a text that begins with a space is given another, where Metaspace gives none")
    if _ambiguous(merges, set(pieces.tokens)):
        differences.append("tokens that can be made in several ways may be, where tokenizer.json allows one")
    return Vocabulary(
        model="llama",
        pre="default",
        tokens=unique(pieces.tokens),
        types=types,
        scores=_scores(merges, pieces.tokens),
        specials=specials,
        flags={**flags, "add_space_prefix": bool(_prefix(tokenizer))},
        differences=tuple(differences),
    )


def _type(row: int, text: str, pieces: Pieces) -> int:
    if row == pieces.specials.get("unknown"):
        return UNKNOWN
    return BYTE if pieces.types[row] == NORMAL and _BYTE.fullmatch(text) else pieces.types[row]


def _scores(merges: list[tuple[str, ...]], tokens: tuple[str, ...]) -> tuple[float, ...]:
    rank: dict[str, int] = {}
    for number, pair in enumerate(merges):
        rank.setdefault("".join(pair), number)
    return tuple(-float(rank[text]) if text in rank else LAST for text in tokens)


def _ambiguous(merges: list[tuple[str, ...]], tokens: set[str]) -> bool:
    """True where two tokens make a third, and the merges do not say so."""
    allowed = set(merges)
    made = {"".join(pair) for pair in merges}
    return any(
        text[:cut] in tokens and text[cut:] in tokens and (text[:cut], text[cut:]) not in allowed
        for text in made
        for cut in range(1, len(text))
    )


def _prefix(tokenizer: Json) -> bool | None:
    """Whether a space is put before a text; None where spaces do not become "▁" in one of the known ways."""
    normalizer, pre = tokenizer.get("normalizer") or {}, tokenizer.get("pre_tokenizer") or {}
    if pre.get("type") == "Split" and pre.get("pattern") == {"String": " "}:
        pre = {}  # Gemma's, which finds no space any more
    if pre.get("type") == "Metaspace" and pre.get("replacement") == SPACE and not normalizer:
        return bool(pre.get("prepend_scheme", "always") != "never")
    steps: list[dict[str, Any]] = normalizer.get("normalizers", [normalizer])
    if pre or not steps or not _replaces_spaces(steps[-1]):
        return None
    before = steps[:-1]
    if not before:
        return False
    return True if [step.get("prepend") for step in before] == [SPACE] else None


def _replaces_spaces(step: Mapping[str, Any]) -> bool:
    return step.get("type") == "Replace" and step.get("content") == SPACE and step.get("pattern") == {"String": " "}
