"""A score for a query and a document: the cross-encoder. A request is a query with its candidates, as in a shop.

What is timed has 50 candidates at most, as many as a first search hands over; what is scored has all that are graded.
"""

from collections.abc import Iterable, Mapping, Sequence

from mct.models.tasks.examples import Answer, Example, Kind, Outputs, Part, Request, Row, Truth
from mct.models.tasks.ranking import groups, order_kept, score_order, significant
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokenize, Tokens

CANDIDATES = 50


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """One example a query: its documents are the candidates, their grades the truth."""
    return tuple(_example(group["query"], group["docs"], group["grades"]) for group in groups(rows))


def _example(query: str, docs: list[str], grades: list[float]) -> Example:
    return Example({"query": query, "docs": docs[:CANDIDATES]}, grades, {"query": query, "docs": docs}, query)


def encode(tokenize: Tokenize, request: Request) -> list[Tokens]:
    """Each candidate joined with the query."""
    return [tokenize.pair(request["query"], doc) for doc in request["docs"]]


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """A score for each candidate, higher is better; `logits` is (candidates, 1)."""
    return [significant(float(score)) for score in outputs["logits"][:, 0]]


def score(truth: Truth, answer: Answer) -> Mapping[str, Part]:
    """nDCG@10, capped recall@10."""
    return score_order(truth, answer)


def labels(truth: Truth) -> Iterable[str]:
    """None: grades are no labels."""
    return ()


def texts(rows: Sequence[Row]) -> list[Request]:
    """Every query with all of its documents, each once."""
    docs: dict[str, dict[str, None]] = {}
    for row in rows:
        docs.setdefault(row["query"], {})[row["doc"]] = None
    return [{"query": query, "docs": list(found)} for query, found in docs.items()]


def beside(before: Answer, after: Answer) -> Mapping[str, Part]:
    """The original's ten best that still are, and their order."""
    return order_kept(before, after, "top_10_kept")


KIND = Kind(read, encode, decode, score, labels, texts, list[float], list[float], beside=beside)
