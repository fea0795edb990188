"""How well a model orders the pages of each query, while it is built: the metrics of the task, on rows in memory.

A bench measures the same on an artifact, through its runtime; here it says what training gave.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from mct.models.data.files import Row
from mct.models.tasks.ranking import groups, score_order, significant

ScoreAll = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""Scores of pairs of query and document, higher is better, in the order given."""


def ranking_metrics(rows: Sequence[Row], score_all: ScoreAll) -> dict[str, float]:
    """nDCG@10 and capped recall@10, averaged over the queries of `rows` (query, doc, grade) that have a useful page."""
    queries = groups(rows)
    scores = iter(score_all([(query["query"], doc) for query in queries for doc in query["docs"]]))
    got, of = defaultdict[str, float](float), defaultdict[str, float](float)
    for query in queries:
        ordered = score_order(query["grades"], [significant(float(next(scores))) for _ in query["docs"]])
        for metric, part in ordered.items():
            got[metric] += part.got
            of[metric] += part.of
    return {metric: round(got[metric] / of[metric], 4) for metric in got}
