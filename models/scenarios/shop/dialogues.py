"""Dialogues between a customer and the shop's assistant: what language models learn, and are asked.

The customer's turns are the router's messages, so templates, titles, order numbers and all else that fills them are
dealt to one split each before any text is made. The assistant's phrases (`replies`) are not dealt: they are what is to
be learned; in dev and test they answer requests that were never seen, with names that were never seen.

A row is one dialogue: `text` whole, and `prompt`, what comes before the assistant's last answer. A quarter of them have
an exchange before it. Beside these: `intent`, `style` (of the assistant), `template` (of the request that is answered),
`turns`, `high_risk`, and `genre` where the request names one.
"""

import random
import re
from collections.abc import Mapping, Sequence

from mct.models.data.files import Row
from mct.models.data.leaks import normalised
from mct.models.scenarios.shop.card import About
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.scenarios.shop.intents import PRODUCTION_SHARES
from mct.models.scenarios.shop.messages import DEAL, SPLITS, WRITERS, Words, deal_words, fill
from mct.models.scenarios.shop.texts.replies import BODIES, STYLES

CUSTOMER, ASSISTANT = "Customer:", "Assistant:"
STOP = "\n"
"""What ends a turn; an answer is on one line."""

TWO_TURNS = 0.25
_WRITERS = {"plain": 0.5, "terse": 0.3, "multi": 0.2}
SLOT = re.compile(r"\{(\w+)\}")


def generate(seed: int, rows: int, styles: Sequence[str] = ("house",)) -> dict[str, list[Row]]:
    """So many dialogues over all splits (5/8 train, 1/8 dev, 2/8 test), the assistant in one of `styles` in each.

    The same arguments give the same rows in every process. No two have the same prompt.
    """
    taken: set[str] = set()
    made = {}
    for split in SPLITS:
        draw, words = random.Random(f"manga-dialogues/{seed}/{split}"), deal_words(split)
        wanted = rows * DEAL.count(split) // len(DEAL)
        made[split] = [_unseen(words, styles, draw, taken) for _ in range(wanted)]
    return made


def about(seed: int, styles: Sequence[str]) -> About:
    """The words of the data card of what `generate` made with this seed."""
    return About(
        title="Dialogues between a customer and the shop's assistant",
        rows="A row is one dialogue, whose last turn is the answer that is learned.",
        fields={
            "text": "the whole dialogue",
            "prompt": "what comes before the last answer",
            "intent": "what the customer wants in the last request",
            "style": "how the assistant sounds",
            "template": "what the last request was made from: rows of one template belong together",
            "turns": "how many exchanges there are",
            "high_risk": "whether the intent is one in which a compressed model may not get worse",
            "genre": "the genre that the request names, where it names one",
        },
        made=f"The customer's turns are the router's messages; the assistant answers in these styles: "
        f"{', '.join(styles)}. Templates and what fills them are dealt to the splits before any text is made.",
        seed=seed,
        wrong=[
            "The assistant's phrases stand in every split: what is new in dev and test is what they answer, and with "
            "which names.",
            "Answers are short and few: a model's perplexity on them is far below that on what people write.",
        ],
        counted=("intent", "style", "turns", "high_risk"),
        compared=("prompt",),
    )


def answer_of(row: Row) -> str:
    """What the assistant says last."""
    return str(row["text"])[len(row["prompt"]) :]


def reply(intent: str, slots: Mapping[str, str], style: str, draw: random.Random) -> str:
    """An answer to a request that has filled these slots, on one line."""
    bodies = [line.strip() for line in BODIES[intent].strip().splitlines()]
    known = [body for body in bodies if set(SLOT.findall(body)) <= slots.keys()]
    named = [body for body in known if "{" in body]
    body = said(draw.choice(named or known), slots, draw)
    before, after = (draw.choice(parts) for parts in STYLES[style])
    if style == "curt":
        body = re.split(r"(?<=[.!?]) |, ", body)[0].rstrip(".,") + "."
    return " ".join(part for part in (before, body, after) if part)


def said(template: str, slots: Mapping[str, str], draw: random.Random) -> str:
    """The template with these slots filled, one way taken through its choices."""
    filled = SLOT.sub(lambda match: slots[match[1]], template)
    return fill(filled, _NO_WORDS, draw)


def request(intent: str, words: Words, draw: random.Random) -> tuple[str, str, dict[str, str]]:
    """A customer's request: the name of its template, its text, and what its slots were filled with."""
    name, template = draw.choice(words.templates[intent])
    slots = {slot: fill(f"{{{slot}}}", words, draw) for slot in dict.fromkeys(SLOT.findall(template))}
    writer = WRITERS[draw.choices(list(_WRITERS), list(_WRITERS.values()))[0]]
    return name, writer(said(template, slots, draw), words, draw), slots


def _unseen(words: Words, styles: Sequence[str], draw: random.Random, taken: set[str]) -> Row:
    """The first dialogue whose prompt is new; it is `taken` then."""
    while True:
        row = _dialogue(words, draw.choice(styles), draw)
        if (read := normalised(row["prompt"])) not in taken:
            taken.add(read)
            return row


def _dialogue(words: Words, style: str, draw: random.Random) -> Row:
    before = _exchange(words, style, draw) if draw.random() < TWO_TURNS else {}
    last = _exchange(words, style, draw)
    history = before["prompt"] + before["answer"] + "\n" if before else ""
    genre = {"genre": last["genre"]} if "genre" in last else {}
    return {
        "text": history + last["prompt"] + last["answer"],
        "prompt": history + last["prompt"],
        "intent": last["intent"],
        "style": style,
        "template": last["template"],
        "turns": 2 if before else 1,
        "high_risk": last["intent"] in HIGH_RISK_INTENTS,
    } | genre


def _exchange(words: Words, style: str, draw: random.Random) -> Row:
    intent = draw.choices(list(PRODUCTION_SHARES), list(PRODUCTION_SHARES.values()))[0]
    name, text, slots = request(intent, words, draw)
    answer = reply(intent, slots, style, draw)
    genre = {"genre": slots["genre"]} if "genre" in slots else {}
    said = {"prompt": f"{CUSTOMER} {text}\n{ASSISTANT}", "answer": f" {answer}"}
    return {"intent": intent, "template": name} | said | genre


_NO_WORDS = Words({}, {}, {}, (), (), (), (), ())
