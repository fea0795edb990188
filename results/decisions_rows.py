"""The rows of results/decisions.py: for each scenario what hurts, what may be borne, and what there is without tuning.

What may be borne, the load and what it may cost a month are assumptions of this file, and every decision says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decisions_figures import (
    LOG,
    apart_figure,
    dispreferred,
    lost_by_rounding,
    misread,
    misrouted,
    newest_month,
    of_last_month,
    rows_of,
    seasonal,
    share,
    unanswered,
    unanswered_questions,
    unseen_frustration,
)  # fmt: skip

from mct.models.data.declared import read_object

Figure = dict[str, Any]
Measure = Callable[[str, Path], Figure]


@dataclass(frozen=True)
class Row:
    """One scenario. `pain` measures what hurts, None where nothing in the built-in data tells it.

    `base` is a folder in the checkpoint with the model before fine-tuning, "" where the naive answer serves or where
    `untuned` and `tie` give figures of their own. `damaged` plants a bad release that was let into production.
    """

    scenario: str
    pain: Measure | None = None
    tolerated: float = 0.1
    base: str = ""
    untuned: Measure | None = None
    tie: Measure | None = None
    damaged: bool = False


def by_labels_alone(scenario: str, checkpoint: Path) -> Figure:
    """The same student, taught by labels alone."""
    told, n = read_object(checkpoint / "recipe.json")["dev_accuracy"], len(rows_of(checkpoint, LOG))
    right = round(told["student_by_labels_alone"] * n)
    return share("the same student by labels alone", right, n, scenario, metric="accuracy")


def gain_over_labels(scenario: str, checkpoint: Path) -> Figure:
    """What the teacher gave the student, in the log."""
    told, n = read_object(checkpoint / "recipe.json")["dev_accuracy"], len(rows_of(checkpoint, LOG))
    before, after = (round(told[name] * n) for name in ("student_by_labels_alone", "student"))
    return apart_figure(
        "accuracy gained by the teacher over labels alone, in the log", (before, n), (after, n), scenario
    )


def rounded_alone(scenario: str, checkpoint: Path) -> Figure:
    """The router rounded to 4 bits, without training for them."""
    told, n = read_object(checkpoint / "recipe.json")["dev_accuracy"], len(rows_of(checkpoint, LOG))
    return share("rounding to 4 bits alone", round(told["rounded"] * n), n, scenario, metric="accuracy")


def gain_over_rounding(scenario: str, checkpoint: Path) -> Figure:
    """What training for 4 bits gives, in the log."""
    told, n = read_object(checkpoint / "recipe.json")["dev_accuracy"], len(rows_of(checkpoint, LOG))
    before, after = (round(told[name] * n) for name in ("rounded", "trained"))
    return apart_figure("accuracy gained over rounding alone, in the log", (before, n), (after, n), scenario)


def model_of_before(scenario: str, checkpoint: Path) -> Figure:
    """Last month's model on the newest month."""
    return share("last month's model, on the newest month", *newest_month(checkpoint)[0], scenario, metric="accuracy")


def gain_of_update(scenario: str, checkpoint: Path) -> Figure:
    """What the update gives on the newest month, in the log."""
    return apart_figure("accuracy gained on the newest month, in the log", *newest_month(checkpoint), scenario)


ROWS = (
    Row("intent-router", misrouted, damaged=True),
    Row("embedding-adapter", unanswered),
    Row("reranker", unanswered),
    Row("response-lora", base="base"),
    Row("distilled-router", untuned=by_labels_alone, tie=gain_over_labels),
    Row("distilled-response"),
    Row("continual-router", of_last_month, untuned=model_of_before, tie=gain_of_update),
    Row("fewshot-intents", seasonal, tolerated=0.05),
    Row("sentiment", unseen_frustration, tolerated=0.02),
    Row("response-dpo", dispreferred, tolerated=0.25, base="base"),
    Row("prompt-style", base="base"),
    Row("qat", lost_by_rounding, tolerated=0.005, untuned=rounded_alone, tie=gain_over_rounding),
    Row("multi-task", misread),
    Row("raft", unanswered_questions, tolerated=0.2),
    Row("moe"),
    Row("mlops"),
    Row("data-curation"),
    Row("interpretability"),
    Row("capstone"),
    Row("execution-map"),
)
