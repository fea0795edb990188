"""Task kinds: what a model computes, which fields its data has, and how its answers are scored.

A new task kind is one row here and one file that encodes its examples and decodes its outputs.
"""

from dataclasses import dataclass

from mct.models.tables import unknown


@dataclass(frozen=True)
class Task:
    """One task kind. `fields` are the columns its data must have; `metric` is the headline score, higher is better."""

    name: str
    fields: tuple[str, ...]
    metric: str
    auto_class: str
    heads: tuple[str, ...]


TASKS = (
    Task(
        name="sequence-classification",
        fields=("text", "label"),
        metric="accuracy",
        auto_class="AutoModelForSequenceClassification",
        heads=("logits",),
    ),
)


def find_task(name: str) -> Task:
    """The row of that name; MctError with the nearest names otherwise."""
    for task in TASKS:
        if task.name == name:
            return task
    raise unknown("task", name, (task.name for task in TASKS))
