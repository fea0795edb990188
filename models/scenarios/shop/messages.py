"""How a template becomes a message: dealt to one split, filled, and written the way people write.

What a split may be made of is a value, `Words`; everything here takes it and a seeded `random.Random`, and nothing else
decides what comes out.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mct.models.scenarios.shop.high_risk import FURTHER_AMBIGUOUS, FURTHER_TEMPLATES
from mct.models.scenarios.shop.phrases import AMBIGUOUS, TEMPLATES
from mct.models.scenarios.shop.texts.fillers import ASIDES, CLOSERS, LISTS, OPENERS, TAGS

_T = TypeVar("_T")

SPLITS = ("train", "dev", "test")
# Every eight entries (templates, fillers, remainders modulo eight) go to the splits in this order, rows in this share.
DEAL = ("train", "train", "test", "train", "dev", "train", "test", "train")
# The order for templates that were written to test on: a verdict is about phrasings, so the test set needs many.
TEST_HEAVY = ("test", "train", "test", "dev", "train", "test", "train", "test")

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "the weekend")

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_POLITE = re.compile(r"^(please|can you|could you|would you|i'd like to|i want to) ")


@dataclass(frozen=True)
class Words:
    """What one split may be made of. Templates carry the name they get in the rows."""

    templates: Mapping[str, Sequence[tuple[str, str]]]
    ambiguous: Mapping[tuple[str, str], Sequence[tuple[str, str]]]
    lists: Mapping[str, Sequence[str]]
    openers: Sequence[str]
    closers: Sequence[str]
    asides: Sequence[str]
    tags: Sequence[str]
    remainders: Sequence[int]


def deal(entries: Sequence[_T], split: str, order: Sequence[str] = DEAL) -> list[_T]:
    """The entries that belong to `split`: the same ones whatever the seed."""
    return [entry for index, entry in enumerate(entries) if order[index % len(order)] == split]


def deal_words(split: str) -> Words:
    """Everything that `split` may be made of."""
    return Words(
        templates={
            intent: _deal_templates(intent, block, FURTHER_TEMPLATES.get(intent, ""), split)
            for intent, block in TEMPLATES.items()
        },
        ambiguous={
            pair: _deal_templates("/".join(pair), block, FURTHER_AMBIGUOUS[pair], split)
            for pair, block in AMBIGUOUS.items()
        },
        lists={slot: deal(entries, split) for slot, entries in LISTS.items()},
        openers=deal(OPENERS, split),
        closers=deal(CLOSERS, split),
        asides=deal(ASIDES, split),
        tags=deal(TAGS, split),
        remainders=deal(range(len(DEAL)), split),
    )


def _deal_templates(name: str, block: str, further: str, split: str) -> list[tuple[str, str]]:
    first, more = block.strip().splitlines(), further.strip().splitlines()
    named = [(f"{name}#{number}", line.strip()) for number, line in enumerate([*first, *more])]
    return deal(named[: len(first)], split) + deal(named[len(first) :], split, TEST_HEAVY)


def fill(template: str, words: Words, draw: random.Random) -> str:
    """Take one way through the choices, fill the slots, and mend "a" before a vowel."""
    text = _CHOICE.sub(lambda match: draw.choice(match[1].split("|")), template)
    text = _SLOT.sub(lambda match: _slot(match[1], words, draw), text)
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)


def _slot(name: str, words: Words, draw: random.Random) -> str:
    if name in words.lists:
        return draw.choice(words.lists[name])
    return _NUMBERS[name](words, draw)


def _own_number(words: Words, draw: random.Random, below: int) -> int:
    """A number that only this split draws: its remainder modulo eight is one of the split's."""
    return draw.randrange(below // len(DEAL)) * len(DEAL) + draw.choice(words.remainders)


def _order(words: Words, draw: random.Random) -> str:
    number = _own_number(words, draw, 10_000_000)
    return draw.choice(["MA-{:07d}", "#{:07d}", "{:07d}", "MA{:07d}"]).format(number)


def _code(words: Words, draw: random.Random) -> str:
    return f"{draw.choice(['MANGA', 'OTAKU', 'READ', 'SHELF'])}{_own_number(words, draw, 1000)}"


_NUMBERS: dict[str, Callable[[Words, random.Random], str]] = {
    "order": _order,
    "code": _code,
    "volume": lambda _, draw: str(draw.randint(1, 40)),
    "age": lambda _, draw: str(draw.randint(5, 16)),
    "n": lambda _, draw: str(draw.randint(2, 9)),
    "day": lambda _, draw: draw.choice(WEEKDAYS),
    "price": lambda _, draw: f"{draw.choice('$€£')}{draw.randint(8, 140)}{draw.choice(['', '.50', '.99'])}",
}


def sentence(text: str) -> str:
    """Capital letter, full stop."""
    return text[:1].upper() + text[1:] + ("" if text[-1] in "?!." else ".")


def plain(text: str, words: Words, draw: random.Random) -> str:
    """The request, often with a word before or after it."""
    opener = draw.choice(words.openers) + " " if draw.random() < 0.5 else ""
    closer = " " + draw.choice(words.closers) if draw.random() < 0.3 else ""
    return opener + (sentence(text) if draw.random() < 0.7 else text) + closer


def terse(text: str, words: Words, draw: random.Random) -> str:
    """As typed with one thumb: lower case, no punctuation at the end, often no apostrophes and no manners."""
    short = text.rstrip("?!. ").lower()
    short = _POLITE.sub("", short) if draw.random() < 0.5 else short
    short = short.replace("'", "") if draw.random() < 0.5 else short
    tag = draw.choice(words.tags)
    return draw.choice([short, f"{tag} {short}", f"{short} {tag}"])


def chatty(text: str, words: Words, draw: random.Random) -> str:
    """The request between a greeting and a goodbye."""
    return f"{draw.choice(words.openers)} {text} {draw.choice(words.closers)}"


def multi(text: str, words: Words, draw: random.Random) -> str:
    """The request among one or two sentences that have nothing to do with it."""
    asides = [fill(aside, words, draw) for aside in draw.sample(words.asides, draw.choice([1, 1, 2]))]
    asides.insert(draw.randint(0, len(asides)), sentence(text))
    return " ".join(asides)


WRITERS: dict[str, Callable[[str, Words, random.Random], str]] = {
    "plain": plain,
    "terse": terse,
    "chatty": chatty,
    "multi": multi,
}


def with_typos(text: str, draw: random.Random) -> str:
    """One or two slips of the finger in words of four letters or more; numbers are left alone."""
    words = text.split(" ")
    long = [index for index, word in enumerate(words) if len(word) >= 4 and word.isascii() and word.isalpha()]
    for index in draw.sample(long, min(len(long), draw.choice([1, 1, 2]))):
        words[index] = _slip(words[index], draw)
    return " ".join(words)


def _slip(word: str, draw: random.Random) -> str:
    at = draw.randrange(1, len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    dropped = word[:at] + word[at + 1 :]
    doubled = word[:at] + word[at] + word[at:]
    neighbour = draw.choice(_KEYS_BESIDE.get(word[at], word[at]))
    return draw.choice([swapped, dropped, doubled, word[:at] + neighbour + word[at + 1 :]])


def _keys_beside() -> dict[str, str]:
    """For every letter of a QWERTY keyboard, the letters left and right of it."""
    rows = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    return {key: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in rows for at, key in enumerate(row)}


_KEYS_BESIDE = _keys_beside()
