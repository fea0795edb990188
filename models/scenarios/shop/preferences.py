"""Two answers of the assistant to the same request, and which is better: what DPO and reward models train on.

The rejected answer is one that the shop would not want: it invents the state of an order, gives an ending away, ignores
a reader's age, makes facts up, is rude, or goes on and on. `why` says what the chosen one has instead. Requests are
dealt to the splits as in `dialogues`, and so are the flaws: a model of these preferences is tested on flaws in words
that it never saw.
"""

import random

from mct.models.data.files import Row
from mct.models.data.leaks import normalised
from mct.models.scenarios.shop.card import About
from mct.models.scenarios.shop.dialogues import ASSISTANT, CUSTOMER, SLOT, reply, request, said
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.scenarios.shop.intents import PRODUCTION_SHARES
from mct.models.scenarios.shop.messages import DEAL, SPLITS, Words, deal, deal_words
from mct.models.scenarios.shop.texts.flaws import FLAWS
from mct.models.scenarios.shop.texts.replies import STYLES

# What stands in the place of an answer's body, by the requests that it fits.
_FITS = {
    "no invented status": ("order_tracking", "returns", "escalation"),
    "no spoiler": ("recommendation", "product_question", "availability"),
    "age-appropriate": ("age_sensitive_recommendation",),
    "grounded": ("product_question", "availability", "recommendation"),
}
AROUND = 0.35
"""How often an answer is rude or long-winded, which fits every request."""


def generate(seed: int, rows: int, style: str = "house") -> dict[str, list[Row]]:
    """So many pairs over all splits (5/8 train, 1/8 dev, 2/8 test), both answers in the assistant's `style`.

    The same arguments give the same rows in every process. No two have the same prompt.
    """
    taken: set[str] = set()
    made = {}
    for split in SPLITS:
        draw, words = random.Random(f"manga-preferences/{seed}/{split}"), deal_words(split)
        flaws = {
            why: deal([line.strip() for line in lines.strip().splitlines()], split) for why, lines in FLAWS.items()
        }
        wanted = rows * DEAL.count(split) // len(DEAL)
        made[split] = [_unseen(words, flaws, style, draw, taken) for _ in range(wanted)]
    return made


def about(seed: int) -> About:
    """The words of the data card of what `generate` made with this seed."""
    return About(
        title="Preferences between two answers of the shop's assistant",
        rows="A row is a request with two answers, of which the shop wants the first.",
        fields={
            "prompt": "the request, up to where the assistant answers",
            "chosen": "the better answer",
            "rejected": "the worse one",
            "why": "what the chosen one has that the rejected one lacks",
            "text": "the request with the better answer",
            "intent": "what the customer wants",
            "template": "what the request was made from: rows of one template belong together",
            "high_risk": "whether the intent is one in which a compressed model may not get worse",
        },
        made="Requests are the router's messages; the rejected answer is a reply with one flaw. Requests, what fills "
        "them and flaws are dealt to the splits before any text is made.",
        seed=seed,
        wrong=[
            "Every pair differs in one thing, and no labeller erred: people are less sure.",
            "The chosen answer's phrases stand in every split, those of the flaws in one only.",
        ],
        counted=("why", "intent", "high_risk"),
        compared=("prompt",),
    )


def _unseen(words: Words, flaws: dict[str, list[str]], style: str, draw: random.Random, taken: set[str]) -> Row:
    """The first pair whose prompt is new; it is `taken` then."""
    while True:
        row = _pair(words, flaws, style, draw)
        if (read := normalised(row["prompt"])) not in taken:
            taken.add(read)
            return row


def _pair(words: Words, flaws: dict[str, list[str]], style: str, draw: random.Random) -> Row:
    intent = draw.choices(list(PRODUCTION_SHARES), list(PRODUCTION_SHARES.values()))[0]
    name, text, slots = request(intent, words, draw)
    prompt = f"{CUSTOMER} {text}\n{ASSISTANT}"
    chosen = reply(intent, slots, style, draw)
    fitting = [
        (why, line)
        for why, intents in _FITS.items()
        for line in flaws[why]
        if intent in intents and set(SLOT.findall(line)) <= slots.keys()
    ]
    if fitting and draw.random() >= AROUND:
        why, line = draw.choice(fitting)
        before, after = (draw.choice(parts) for parts in STYLES[style])
        rejected = " ".join(part for part in (before, said(line, slots, draw), after) if part)
    else:
        why = draw.choice(["polite", "short"])
        rejected = _around(why, reply(intent, slots, style, draw), draw.choice(flaws[why]))
    return {
        "prompt": prompt, "chosen": f" {chosen}", "rejected": f" {rejected}", "why": why, "text": f"{prompt} {chosen}",
        "intent": intent, "template": name, "high_risk": intent in HIGH_RISK_INTENTS,
    }  # fmt: skip


def _around(why: str, answer: str, flaw: str) -> str:
    """A rude word takes the place of the last sentence, where there are several; who goes on adds to it."""
    first, _, last = answer.rpartition(". ")
    return f"{first}. {flaw}" if why == "polite" and first and last else f"{answer} {flaw}"
