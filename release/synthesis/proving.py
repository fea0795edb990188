"""Whether rows that are added to a training set help: one small classifier with and without, on held-out rows. A leaf.

Three arms learn with the same options: the rows alone, the rows with as many of them repeated (what more weight alone
would give), and the rows with those added. The last is compared with each of the others on the same test rows:
McNemar's mid-p, and Tango's paired interval of the difference. What training itself leaves to chance is shown beside
it: the experiment is repeated with other draws of the training rows (bootstrap), and a gain counts only where both
intervals exclude zero. Added rows that stand in the test set, word for word or nearly, are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.bench.statistics.paired import difference, difference_p
from mct.bench.statistics.student import student
from mct.models.progress import Report, silent
from mct.release.curation.likeness import standing_in
from mct.release.curation.ngrams import teach, vectoriser
from mct.release.curation.reading import Split

DRAWS = 10
CONFIDENCE = 0.95
NEAR_TESTED = 0.8
"""Of the words (likeness.py): what a test row of four has in common with itself and a word more."""

Bools = NDArray[np.bool_]
Outcome = Literal["helps", "hurts", "no difference shown"]


@dataclass(frozen=True)
class Gain:
    """Accuracy with the added rows minus without, as shares: on the test rows, and over draws of the training rows."""

    against: str
    value: float
    low: float
    high: float
    p: float
    over_draws: tuple[float, float]


@dataclass(frozen=True)
class Proof:
    """The experiment. `leaks` are added rows that say, or nearly, what test rows do, and were left out of it."""

    train_rows: int
    added_rows: int
    test_rows: int
    leaks: int
    accuracy: dict[str, float]
    gains: tuple[Gain, ...]
    outcome: Outcome
    draws: int
    seed: int


def prove(train: Split, added: Split, test: Split, seed: int = 0, report: Report = silent) -> Proof:
    """Run the experiment. MctError where a file has no labels, or nothing is added."""
    for split in (train, added, test):
        if not split.labelled or not all(split.truths):
            raise MctError(f"{split.path} has not one label a row", "name the column: --field label=COLUMN")
    if len(set(train.truths)) < 2:
        raise MctError(f"{train.path} has one label only: there is nothing to learn", "give rows of two labels or more")
    is_tested = standing_in(test.texts, NEAR_TESTED)
    kept = [place for place, text in enumerate(added.texts) if not is_tested(text)]
    if not kept:
        raise MctError(f"every row of {added.path} is a test row, or nearly", "add rows that are not tested on")
    extra = [added.texts[place] for place in kept], [added.truths[place] for place in kept]
    rng = np.random.default_rng(seed)
    whole = _arms(train.texts, train.truths, extra, test, rng)
    drawn = []
    for draw in range(DRAWS):
        report("training with other draws", (1 + draw) / (1 + DRAWS))
        places = _bootstrap(train.truths, rng)
        texts, labels = [train.texts[at] for at in places], [train.truths[at] for at in places]
        drawn.append(_arms(texts, labels, extra, test, rng))
    gains = tuple(_gain(other, whole, drawn) for other in ("alone", "repeated"))
    return Proof(
        len(train.texts), len(kept), len(test.texts), len(added.texts) - len(kept),
        {arm: round(float(right.mean()), 4) for arm, right in whole.items()}, gains, _outcome(gains), DRAWS, seed,
    )  # fmt: skip


def described(proof: Proof) -> str:
    """The experiment as Markdown."""
    lines = [
        f"**{proof.outcome}**: {proof.train_rows:,} rows, {proof.added_rows:,} added, {proof.test_rows:,} test rows"
        + (f"; {proof.leaks} added rows were test rows, or nearly, and were left out" if proof.leaks else ""),
        "",
        "| trained on | accuracy |",
        "|--|--:|",
        *(f"| {NAMES[arm]} | {accuracy:.2%} |" for arm, accuracy in proof.accuracy.items()),
        "",
        f"| added rows against | points | 95 % (test rows) | p | 95 % ({proof.draws} draws of training rows) |",
        "|--|--:|--|--:|--|",
    ]
    for gain in proof.gains:
        draws = f"[{100 * gain.over_draws[0]:+.2f}, {100 * gain.over_draws[1]:+.2f}]"
        seen = f"[{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"
        lines.append(f"| {NAMES[gain.against]} | {100 * gain.value:+.2f} | {seen} | {gain.p:.4f} | {draws} |")
    return "\n".join(lines) + "\n"


NAMES = {"alone": "the rows alone", "repeated": "as many rows repeated", "added": "the rows and those added"}


def _arms(
    texts: Sequence[str], labels: Sequence[str], extra: tuple[list[str], list[str]], test: Split,
    rng: np.random.Generator,
) -> dict[str, Bools]:  # fmt: skip
    """Which test rows each arm gets right."""
    again = rng.integers(0, len(texts), len(extra[0]))
    repeated = [*texts, *(texts[at] for at in again)], [*labels, *(labels[at] for at in again)]
    return {
        "alone": _right(texts, labels, test),
        "repeated": _right(*repeated, test),
        "added": _right([*texts, *extra[0]], [*labels, *extra[1]], test),
    }


def _right(texts: Sequence[str], labels: Sequence[str], test: Split) -> Bools:
    words = vectoriser()
    model = teach(words.fit_transform(texts), labels)
    return np.asarray(model.predict(words.transform(test.texts)) == np.asarray(test.truths))


def _bootstrap(labels: Sequence[str], rng: np.random.Generator) -> list[int]:
    """As many rows of each label as there are, drawn with repetition: no label goes missing."""
    found: list[int] = []
    for label in sorted(set(labels)):
        places = [place for place, each in enumerate(labels) if each == label]
        found += rng.choice(places, len(places)).tolist()
    return found


def _gain(other: str, whole: dict[str, Bools], drawn: Sequence[dict[str, Bools]]) -> Gain:
    seen = difference(whole[other], whole["added"], CONFIDENCE)
    draws = student([float(each["added"].mean() - each[other].mean()) for each in drawn], CONFIDENCE)
    assert seen.low is not None and seen.high is not None  # finite, of right and wrong answers
    p = difference_p(whole[other], whole["added"])
    bounds = round(draws[0], 5), round(draws[1], 5)
    return Gain(other, round(seen.value, 5), round(seen.low, 5), round(seen.high, 5), round(p, 6), bounds)


def _outcome(gains: Sequence[Gain]) -> Outcome:
    """Against both other arms, and over test rows and draws alike."""
    if all(gain.low > 0 and gain.over_draws[0] > 0 for gain in gains):
        return "helps"
    if any(gain.high < 0 and gain.over_draws[1] < 0 for gain in gains):
        return "hurts"
    return "no difference shown"
