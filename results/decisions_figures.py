"""The figures behind results/decisions.py: what hurts today, what not fine-tuning gives, what the change gains.

All are measured on the built-in scenarios' generated rows, and say so (`origin = "generated"`). The rows of
`data/dev.jsonl`, which no builder learns from, stand for production's log; `data/test.jsonl` is the set to judge by.
What there would be without fine-tuning is the simplest that a shop does: the most frequent label for every message,
results in the order of the words that they share with the query, or the model that fine-tuning began with.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mct.bench.judge.quality import headline, proportion_bounds, value_bounds
from mct.bench.statistics.paired import difference
from mct.bench.statistics.ratio_metric import RatioMetric
from mct.bench.store.reading import read_own_samples
from mct.bench.store.store import read_result
from mct.models.data.declared import read_object
from mct.models.data.files import Row, read_data_file
from mct.models.tasks.datasets import read_dataset
from mct.models.tasks.ranking import groups, score_order
from mct.models.tasks.table import find_task

EACH_END = 0.025
"""A 95 % interval leaves so much on either side."""
GOOD = 2
"""The grade from which a page answers a search: 1 is only of some use."""
SHOWN = 3
LOG, TEST = "dev", "test"

Rows = Sequence[Row]
Figure = dict[str, Any]


def figure(what: str, value: float, ends: Sequence[float], n: int, scenario: str, **other: Any) -> Figure:
    """A figure as `mct decide` reads it."""
    return {
        "schema": 1, "kind": "mct-figure", "what": what, "value": round(value, 6), "low": round(min(value, *ends), 6),
        "high": round(max(value, *ends), 6), "n": n, "source": f"generated rows of {scenario}",
        "date": f"{datetime.now(UTC):%Y-%m-%d}", "origin": "generated",
        "command": f"python results/decisions.py --only {scenario}", **other,
    }  # fmt: skip


def share(what: str, hits: int, n: int, scenario: str, **other: Any) -> Figure:
    """A share with its exact interval (Clopper & Pearson 1934)."""
    return figure(what, hits / n, proportion_bounds(hits, n, EACH_END), n, scenario, **other)


def metric_figure(what: str, scored: RatioMetric, scenario: str, **other: Any) -> Figure:
    """A metric with its interval."""
    return figure(what, scored.value or 0.0, value_bounds(scored, EACH_END), len(scored), scenario, **other)


def gain_figure(what: str, before: RatioMetric, after: RatioMetric, scenario: str, **other: Any) -> Figure:
    """What `after` has more than `before` on the same examples, with its paired interval."""
    found = difference(before, after)
    return figure(what, found.value, (found.low, found.high), len(after), scenario, **other)


def apart_figure(what: str, before: tuple[int, int], after: tuple[int, int], scenario: str, **other: Any) -> Figure:
    """The difference of two shares (hits, n) whose examples cannot be paired: each end from two 97.5 % intervals."""
    low, high = (proportion_bounds(*each, EACH_END / 2) for each in (before, after))
    value = after[0] / after[1] - before[0] / before[1]
    return figure(what, value, (high[0] - low[1], high[1] - low[0]), min(before[1], after[1]), scenario, **other)


# -- what was measured ------------------------------------------------------------------------------------------------


def measured(result: Path, artifact: str) -> RatioMetric | None:
    """The headline metric of an artifact of a stored result, example by example; None where it has none."""
    samples = read_own_samples(result, read_result(result))
    found = next((each for each in samples.measurements if each.subject.name == artifact), None)
    return headline(found) if found is not None and found.answers is not None else None


def rows_of(checkpoint: Path, part: str) -> Rows:
    """The rows of a part of a checkpoint's data."""
    return read_data_file(checkpoint / "data" / f"{part}.jsonl", {}).rows


# -- what there would be without fine-tuning, example by example ------------------------------------------------------


def most_frequent(checkpoint: Path, part: str) -> RatioMetric:
    """Every message gets the label that most of the training messages have."""
    usual = Counter(str(row["label"]) for row in rows_of(checkpoint, "train")).most_common(1)[0][0]
    return _hits([row["label"] == usual for row in rows_of(checkpoint, part)])


def most_frequent_of_all_heads(checkpoint: Path, part: str) -> RatioMetric:
    """Every head gives what it gave most often in training, words no entity: right where all heads are."""
    train, names = rows_of(checkpoint, "train"), ("label", "sentiment", "risk")
    usual = {name: Counter(str(row[name]) for row in train).most_common(1)[0][0] for name in names}
    rows = rows_of(checkpoint, part)
    return _hits([all(row[name] == usual[name] for name in names) and set(row["slots"]) <= {"O"} for row in rows])


def shared_words(checkpoint: Path, part: str) -> RatioMetric:
    """Pages in the order of the share of the query's words that they have: nDCG@10 of each query."""
    found = [score_order(query["grades"], _shared(query)) for query in _queries(checkpoint, part)]
    return _parts([each["ndcg_at_10"].got for each in found], [each["ndcg_at_10"].of for each in found])


