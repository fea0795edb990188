"""Task kinds: what a model computes, which fields its data has, and how its answers are scored.

A new task kind is one row here and one file whose `KIND` turns rows into examples, examples into tokens and outputs
into answers (see mct.models.tasks.examples).
"""

from dataclasses import dataclass
from typing import Literal

from mct.models.tables import unknown


@dataclass(frozen=True)
class Head:
    """One answer of a model: the output that carries it, what kind of answer it is, and its labels in output order.

    `kind` is "label" (one of them), "labels" (any number of them) or "tags" (one for each word).
    """

    name: str
    kind: Literal["label", "labels", "tags"]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One task kind. `metric` is the headline score, higher is better.

    `inputs` are the columns that ask, `fields` those and the ones that say what is right, `optional` those that a row
    may have as well. `head` is the kind of its one head, "" where it has none or several; `kind` names the file that
    knows the rest.
    """

    name: str
    inputs: tuple[str, ...]
    fields: tuple[str, ...]
    metric: str
    kind: str
    head: Literal["", "label", "labels", "tags"] = ""
    optional: tuple[str, ...] = ()


_TEXT = ("text",)
_PAIR = ("query", "doc")
_PREFERENCE = ("prompt", "chosen", "rejected")

TASKS = (
    Task(
        "sequence-classification", _TEXT, (*_TEXT, "label"), "accuracy", "mct.models.tasks.single_label:KIND", "label"
    ),
    Task(
        "multi-label-classification",
        _TEXT,
        (*_TEXT, "labels"),
        "f1_micro",
        "mct.models.tasks.multi_label:KIND",
        "labels",
    ),
    Task("token-classification", _TEXT, (*_TEXT, "slots"), "f1_entities", "mct.models.tasks.tagging:KIND", "tags"),
    Task("multi-head", _TEXT, _TEXT, "all_heads_right", "mct.models.tasks.multi_head:KIND"),
    Task("sentence-embedding", _PAIR, (*_PAIR, "grade"), "ndcg_at_10", "mct.models.tasks.embedding:KIND"),
    Task("embedding-head", _TEXT, (*_TEXT, "label"), "accuracy", "mct.models.tasks.single_label:KIND", "label"),
    Task("pair-scoring", _PAIR, (*_PAIR, "grade"), "ndcg_at_10", "mct.models.tasks.pair_scoring:KIND"),
    Task("reward", _PREFERENCE, _PREFERENCE, "preference_accuracy", "mct.models.tasks.reward:KIND"),
    Task(
        "causal-lm", _TEXT, _TEXT, "next_token_accuracy", "mct.models.tasks.language_model:KIND", optional=("prompt",)
    ),
)


def find_task(name: str) -> Task:
    """The row of that name; MctError with the nearest names otherwise."""
    for task in TASKS:
        if task.name == name:
            return task
    raise unknown("task", name, (task.name for task in TASKS))
