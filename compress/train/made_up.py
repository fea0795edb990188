"""Texts made up of the user's own, for a teacher to answer: a student sees more of what its teacher does around them.

Four ways, none of which needs another model: words left out, neighbours exchanged, words replaced by near ones, and the
beginning of one text joined to the end of another with the same label. Near are words of the user's texts whose
embeddings in the teacher's own table are. What a made-up text means may be another thing than before; the teacher is
asked again, and only where labels alone are learned it keeps the label of what it was made of.

After Jiao et al. 2020 (TinyBERT, arXiv:1909.10351), who replace words by near ones, and Wei and Zou 2019
(arXiv:1901.11196), who leave out and exchange.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from mct.models.tasks.tokens import Tokenize

LEFT_OUT, REPLACED = 0.15, 0.25
NEAREST, LEAST_COSINE = 8, 0.35
PUNCTUATION = ".,;:!?\"'()[]"

Near = Mapping[str, Sequence[str]]
Words = list[str]


@dataclass(frozen=True)
class Texts:
    """What is made something of: texts, a label of each (or what stands for one), the near words of every word."""

    texts: Sequence[str]
    labels: Sequence[Hashable]
    near: Near


def made_up(of: Texts, seed: str) -> list[str]:
    """A new text for each, in order: others for every seed, whatever else is drawn."""
    alike = defaultdict(list)
    for text, label in zip(of.texts, of.labels, strict=True):
        alike[label].append(text.split())
    found = []
    for place, (text, label) in enumerate(zip(of.texts, of.labels, strict=True)):
        drawn = random.Random(f"{seed} {place}")
        found.append(" ".join(_changed(text.split(), alike[label], of.near, drawn)))
    return found


def _changed(words: Words, alike: Sequence[Words], near: Near, drawn: random.Random) -> Words:
    """One way, and by half a chance a second one."""
    ways: tuple[Callable[[Words], Words], ...] = (
        lambda given: _shortened(given, drawn),
        lambda given: _exchanged(given, drawn),
        lambda given: _replaced(given, near, drawn),
        lambda given: _joined(given, drawn.choice(alike), drawn),
    )
    for way in drawn.sample(ways, drawn.choice((1, 2))):
        words = way(words) or words
    return words


def _shortened(words: Words, drawn: random.Random) -> Words:
    return [word for word in words if drawn.random() >= LEFT_OUT]


def _exchanged(words: Words, drawn: random.Random) -> Words:
    if len(words) < 2:
        return words
    place = drawn.randrange(len(words) - 1)
    return [*words[:place], words[place + 1], words[place], *words[place + 2 :]]


def _replaced(words: Words, near: Near, drawn: random.Random) -> Words:
    def other(word: str) -> str:
        found = near.get(_plain(word), ())
        return drawn.choice(found) if found and drawn.random() < REPLACED else word

    return [other(word) for word in words]


def _joined(words: Words, others: Words, drawn: random.Random) -> Words:
    begin, end = drawn.randint(0, len(words)), drawn.randint(0, len(others))
    return [*words[:begin], *others[end:]]


def near_words(texts: Sequence[str], table: torch.Tensor, tokenize: Tokenize) -> dict[str, list[str]]:
    """For every word of the texts the others that are nearest by cosine, as far as any is near.

    `table` has the vectors of the pieces that `tokenize` gives, (vocabulary, width); a word's is their mean.
    """
    words = sorted({_plain(word) for text in texts for word in text.split()} - {""})
    ids = [tokenize.tokenizer.encode(word, add_special_tokens=False).ids for word in words]
    known = [place for place, each in enumerate(ids) if each]
    if not known:
        return {}
    vectors = functional.normalize(torch.stack([table[ids[place]].mean(0) for place in known]), dim=-1)
    found = {}
    for place, vector in zip(known, vectors, strict=True):
        cosines, order = (vectors @ vector).topk(min(NEAREST + 1, len(known)))
        near = [words[known[other]] for other in order[cosines >= LEAST_COSINE].tolist()]
        found[words[place]] = [word for word in near if word != words[place]]
    return found


def _plain(word: str) -> str:
    return word.strip(PUNCTUATION).lower()