def without_answer(checkpoint: Path, part: str) -> tuple[int, int]:
    """Of the searches that some page answers, those whose first results by shared words hold none; and of how many."""
    missed = asked = 0
    for query in _queries(checkpoint, part):
        if max(query["grades"]) < GOOD:
            continue
        order = np.argsort([-score for score in _shared(query)], kind="stable")
        asked += 1
        missed += all(query["grades"][place] < GOOD for place in order[:SHOWN])
    return missed, asked


def _queries(checkpoint: Path, part: str) -> list[dict[str, Any]]:
    dataset = read_dataset(checkpoint / "data" / f"{part}.jsonl", find_task("pair-scoring"))
    return groups(dataset.rows)


def _shared(query: Mapping[str, Any]) -> list[float]:
    asked = set(query["query"].lower().split())
    return [len(asked & set(doc.lower().split())) / len(asked) for doc in query["docs"]]


def _hits(right: Sequence[bool]) -> RatioMetric:
    return _parts([float(each) for each in right], [1.0] * len(right))


def _parts(got: Sequence[float], of: Sequence[float]) -> RatioMetric:
    return RatioMetric(np.asarray(got, dtype=np.float64), np.asarray(of, dtype=np.float64))


NAIVE: dict[str, tuple[str, Callable[[Path, str], RatioMetric]]] = {
    "sequence-classification": ("the most frequent label for every message", most_frequent),
    "embedding-head": ("the most frequent label for every message", most_frequent),
    "multi-head": ("the most frequent answer of every head", most_frequent_of_all_heads),
    "sentence-embedding": ("pages in the order of shared words", shared_words),
    "pair-scoring": ("pages in the order of shared words", shared_words),
}


# -- what hurts today, in the log -------------------------------------------------------------------------------------


def misrouted(scenario: str, checkpoint: Path) -> Figure:
    """Messages that one queue for all would answer wrongly."""
    right = most_frequent(checkpoint, LOG)
    wrong = len(right) - int(right.got.sum())
    return share("messages that one queue for all sends to the wrong team", wrong, len(right), scenario)


def unseen_frustration(scenario: str, checkpoint: Path) -> Figure:
    """Frustrated messages, which nobody is told of."""
    rows = rows_of(checkpoint, LOG)
    frustrated = sum(row["label"] == "frustrated" for row in rows)
    return share("messages of frustrated customers, of whom nobody is told", frustrated, len(rows), scenario)


def unanswered(scenario: str, checkpoint: Path) -> Figure:
    """Searches without an answer among the first results."""
    return share(
        f"searches whose first {SHOWN} results by shared words hold no answer",
        *without_answer(checkpoint, LOG),
        scenario,
    )


def misread(scenario: str, checkpoint: Path) -> Figure:
    """Messages of which the usual answer of every head gets something wrong."""
    right = most_frequent_of_all_heads(checkpoint, LOG)
    wrong = len(right) - int(right.got.sum())
    return share("messages of which the usual answers get something wrong", wrong, len(right), scenario)


def seasonal(scenario: str, checkpoint: Path) -> Figure:
    """Messages of an intent that the router of before does not have."""
    rows = rows_of(checkpoint, LOG)
    new = sum(str(row.get("seasonal")).lower() == "true" for row in rows)
    return share("messages of an intent that the router of before does not know", new, len(rows), scenario)


def of_last_month(scenario: str, checkpoint: Path) -> Figure:
    """The newest month's messages, answered by the model of the month before."""
    (right, n), _ = newest_month(checkpoint)
    return share("messages of the newest month that last month's model gets wrong", n - right, n, scenario)


def newest_month(checkpoint: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """The newest month's rows of the log that the model before and after its update gets right, and how many."""
    told = read_object(checkpoint / "recipe.json")["dev_accuracy"]
    months = sorted(told)
    n = sum(row["month"] == months[-1] for row in rows_of(checkpoint, LOG))
    before, after = (round(told[month][months[-1]] * n) for month in months[-2:])
    return (before, n), (after, n)


def dispreferred(scenario: str, checkpoint: Path) -> Figure:
    """Pairs of which today's model finds the worse answer likelier."""
    told = read_object(checkpoint / "recipe.json")["dev"]["before"]
    n = len(rows_of(checkpoint, LOG))
    worse = n - round(told["likelier"] * n)
    return share("pairs of answers of which today's model finds the worse likelier", worse, n, scenario)


def unanswered_questions(scenario: str, checkpoint: Path) -> Figure:
    """Questions that today's model does not answer word for word, of those that were asked in building."""
    told = read_object(checkpoint / "recipe.json")["dev"]["before"]["exact"]
    n = min(12, len(rows_of(checkpoint, LOG)))
    return share("questions that today's model does not answer as it should", n - round(told * n), n, scenario)


def lost_by_rounding(scenario: str, checkpoint: Path) -> Figure:
    """What 4 bits cost without training for them."""
    told = read_object(checkpoint / "recipe.json")["dev_accuracy"]
    n = len(rows_of(checkpoint, LOG))
    before, after = (round(told[name] * n) for name in ("rounded", "float_accuracy"))
    return apart_figure("accuracy lost by rounding to 4 bits alone", (before, n), (after, n), scenario)
