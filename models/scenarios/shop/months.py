"""The intent router's messages month by month: the same ten requests drift, and seasonal ones come and go.

Three things change (`seasons`): new titles are asked about, old things get new names, and requests come up that had no
label before. A month's rows carry `month`, so what an update forgets of an earlier month can be told. Everything is
dealt to the splits before any text is made, as `intents` deals it.
"""

import random
import re
from dataclasses import replace
from typing import Any

from mct.models.scenarios.shop.card import About
from mct.models.scenarios.shop.drawing import IsNew, by_share, by_split, rows_by_split, unseen
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.scenarios.shop.intents import CONFUSED_WITH, INTENTS, PRODUCTION_SHARES, STYLES, TYPO_SHARE
from mct.models.scenarios.shop.messages import WRITERS, Words, deal, deal_words, fill, with_typos
from mct.models.scenarios.shop.texts.seasons import (
    MONTHS,
    NEW_TITLES,
    RENAMED,
    RENAMED_SHARE,
    SEASONAL_SHARES,
    SEASONAL_TEMPLATES,
)

NOISE_RATE = 0.02


def labels_by(month: str) -> tuple[str, ...]:
    """The labels known in that month: the ten intents, then the seasonal ones in the order in which they came up."""
    return (*INTENTS, *(label for label, shares in SEASONAL_SHARES.items() if min(shares) <= month))


def generate(seed: int, rows_a_month: int, months: int = len(MONTHS)) -> dict[str, list[dict[str, Any]]]:
    """`rows_a_month` over all splits in each of the first `months` months."""
    counts = rows_by_split(rows_a_month)

    def rows_of(split: str, draw: random.Random, is_new: IsNew) -> list[dict[str, Any]]:
        return [row for month in MONTHS[:months] for row in _month(month, counts[split], split, draw, is_new)]

    return by_split("manga-months", seed, rows_of)


def _month(month: str, rows: int, split: str, draw: random.Random, is_new: IsNew) -> list[dict[str, Any]]:
    words, shares = _words(month, split), _shares(month)
    wanted = zip(shares, by_share(rows, list(shares.values())), strict=True)
    made = [_row(label, month, words, draw, is_new) for label, count in wanted for _ in range(count)]
    noisy = set(draw.sample(range(len(made)), round(len(made) * NOISE_RATE)))
    return [_mislabelled(row, draw) if index in noisy else row for index, row in enumerate(made)]


def _shares(month: str) -> dict[str, float]:
    """How much of the month each label makes up: the seasonal ones, and the ten intents in what they leave."""
    seasonal = {label: shares[month] for label, shares in SEASONAL_SHARES.items() if month in shares}
    left = 1 - sum(seasonal.values())
    return {label: share * left for label, share in PRODUCTION_SHARES.items()} | seasonal


def _words(month: str, split: str) -> Words:
    """What the split is made of in that month: every other title is one of the month's new ones."""
    words, new = deal_words(split), deal(NEW_TITLES[month], split)
    titles = words.lists["title"]
    seasonal = {
        label: deal([(f"{label}#{number}", line.strip()) for number, line in enumerate(lines)], split)
        for label, block in SEASONAL_TEMPLATES.items()
        for lines in [block.strip().splitlines()]
    }
    return replace(
        words,
        lists={**words.lists, "title": [*titles, *new * (len(titles) // len(new))]},
        templates={**words.templates, **seasonal},
    )


def _row(label: str, month: str, words: Words, draw: random.Random, is_new: IsNew) -> dict[str, Any]:
    style = draw.choices(list(STYLES), list(STYLES.values()))[0]

    def make() -> tuple[str, str]:
        name, template = draw.choice(words.templates[label])
        text = WRITERS[style](_renamed(fill(template, words, draw), month, draw), words, draw)
        return name, with_typos(text, draw) if draw.random() < TYPO_SHARE else text

    template, text = unseen(make, is_new)
    return {
        "text": text,
        "label": label,
        "month": month,
        "seasonal": label in SEASONAL_SHARES,
        "high_risk": label in HIGH_RISK_INTENTS,
        "style": style,
        "template": template,
    }


def _renamed(text: str, month: str, draw: random.Random) -> str:
    """The text with the names that are new by that month, in most places."""
    for since, names in RENAMED.items():
        for old, new in names.items():
            if since <= month and draw.random() < RENAMED_SHARE:
                text = re.sub(rf"\b{old}\b", new, text)
    return text


def _mislabelled(row: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    label = draw.choice(CONFUSED_WITH.get(row["label"], INTENTS))
    noisy = {"label": label, "seasonal": False, "high_risk": label in HIGH_RISK_INTENTS}
    return row | noisy | {"clean_label": row["label"]}


def about(seed: int) -> About:
    """The words of the data card of what `generate` made with this seed."""
    return About(
        title="Messages to the manga shop month by month, labelled with what is wanted",
        rows="A row is one message of a customer in one month of 2026, and the intent that a labeller gave it.",
        fields={
            "text": "the message",
            "label": "the intent, as labelled: the ten of the router, and seasonal ones from their first month on",
            "month": "when it was written",
            "seasonal": "whether the label is one of the seasonal intents",
            "high_risk": "whether the label is one of the intents in which a compressed model may not get worse",
            "style": "how it is written: plain, terse, chatty, or among other sentences (multi)",
            "template": "what it was made from: rows of one template belong together",
            "clean_label": "the true intent, in rows whose label is noise",
        },
        made="The router's templates and those of seasonal requests, filled with each month's new titles and spoken "
        "with its new names for old things. All is dealt to the splits before any text is made, and not by the seed.",
        seed=seed,
        wrong=[
            f"{NOISE_RATE:.0%} of the rows have a wrong intent as their label (`clean_label` is theirs).",
            "The drift is sharper than in life: a name is new on the first of its month.",
            "Generated text is narrower than what people write: scores say little about a model in the wild.",
        ],
        counted=("month", "label", "seasonal", "high_risk"),
    )
