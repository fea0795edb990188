"""Where flips gather: a group that was made to flip is found, chance is not."""

import random

import pytest

from mct.models.tasks.examples import Example, find_kind
from mct.models.tasks.tokens import Tokens
from mct.release.inspection.asking.opened import Told
from mct.release.inspection.asking.questions import Decision, Target, manner_of
from mct.release.inspection.asking.words import Cut
from mct.release.inspection.flips import Both, Flips, find_flips

TASK = "sequence-classification"
LABELS = ("order", "returns", "other")
WORDS = ("box", "card", "manga", "refund", "where", "when")


def told(answer: str, confidence: float, length: int) -> Told:
    cut = Cut(Tokens(list(range(length)), [0] * length), (), ())
    return Told((cut,), Decision(answer, confidence, Target("logits", 0, "log-odds", answer)))


def flips_of(rate: float, planted: float, seed: int, n: int = 600) -> Flips:
    """All rows flip at `rate`, those with the word "refund" at `planted`."""
    draw = random.Random(seed)
    examples, before, after, months = [], [], [], []
    for _ in range(n):
        text, label = " ".join(draw.sample(WORDS, 2)), draw.choice(LABELS)
        length, confidence = draw.randint(5, 30), draw.uniform(0.4, 1)
        flipped = draw.random() < (planted if "refund" in text else rate)
        examples.append(Example(text, label, text, text))
        before.append(told(label, confidence, length))
        after.append(told("other" if label != "other" else "order", 0.5, length) if flipped else before[-1])
        months.append(draw.choice(("2026-01", "2026-02")))
    both = Both(examples, {"month": months}, before, after)
    return find_flips(both, find_kind(TASK), manner_of(TASK), str)


def test_the_planted_group_is_found_and_the_rest_is_not_accused() -> None:
    found = flips_of(0.02, 0.2, seed=1)
    shown = [group for group in found.groups if group.shown]
    assert {"refund"} <= {group.name for group in shown}
    worst = shown[0]
    assert worst.name == "refund" and worst.low > 0 and worst.flips.value > worst.rest
    assert {group.kind for group in found.groups} == {"label", "field", "length", "confidence", "word"}


def test_chance_alone_shows_a_group_in_few_of_many_sets() -> None:
    """Corrected over all groups: at most one set of twenty is accused. That 7 of 40 are has a chance below 1 %."""
    accused = sum(any(group.shown for group in flips_of(0.05, 0.05, seed, n=300).groups) for seed in range(40))
    assert accused < 7, accused


def test_flips_are_listed_with_all_that_was_said() -> None:
    found = flips_of(0.0, 0.1, seed=5)
    assert found.rate.count == len(found.listed) == found.worse > 0
    flip = found.listed[0]
    assert "refund" in flip.text and flip.original == flip.truth != flip.artifact and flip.became == "worse"
    sure = [each.original_confidence for each in found.listed]
    assert sure == sorted(sure, reverse=True)


@pytest.mark.parametrize("n", [1, 5])
def test_few_examples_make_no_groups(n: int) -> None:
    assert flips_of(1.0, 1.0, seed=0, n=n).groups == ()
