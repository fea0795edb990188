"""The order of the work: which scenario answers which symptom, what it builds on, and why it stands where it does.

Plain data beside the product's table (`mct.models.scenarios.table`): every row of that stands here once, in the order
in which one would try them. `after` is advice, not a need: each scenario's checkpoint can be built alone. `is_stage`
names the stage that a row without a model of its own is: it is done for every other row.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from mct import MctError
from mct.models.tables import unknown

NEAR = 0.75


@dataclass(frozen=True)
class Place:
    """Where a scenario stands: what hurts when it is wanted, which others come before it, and why."""

    scenario: str
    symptoms: tuple[str, ...]
    why: str
    after: tuple[str, ...] = ()
    is_stage: tuple[str, ...] = ()


ROUTED = "messages routed wrongly"
IRRELEVANT = "search irrelevant"
POOR = "answers poor"
SLOW_UPDATES = "updates too slow"
SLOW = "too slow or too dear"
UPSET = "upset customers unseen"
UNSURE = "before promoting"
LOST = "where to begin"

PLACES = (
    Place("execution-map", (LOST,), "the map itself: read it before anything runs", is_stage=("plan",)),
    Place(
        "data-curation", (SLOW_UPDATES,),
        "a leak or wrong labels would make every later figure wrong, so data is looked at first", is_stage=("check",),
    ),
    Place("intent-router", (ROUTED,), "the shared baseline: every message passes it, and others start from it"),
    Place(
        "sentiment", (UPSET,), "the cheapest second classifier, and its alarms weigh most in the high-risk flows",
        after=("intent-router",),
    ),
    Place(
        "multi-task", (SLOW, ROUTED), "one backbone for what are four models: worth it once two of them are in use",
        after=("intent-router", "sentiment"),
    ),
    Place(
        "fewshot-intents", (SLOW_UPDATES, ROUTED), "a new seasonal intent has a handful of examples, not thousands",
        after=("intent-router",),
    ),
    Place(
        "continual-router", (SLOW_UPDATES,), "each month's messages, without forgetting the months before",
        after=("intent-router",),
    ),
    Place("embedding-adapter", (IRRELEVANT,), "what the search never finds no reranker can put first"),
    Place(
        "reranker", (IRRELEVANT,), "puts what was found in order; it costs a pass for each candidate",
        after=("embedding-adapter",),
    ),
    Place("prompt-style", (POOR,), "the cheapest change of how answers sound: a few virtual tokens, no weights"),
    Place("response-lora", (POOR,), "teaches the shop's answers; what tunes preferences starts from it"),
    Place(
        "response-dpo", (POOR,), "wants pairs of a better and a worse answer of a model that already answers",
        after=("response-lora",),
    ),
    Place(
        "raft", (POOR,), "answers from the shop's pages: worth it when the search finds the right ones",
        after=("response-lora", "embedding-adapter"),
    ),
    Place("moe", (POOR, SLOW), "experts by genre: more weights, as many of them at work as before",
          after=("response-lora",)),
    Place(
        "distilled-response", (POOR, SLOW), "a small model learns a large one's answers, once those are good",
        after=("response-lora",),
    ),
    Place(
        "distilled-router", (SLOW,), "a small router learns from the large one, which must be right first",
        after=("intent-router",),
    ),
    Place("qat", (SLOW,), "only where rounding to few bits was shown to cost answers", after=("intent-router",)),
    Place(
        "interpretability", (UNSURE,), "an average hides where and why a compressed model answers otherwise",
        is_stage=("explain",),
    ),
    Place(
        "mlops", (SLOW_UPDATES, UNSURE), "a gate that stands, a way back that was practised, the same bytes again",
        is_stage=("gate", "release"),
    ),
    Place(
        "capstone", (UNSURE,), "the written decision: promote, hold or roll back, with its evidence",
        is_stage=("decide",),
    ),
)  # fmt: skip

# Other words by which people name a symptom.
ALSO = {
    "search finds nothing": IRRELEVANT,
    "results irrelevant": IRRELEVANT,
    "bad answers": POOR,
    "answers wrong": POOR,
    "slow updates": SLOW_UPDATES,
    "misrouted": ROUTED,
    "latency": SLOW,
    "cost": SLOW,
    "frustrated customers": UPSET,
    "promotion": UNSURE,
}


def symptoms() -> dict[str, tuple[str, ...]]:
    """Every symptom with the scenarios that answer it, both in the order of the work."""
    found: dict[str, list[str]] = {}
    for place in PLACES:
        for symptom in place.symptoms:
            found.setdefault(symptom, []).append(place.scenario)
    return {symptom: tuple(names) for symptom, names in found.items()}


def find_symptom(said: str) -> str:
    """The symptom that these words mean, in any order. MctError with the known ones where they mean none or several."""
    words = _sorted(said)
    known = {_sorted(name): meant for name, meant in ({each: each for each in symptoms()} | ALSO).items()}
    meant = {known[name] for name in difflib.get_close_matches(words, known, n=3, cutoff=NEAR)}
    if words in known:
        meant = {known[words]}
    if len(meant) == 1:
        return meant.pop()
    if meant:
        raise MctError(f"{said!r} may mean several symptoms", f"say one of: {', '.join(sorted(meant))}")
    raise MctError(f"no symptom is called {said!r}", f"known: {', '.join(symptoms())}")


def _sorted(words: str) -> str:
    return " ".join(sorted(words.lower().split()))


def find_place(scenario: str) -> Place:
    """The place of a scenario; MctError for a name that is none."""
    for place in PLACES:
        if place.scenario == scenario:
            return place
    raise unknown("scenario", scenario, (place.scenario for place in PLACES))


def in_order(names: tuple[str, ...]) -> tuple[Place, ...]:
    """The places of these scenarios, each once, in the order of the work; all of them where none is named."""
    wanted = {find_place(name).scenario for name in names} or {place.scenario for place in PLACES}
    return tuple(place for place in PLACES if place.scenario in wanted)
