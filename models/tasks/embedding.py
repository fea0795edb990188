"""A vector for a text, near those of texts that mean the same: the sentence embedder.

What is timed is one query; what is scored is the order in which it puts its graded documents, by cosine.
"""

from collections.abc import Mapping, Sequence
from math import sqrt

from mct.models.tasks import pair_scoring as task_pairs
from mct.models.tasks.examples import Answer, Example, Kind, Outputs, Part, Request, Row, Truth
from mct.models.tasks.ranking import groups, order_kept, score_order, significant
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokenize, Tokens


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """One example a query."""
    return tuple(
        Example(group["query"], group["grades"], {"query": group["query"], "docs": group["docs"]}, group["query"])
        for group in groups(rows)
    )


def encode(tokenize: Tokenize, request: Request) -> list[Tokens]:
    """A text is one input; a query with documents is one input for each of them, the query first."""
    if isinstance(request, str):
        return [tokenize(request)]
    return [tokenize(text) for text in (request["query"], *request["docs"])]


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """The vector of a text, or the cosine of each document with the query; `sentence_embedding` is (texts, width).

    A vector of zeros, which points nowhere, has a cosine of 0 with all.
    """
    vectors = outputs["sentence_embedding"]
    if len(inputs) == 1:
        return vectors[0].tolist()
    query, *docs = (vector / (sqrt(float(vector @ vector)) or 1.0) for vector in vectors)
    return [significant(float(doc @ query)) for doc in docs]


def score(truth: Truth, answer: Answer) -> Mapping[str, Part]:
    """nDCG@10, capped recall@10."""
    return score_order(truth, answer)


def texts(rows: Sequence[Row]) -> list[Request]:
    """Queries and documents, each once."""
    return list(dict.fromkeys(text for row in rows for text in (row["query"], row["doc"])))


def beside(before: Answer, after: Answer) -> Mapping[str, Part]:
    """The query's ten nearest that still are, and their order."""
    return order_kept(before, after, "neighbours_kept")


KIND = Kind(read, encode, decode, score, task_pairs.labels, texts, list[float], list[float], beside=beside)
