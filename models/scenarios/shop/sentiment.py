"""Messages and short dialogues with the manga shop, labelled with the customer's mood.

"frustrated" is the mood that must not be missed: the customer has tried before, nothing helped, the next step is a
manager or the bank. It is as rare here as in life, so the test set can be given more of it. What makes it hard is here
on purpose: sarcasm (praise in its words), frustration that stays polite, moods that turned (the last one counts),
dialogues whose earlier turns sound otherwise, slips of the finger, and labels that are wrong at a known rate.

Templates and all that fills them are dealt to the splits before any text is made, as `intents` deals them.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mct.models.scenarios.shop.card import About
from mct.models.scenarios.shop.drawing import IsNew, by_share, by_split, rows_by_split, unseen
from mct.models.scenarios.shop.messages import WRITERS, Words, deal, deal_words, fill, sentence, with_typos
from mct.models.scenarios.shop.texts.moods import REPLIES, TAILS, TEMPLATES

SHARES = {"calm": 0.56, "content": 0.14, "worried": 0.12, "annoyed": 0.12, "frustrated": 0.06}
SOUGHT = {"calm": 0.3, "content": 0.15, "worried": 0.15, "annoyed": 0.2, "frustrated": 0.2}
"""The moods of training rows: whoever labels for a model looks for the rare ones."""

RARE = "frustrated"
TONES = {"straight": 0.65, "sarcastic": 0.13, "polite": 0.12, "turned": 0.1}
"""Of the tones that a mood has, how often each is struck, in proportion."""

TAIL_SHARES = {"straight": 0.8, "sarcastic": 0.0, "polite": 0.4, "turned": 0.6}
"""How often the mood is said once more in so many words."""

SETTINGS = {"alone": 0.5, "with a request": 0.3, "dialogue": 0.2}
STYLES = {"plain": 0.45, "terse": 0.25, "chatty": 0.15, "multi": 0.15}

CONFUSED_WITH = {
    "calm": ("content", "worried", "annoyed"),
    "content": ("calm", "calm", "annoyed"),
    "worried": ("calm", "annoyed", "frustrated"),
    "annoyed": ("calm", "frustrated", "frustrated"),
    "frustrated": ("annoyed", "annoyed", "worried"),
}
NOISE_RATE = 0.03
TYPO_SHARE = 0.25
NEVER_CALM = "escalation"
"""The intent whose requests are no calm ones, however they are put."""

Template = tuple[str, str]


def generate(seed: int, rows: int, rare: int = 0) -> dict[str, list[dict[str, Any]]]:
    """`rows` over all splits: train's moods as they were sought out, dev's and test's as they come in life.

    Test then gets more of "frustrated", until it has `rare` of them.
    """
    counts = rows_by_split(rows)

    def rows_of(split: str, draw: random.Random, is_new: IsNew) -> list[dict[str, Any]]:
        voices = voices_of(split, draw)
        shares = SOUGHT if split == "train" else SHARES
        wanted = dict(zip(SHARES, by_share(counts[split], list(shares.values())), strict=True))
        if split == "test":
            wanted[RARE] = max(wanted[RARE], rare)
        made = [_row(mood, voices, is_new) for mood, count in wanted.items() for _ in range(count)]
        noisy = set(draw.sample(range(len(made)), round(len(made) * NOISE_RATE)))
        return [_mislabelled(row, draw) if index in noisy else row for index, row in enumerate(made)]

    return by_split("manga-sentiment", seed, rows_of)


@dataclass(frozen=True)
class Voices:
    """What one split may say, and the random stream that says it. `moods` has templates by mood and tone."""

    draw: random.Random
    words: Words
    replies: Sequence[str]
    moods: Mapping[tuple[str, str], Sequence[Template]]
    tails: Mapping[str, Sequence[str]]


def voices_of(split: str, draw: random.Random) -> Voices:
    """A calm mood's templates are the intent router's requests."""
    words = deal_words(split)
    requests = [named for intent, some in words.templates.items() if intent != NEVER_CALM for named in some]
    moods = {
        (mood, tone): deal([(f"{mood}/{tone}#{number}", line.strip()) for number, line in enumerate(lines)], split)
        for (mood, tone), block in TEMPLATES.items()
        for lines in [block.strip().splitlines()]
    }
    tails = {mood: deal([line.strip() for line in block.strip().splitlines()], split) for mood, block in TAILS.items()}
    return Voices(draw, words, deal(REPLIES, split), moods | {("calm", "straight"): requests}, tails)


def _row(mood: str, voices: Voices, is_new: IsNew) -> dict[str, Any]:
    """A new message or dialogue in this mood."""
    draw = voices.draw
    tone = _one_of({tone: share for tone, share in TONES.items() if (mood, tone) in voices.moods}, draw)
    setting, style = _one_of(SETTINGS, draw), _one_of(STYLES, draw)

    def make() -> tuple[str, str]:
        name, text = draw.choice(voices.moods[mood, tone])
        if draw.random() < TAIL_SHARES[tone]:
            text = f"{sentence(text)} {draw.choice(voices.tails[mood])}"
        return name, _SET[setting](fill(text, voices.words, draw), style, voices)

    template, text = unseen(make, is_new)
    return {"text": text, "label": mood, "tone": tone, "setting": setting, "style": style, "template": template}


def _one_of(shares: Mapping[str, float], draw: random.Random) -> str:
    return draw.choices(list(shares), list(shares.values()))[0]


def _alone(text: str, style: str, voices: Voices) -> str:
    """Nothing but what tells the mood."""
    written = WRITERS[style](text, voices.words, voices.draw)
    return with_typos(written, voices.draw) if voices.draw.random() < TYPO_SHARE else written


def _with_request(text: str, style: str, voices: Voices) -> str:
    """What tells the mood before or after a plain request."""
    parts = [sentence(text), sentence(_said("calm", voices))]
    voices.draw.shuffle(parts)
    return _alone(" ".join(parts), style, voices)


def _dialogue(text: str, style: str, voices: Voices) -> str:
    """What the customer says last tells the mood; the turn before may have told another one."""
    before = _said(voices.draw.choice(["calm", "calm", "annoyed", "worried", "content"]), voices)
    turns = [f"Customer: {sentence(before)}", f"Shop: {voices.draw.choice(voices.replies)}"]
    return "\n".join([*turns, f"Customer: {_alone(text, style, voices)}"])


def _said(mood: str, voices: Voices) -> str:
    return fill(voices.draw.choice(voices.moods[mood, "straight"])[1], voices.words, voices.draw)


_SET: dict[str, Callable[[str, str, Voices], str]] = {
    "alone": _alone,
    "with a request": _with_request,
    "dialogue": _dialogue,
}


def _mislabelled(row: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    return row | {"label": draw.choice(CONFUSED_WITH[row["label"]]), "clean_label": row["label"]}


def about(seed: int) -> About:
    """The words of the data card of what `generate` made with this seed."""
    return About(
        title="Messages and dialogues with the manga shop, labelled with the customer's mood",
        rows="A row is one message, or a dialogue of three turns, and the mood in which the customer ends.",
        fields={
            "text": "the message; a dialogue has a line a turn, each with its speaker",
            "label": f"the mood as labelled: {', '.join(SHARES)}",
            "tone": "how the mood shows: straight, sarcastic, polite, or turned (another one is told of first)",
            "setting": "alone, with a request, or in a dialogue",
            "style": "how it is written: plain, terse, chatty, or among other sentences (multi)",
            "template": "what tells the mood: rows of one template belong together",
            "clean_label": "the true mood, in rows whose label is noise",
        },
        made="Templates of moods, and the intent router's requests for calm messages, are filled and written as people "
        "write. All of it is dealt to the splits before any text is made, and not by the seed.",
        seed=seed,
        wrong=[
            f"{NOISE_RATE:.0%} of the rows have a neighbouring mood as their label (`clean_label` is theirs).",
            "A plain request is labelled calm even where it speaks of a parcel that is late.",
            f'"{RARE}" is rare, as in life, but not in train, for which it was sought out; test may hold more as well.',
            "Every mood is told by a phrase made for it: moods between the lines are not here.",
            "Generated text is narrower than what people write: scores say little about a model in the wild.",
        ],
        counted=("label", "tone", "setting", "style"),
    )
