"""Few labelled messages: eight of each of the shop's ten intents, and fewer of seasonal ones that have just come up.

Train is all that a labeller had time for. Dev and test have as many of every label, since what must not be lost is the
recall of the newest and rarest, and a share as small as theirs in life could not show it. Texts are clean of label
noise: with eight examples a wrong one would be an eighth.
"""

import random
from collections.abc import Sequence
from typing import Any

from mct.models.scenarios.shop.card import About
from mct.models.scenarios.shop.catalogue import PARTS_DEAL
from mct.models.scenarios.shop.drawing import IsNew, by_split, unseen
from mct.models.scenarios.shop.intents import INTENTS, TYPO_SHARE
from mct.models.scenarios.shop.messages import WRITERS, Words, deal, deal_words, fill, with_typos
from mct.models.scenarios.shop.texts.seasonal import EXAMPLES, TEMPLATES

SHOTS = 8
SEASONAL = tuple(EXAMPLES)
LABELS = (*INTENTS, *SEASONAL)
_STYLES = ("plain", "terse", "chatty")


def generate(seed: int, dev: int, test: int, shots: int = SHOTS) -> dict[str, list[dict[str, Any]]]:
    """Train has `shots` messages of each intent and what there is of the seasonal ones; dev and test so many of each.

    Equal arguments, equal rows.
    """
    wanted = {
        "train": dict.fromkeys(INTENTS, shots) | {label: min(shots, few) for label, few in EXAMPLES.items()},
        "dev": dict.fromkeys(LABELS, dev),
        "test": dict.fromkeys(LABELS, test),
    }

    def rows_of(split: str, draw: random.Random, is_new: IsNew) -> list[dict[str, Any]]:
        words = deal_words(split)
        return [_row(label, split, words, draw, is_new) for label, count in wanted[split].items() for _ in range(count)]

    return by_split("manga-fewshot", seed, rows_of)


def _row(label: str, split: str, words: Words, draw: random.Random, is_new: IsNew) -> dict[str, Any]:
    templates = _templates(label, split, words)
    style = draw.choice(_STYLES)

    def make() -> tuple[str, str]:
        name, template = draw.choice(templates)
        text = WRITERS[style](fill(template, words, draw), words, draw)
        return name, with_typos(text, draw) if draw.random() < TYPO_SHARE else text

    template, text = unseen(make, is_new)
    return {"text": text, "label": label, "seasonal": label in SEASONAL, "style": style, "template": template}


def _templates(label: str, split: str, words: Words) -> Sequence[tuple[str, str]]:
    if label not in TEMPLATES:
        return words.templates[label]
    lines = TEMPLATES[label].strip().splitlines()
    return deal([(f"{label}#{number}", line.strip()) for number, line in enumerate(lines)], split, PARTS_DEAL)


def about(seed: int) -> About:
    """What a data card says of the rows."""
    few = ", ".join(f"{label} {count}" for label, count in EXAMPLES.items())
    return About(
        title="Few labelled messages to the shop, with seasonal requests",
        rows="One row is a message of a customer and what it asks for.",
        fields={
            "text": "the message",
            "label": "one of the router's ten intents, or a seasonal one",
            "seasonal": "whether the label is one that came up lately",
            "style": "how it is written: plain, terse or chatty",
            "template": "what the message was made from",
        },
        made=f"As the router's messages, from templates that were dealt to the splits. Examples of new labels: {few}.",
        seed=seed,
        wrong=(
            "Train is tiny on purpose; dev and test have as many of every label, which life has not.",
            f"{TYPO_SHARE:.0%} of the messages have typos.",
            "Generated text is narrower than what people write.",
        ),
        counted=("label", "seasonal", "style"),
    )
