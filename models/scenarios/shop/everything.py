"""Messages to the manga shop with all that is asked of one: intent, mood, what it names, and what is at stake.

A message is a request of the intent router's, and where the mood is no calm one, a phrase of that mood before or after
it. What it names (title, volume, order, day, price) is marked before it is written as people write, so that every word
has its BIO tag whatever became of the words around it. Risk follows from intent and mood together: a model must read
both. Everything is dealt to the splits before any text is made, as `intents` and `sentiment` deal it.
"""

import random
import re
from dataclasses import replace
from functools import partial
from typing import Any

from mct.models.scenarios.shop.card import About
from mct.models.scenarios.shop.drawing import IsNew, by_share, by_split, rows_by_split, unseen
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.scenarios.shop.intents import INTENTS, PRODUCTION_SHARES, STYLES, TYPO_SHARE
from mct.models.scenarios.shop.messages import WRITERS, fill, sentence, with_typos
from mct.models.scenarios.shop.sentiment import Voices, voices_of
from mct.models.scenarios.shop.texts.moods import MOODS

ENTITIES = {"title": "title", "volume": "volume", "order": "order", "day": "date", "price": "price"}
"""The slots of templates that are tagged, and the name of the tag."""

# A volume, an order and a price are one word each.
TAGS = ("O", "B-title", "I-title", "B-volume", "B-order", "B-date", "I-date", "B-price")
RISKS = ("low", "watch", "high")

MOOD_SHARES = {"calm": 0.5, "content": 0.1, "worried": 0.14, "annoyed": 0.16, "frustrated": 0.1}
TAIL_SHARE = 0.6

# Characters that no text of ours has: what begins an entity of each kind, and what ends one.
_BEGINS = {slot: chr(0xE000 + place) for place, slot in enumerate(ENTITIES)}
_ENDS = "\ue0ff"
_MARKED = re.compile(f"[{''.join(_BEGINS.values())}{_ENDS}]")
_TAGGED_SLOT = re.compile(rf"\{{({'|'.join(ENTITIES)})\}}")


def generate(seed: int, rows: int) -> dict[str, list[dict[str, Any]]]:
    """`rows` over all splits, of intents and moods as they come in life, each drawn without regard to the other."""
    counts = rows_by_split(rows)

    def rows_of(split: str, draw: random.Random, is_new: IsNew) -> list[dict[str, Any]]:
        voices = _marking(voices_of(split, draw))
        intents = by_share(counts[split], list(PRODUCTION_SHARES.values()))
        wanted = [intent for intent, count in zip(PRODUCTION_SHARES, intents, strict=True) for _ in range(count)]
        return [_row(intent, voices, is_new) for intent in wanted]

    return by_split("manga-everything", seed, rows_of)


def risk_of(intent: str, mood: str) -> str:
    """What is at stake: "high" where a flow of high risk meets frustration, "watch" where either is near."""
    if intent in HIGH_RISK_INTENTS and mood == "frustrated":
        return "high"
    return "watch" if intent in HIGH_RISK_INTENTS or mood in {"frustrated", "worried"} else "low"


def _row(intent: str, voices: Voices, is_new: IsNew) -> dict[str, Any]:
    draw = voices.draw
    mood = draw.choices(list(MOOD_SHARES), list(MOOD_SHARES.values()))[0]
    style = draw.choices(list(STYLES), list(STYLES.values()))[0]
    template, marked = unseen(partial(_made, intent, mood, style, voices), lambda text: is_new(_MARKED.sub("", text)))
    return {
        "text": _MARKED.sub("", marked),
        "label": intent,
        "sentiment": mood,
        "slots": tags_of(marked),
        "risk": risk_of(intent, mood),
        "template": template,
    }


def _made(intent: str, mood: str, style: str, voices: Voices) -> tuple[str, str]:
    """The request's template, and the message with what it names in marks."""
    draw = voices.draw
    name, template = draw.choice(voices.words.templates[intent])
    parts = [sentence(fill(_with_marks(template), voices.words, draw))]
    if mood != "calm":
        said = fill(_with_marks(draw.choice(voices.moods[mood, "straight"])[1]), voices.words, draw)
        if draw.random() < TAIL_SHARE:
            said = f"{sentence(said)} {fill(draw.choice(voices.tails[mood]), voices.words, draw)}"
        parts.insert(draw.randint(0, 1), sentence(said))
    text = WRITERS[style](" ".join(parts), voices.words, draw)
    return name, with_typos(text, draw) if draw.random() < TYPO_SHARE else text


def _marking(voices: Voices) -> Voices:
    """What customers say beside their request names things as well."""
    words = voices.words
    return replace(voices, words=replace(words, asides=[_with_marks(aside) for aside in words.asides]))


def _with_marks(template: str) -> str:
    return _TAGGED_SLOT.sub(lambda slot: f"{_BEGINS[slot[1]]}{slot[0]}{_ENDS}", template)


def tags_of(marked: str) -> list[str]:
    """The BIO tag of each whitespace word of a text with marks: a word belongs to the entity that touches it first."""
    kinds = {mark: ENTITIES[slot] for slot, mark in _BEGINS.items()}
    tags, within = [], ""
    for word in marked.split():
        begun = [kinds[letter] for letter in word if letter in kinds]
        tags.append(f"I-{within}" if within else f"B-{begun[0]}" if begun else "O")
        if marks := _MARKED.findall(word):
            within = kinds.get(marks[-1], "")
    return tags


def about(seed: int) -> About:
    """The words of the data card of what `generate` made with this seed."""
    return About(
        title="Messages to the manga shop with intent, mood, entities and risk",
        rows="A row is one message of a customer with four answers to it.",
        fields={
            "text": "the message",
            "label": f"its intent: {', '.join(INTENTS)}",
            "sentiment": f"the customer's mood: {', '.join(MOODS)}",
            "slots": f"a BIO tag for each word between spaces: {', '.join(ENTITIES.values())}",
            "risk": "what is at stake: high (a high-risk intent and frustration), watch (a high-risk intent, "
            "frustration or worry), low",
            "template": "what the request was made from: rows of one template belong together",
        },
        made="The intent router's requests with phrases of the sentiment data's moods around them. All is dealt to the "
        "splits before any text is made, and not by the seed.",
        seed=seed,
        wrong=[
            "Mood and intent are drawn without regard to each other: in life a complaint is seldom content.",
            "Risk follows from intent and mood by a rule; people who judge it would differ.",
            "A full stop or comma behind an entity belongs to its last word, as whitespace has it.",
            "Generated text is narrower than what people write: scores say little about a model in the wild.",
        ],
        counted=("label", "sentiment", "risk", "slots"),
    )
