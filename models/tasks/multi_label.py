"""Any number of labels for a text, each with a sigmoid of its own: multi-label classification."""

from collections.abc import Iterable, Mapping, Sequence

from mct.models.tasks import single_label as task_label
from mct.models.tasks.examples import Answer, Example, Kind, Outputs, Part, Row, Truth, column
from mct.models.tasks.ranking import significant
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokens


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """`text` asks, the list `labels` is right."""
    return tuple(
        Example(row["text"], sorted(str(label) for label in row["labels"]), row["text"], row["text"]) for row in rows
    )


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """The labels with a probability above one half, sorted; `logits` is (1, labels)."""
    chosen = outputs["logits"][0] > 0
    return sorted(label for label, is_chosen in zip(heads[0].labels, chosen, strict=True) if is_chosen)


def score(truth: Truth, answer: Answer) -> Mapping[str, Part]:
    """F1 over all decisions on all examples (micro), and the share of examples with exactly the right set."""
    hits = len(set(truth) & set(answer))
    return {
        "f1_micro": Part(2.0 * hits, float(len(truth) + len(answer))),
        "exact_match": Part(float(list(truth) == list(answer)), 1.0),
    }


def labels(truth: Truth) -> Iterable[str]:
    """All of them."""
    return tuple(truth)


def recall(truth: Truth, answer: Answer, label: str) -> Part:
    """Whether it is among the text's labels, where it should be."""
    return Part(float(label in truth and label in answer), float(label in truth))


def confidence(outputs: Outputs, heads: Sequence[Head], label: str) -> float:
    """The label's own logit."""
    return significant(float(outputs["logits"][0][heads[0].labels.index(label)]))


KIND = Kind(read, task_label.encode, decode, score, labels, column, list[str], list[str], recall, confidence)
