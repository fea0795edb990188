"""An encoded text, and which of its tokens make up which word: what occlusion takes away and gradients are summed over.

Words stand between spaces; where a language has none (kana, Chinese characters), two characters at a time stand for
one. A long text is cut into windows of several words each, so that explaining it costs no more than `MOST_WORDS` runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mct.models.tasks.tokens import Tokens

if TYPE_CHECKING:
    from mct.models.tasks.tokens import Tokenize

MOST_WORDS = 40
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f"
WORD = re.compile(f"[{_UNSPACED}]{{1,2}}|[^\\s{_UNSPACED}]+")


@dataclass(frozen=True)
class Cut:
    """One input of a model. `places` has the tokens of each of its `words`; special tokens belong to none."""

    tokens: Tokens
    words: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]

    def without(self, word: int) -> Tokens:
        """The input with one word left out."""
        gone = set(self.places[word])
        kept = [place for place in range(len(self.tokens.ids)) if place not in gone]
        ids, types = ([values[place] for place in kept] for values in (self.tokens.ids, self.tokens.type_ids))
        return Tokens(ids, types, given=self.tokens.given)

    def masked(self, word: int, fill: int) -> Tokens:
        """The input with `fill` in the place of each token of one word: nothing moves."""
        gone = set(self.places[word])
        return self.tokens._replace(ids=[fill if at in gone else each for at, each in enumerate(self.tokens.ids)])


def cut_text(tokenize: Tokenize, text: str, keep_last: bool = False) -> Cut:
    """A text as one input. With `keep_last` its last token belongs to no word: it is what is foreseen."""
    tokens = tokenize.with_words(text) if tokenize.special and not keep_last else tokenize(text)
    encoding = tokenize.tokenizer.encode(text, add_special_tokens=tokenize.special)
    return _cut(tokens, encoding, (text,), len(tokens.ids) - 1 if keep_last else None)


def cut_pair(tokenize: Tokenize, first: str, second: str) -> Cut:
    """Two texts as one input; the words of both, in order."""
    return _cut(tokenize.pair(first, second), tokenize.tokenizer.encode(first, second), (first, second), None)


def cut_answer(tokenize: Tokenize, prompt: str, answer: str) -> Cut:
    """A prompt and what follows it as one text, of which the tokens of the prompt are given."""
    tokens = tokenize.answer(prompt, answer)
    encoding = tokenize.tokenizer.encode(prompt + answer, add_special_tokens=tokenize.special)
    return _cut(tokens, encoding, (prompt + answer,), None)


def _cut(tokens: Tokens, encoding: Any, texts: Sequence[str], foreseen: int | None) -> Cut:
    spans = [
        (at, found.start(), found.end(), found.group())
        for at, text in enumerate(texts)
        for found in WORD.finditer(text)
    ]
    owned: list[list[int]] = [[] for _ in spans]
    for place, owner in enumerate(_owners(encoding, spans)):
        if owner >= 0 and place != foreseen:
            owned[owner].append(place)
    whole = [(span[3], tuple(places)) for span, places in zip(spans, owned, strict=True) if places]
    joined = _windows(whole)
    return Cut(tokens, tuple(word for word, _ in joined), tuple(places for _, places in joined))


def _owners(encoding: Any, spans: Sequence[tuple[int, int, int, str]]) -> list[int]:
    """For each token the word that it first covers a character of, the one after it where that is a space alone.

    -1 for what stands for none.
    """
    found = []
    for (start, end), special, text in zip(
        encoding.offsets, encoding.special_tokens_mask, encoding.sequence_ids, strict=True
    ):
        own = (at for at, (which, _, last, _) in enumerate(spans) if which == (text or 0) and last > start)
        found.append(-1 if special or end <= start else next(own, -1))
    return found


def _windows(words: Sequence[tuple[str, tuple[int, ...]]]) -> list[tuple[str, tuple[int, ...]]]:
    """The words, or at most `MOST_WORDS` windows of several that follow one another."""
    if len(words) <= MOST_WORDS:
        return list(words)
    ends = [round(number * len(words) / MOST_WORDS) for number in range(MOST_WORDS + 1)]
    return [
        (
            " ".join(word for word, _ in words[first:last]),
            tuple(place for _, places in words[first:last] for place in places),
        )
        for first, last in pairwise(ends)
    ]
