"""Messages to the manga shop, labelled with one of ten intents: a generator that scales from a test to 50,000 rows.

Production-like rows have what production has: rare and frequent intents, typos, terse and chatty people, several
sentences, texts that two intents can claim, and wrong labels at a known rate (`NOISE_RATE`), so that no honest model
scores 100 %: the best possible is `CEILING`, and a well trained router comes out near the product's 92.1 % below it.
Synthetic rows are clean, balanced over the intents, and only ever training data.

The test set can have more of the high-risk intents than production would bring, since a verdict hangs on each of them.

Train, dev and test do not leak into one another. Before any text is made, templates, ambiguous templates, the lists
that fill them (titles, authors, genres, items, places) and what people say around a request (openers, closers,
asides, tags) are dealt out among the splits, and order numbers and promo codes by their remainder modulo eight; a
text that would still read the same in two splits (letters and digits, case aside) is drawn anew, and so is one that
dev or test has already: said twice, it would count as more evidence than it is. The deal does not depend on the seed,
so data of two seeds do not leak into one another either. Not dealt out: ages, prices, counts, volume numbers and
weekdays, which identify nothing.

The trade-off: generated text is narrower than what people write. It is good for comparing a model with its compressed
self on a large set of known composition; scores on it say little about a model in the wild.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mct.models.data.files import Row
from mct.models.scenarios.shop.card import About
from mct.models.scenarios.shop.drawing import IsNew, by_share, by_split, rows_by_split, unseen
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.scenarios.shop.messages import (
    SPLITS,
    WRITERS,
    Words,
    chatty,
    deal_words,
    fill,
    plain,
    terse,
    with_typos,
)

# How often each intent is asked for in production; the most frequent over four times the rarest.
PRODUCTION_SHARES = {
    "order_tracking": 0.20,
    "recommendation": 0.16,
    "product_question": 0.12,
    "availability": 0.11,
    "returns": 0.10,
    "checkout": 0.08,
    "escalation": 0.065,
    "age_sensitive_recommendation": 0.065,
    "shipping": 0.055,
    "account": 0.045,
}
INTENTS = tuple(sorted(PRODUCTION_SHARES))

# What a hurried labeller writes instead, each of the three equally likely.
CONFUSED_WITH = {
    "order_tracking": ("shipping", "returns", "escalation"),
    "recommendation": ("age_sensitive_recommendation", "product_question", "availability"),
    "product_question": ("availability", "recommendation", "age_sensitive_recommendation"),
    "availability": ("product_question", "recommendation", "shipping"),
    "returns": ("order_tracking", "escalation", "product_question"),
    "checkout": ("account", "order_tracking", "availability"),
    "escalation": ("returns", "order_tracking", "account"),
    "age_sensitive_recommendation": ("recommendation", "product_question", "availability"),
    "shipping": ("order_tracking", "availability", "checkout"),
    "account": ("checkout", "escalation", "shipping"),
}

# Test messages of one intent with which nine of ten artifacts that lost nothing pass all limits (results/power.md).
HIGH_RISK_ROWS = 1_500

NOISE_RATE = 0.02
AMBIGUOUS_SHARE = 0.03
AMBIGUOUS_FIRST = 0.7
TYPO_SHARE = 0.25
# The expected top-1 accuracy of a model that knows everything but the labellers' slips, on production rows.
CEILING = (1 - NOISE_RATE) * (1 - AMBIGUOUS_SHARE * (1 - AMBIGUOUS_FIRST))

STYLES = {"plain": 0.42, "terse": 0.26, "chatty": 0.16, "multi": 0.16}


@dataclass(frozen=True)
class _Mix:
    """How many production-like messages of each intent that it alone can claim, and how many that two can."""

    clear: dict[str, int]
    ambiguous: int


@dataclass(frozen=True)
class IntentData:
    """Three disjoint splits of rows.

    A row has `text`, `label`, `source` ("production" or "synthetic"), `style`, `high_risk` (of the label), `template`
    (which one it was made from) and, where the label is noise, the true one as `clean_label`.
    """

    train: tuple[dict[str, Any], ...]
    dev: tuple[dict[str, Any], ...]
    test: tuple[dict[str, Any], ...]

    @property
    def splits(self) -> dict[str, Sequence[Row]]:
        """The rows by the name of their split."""
        return {split: getattr(self, split) for split in SPLITS}


def generate(seed: int, production: int, synthetic: int, high_risk: int = 0) -> IntentData:
    """Make `production` rows over all splits (5/8 train, 1/8 dev, 2/8 test) and `synthetic` more for train.

    Test then gets more rows, until `high_risk` or more of its clear messages have each of the high-risk intents. The
    same arguments give the same rows in every process. Dev and test are as noisy as train.
    """
    counts = rows_by_split(production)

    def rows_of(split: str, draw: random.Random, is_new: IsNew) -> list[dict[str, Any]]:
        words, mix = deal_words(split), _mix(counts[split], high_risk if split == "test" else 0)
        rows = _production(mix, words, draw, is_new)
        return rows + _synthetic(synthetic, words, draw, is_new) if split == "train" else rows

    made = by_split("manga-intents", seed, rows_of)
    return IntentData(**{split: tuple(rows) for split, rows in made.items()})


def about(seed: int) -> About:
    """The words of the data card of what `generate` made with this seed."""
    return About(
        title="Messages to the manga shop, labelled with what is wanted",
        rows="A row is one message of a customer and the one of ten intents that a labeller gave it.",
        fields={
            "text": "the message",
            "label": "the intent, as labelled",
            "source": '"production" (with its slips and noise) or "synthetic" (clean, balanced, in train only)',
            "style": "how it is written: plain, terse, chatty, among other sentences (multi), or ambiguous",
            "high_risk": "whether the label is one of the intents in which a compressed model may not get worse",
            "template": "what it was made from: rows of one template belong together",
            "clean_label": "the true intent, in rows whose label is noise",
        },
        made="Templates are filled with titles, people, places and numbers, and written as people write. Templates and "
        "what fills them are dealt to the splits before any text is made, and not by the seed.",
        seed=seed,
        wrong=[
            f"{NOISE_RATE:.0%} of the production rows have a neighbouring intent's label (`clean_label` is theirs).",
            f"{AMBIGUOUS_SHARE:.0%} are texts that two intents can claim; the less likely one is the label of "
            f"{1 - AMBIGUOUS_FIRST:.0%} of them.",
            f"So a model that knows everything else is right in {CEILING:.1%} of production rows.",
            "Of the high-risk intents, test may hold more than production would bring.",
            "Generated text is narrower than what people write: scores say little about a model in the wild.",
        ],
        counted=("label", "style", "source", "high_risk"),
    )


def _mix(rows: int, high_risk: int) -> _Mix:
    """What `rows` of production hold, filled up to `high_risk` clear messages of each high-risk intent."""
    ambiguous = round(rows * AMBIGUOUS_SHARE)
    counts = by_share(rows - ambiguous, list(PRODUCTION_SHARES.values()))
    found = dict(zip(PRODUCTION_SHARES, counts, strict=True))
    clear = found | {intent: max(found[intent], high_risk) for intent in HIGH_RISK_INTENTS}
    more = sum(clear.values()) - sum(counts)
    return _Mix(clear, ambiguous + round(more * AMBIGUOUS_SHARE / (1 - AMBIGUOUS_SHARE)))


def _production(mix: _Mix, words: Words, draw: random.Random, is_new: IsNew) -> list[dict[str, Any]]:
    wanted = [intent for intent, count in mix.clear.items() for _ in range(count)]
    pairs = list(words.ambiguous)
    made = [_clear(intent, words, draw, is_new) for intent in wanted]
    made += [_ambiguous(pairs[number % len(pairs)], words, draw, is_new) for number in range(mix.ambiguous)]
    return _with_noise(made, draw)


def _clear(intent: str, words: Words, draw: random.Random, is_new: IsNew) -> dict[str, Any]:
    """A production row that only `intent` can claim."""
    style = draw.choices(list(STYLES), list(STYLES.values()))[0]

    def make() -> tuple[str, str]:
        name, template = draw.choice(words.templates[intent])
        text = WRITERS[style](fill(template, words, draw), words, draw)
        return name, with_typos(text, draw) if draw.random() < TYPO_SHARE else text

    return _row(intent, "production", style, unseen(make, is_new))


def _ambiguous(pair: tuple[str, str], words: Words, draw: random.Random, is_new: IsNew) -> dict[str, Any]:
    """A production row that both intents of `pair` can claim, the first more often than the second."""
    label = pair[0] if draw.random() < AMBIGUOUS_FIRST else pair[1]
    writer = draw.choice([plain, terse, chatty])

    def make() -> tuple[str, str]:
        name, template = draw.choice(words.ambiguous[pair])
        return name, writer(fill(template, words, draw), words, draw)

    return _row(label, "production", "ambiguous", unseen(make, is_new))


def _synthetic(rows: int, words: Words, draw: random.Random, is_new: IsNew) -> list[dict[str, Any]]:
    """Rows without slips or noise, as many of each intent: what a team writes to help the rare ones."""

    def make(intent: str) -> tuple[str, str]:
        name, template = draw.choice(words.templates[intent])
        return name, draw.choice([plain, chatty])(fill(template, words, draw), words, draw)

    wanted = [INTENTS[number % len(INTENTS)] for number in range(rows)]
    return [_row(intent, "synthetic", "plain", unseen(partial(make, intent), is_new)) for intent in wanted]


def _row(label: str, source: str, style: str, made: tuple[str, str]) -> dict[str, Any]:
    template, text = made
    return {
        "text": text,
        "label": label,
        "source": source,
        "style": style,
        "high_risk": label in HIGH_RISK_INTENTS,
        "template": template,
    }


def _with_noise(rows: list[dict[str, Any]], draw: random.Random) -> list[dict[str, Any]]:
    """Exactly `NOISE_RATE` of the rows get the label of a neighbouring intent and keep their own as `clean_label`."""
    noisy = set(draw.sample(range(len(rows)), round(len(rows) * NOISE_RATE)))
    return [_mislabelled(row, draw) if index in noisy else row for index, row in enumerate(rows)]


def _mislabelled(row: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    label = draw.choice(CONFUSED_WITH[row["label"]])
    return row | {"label": label, "high_risk": label in HIGH_RISK_INTENTS, "clean_label": row["label"]}
