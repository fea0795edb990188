"""Texts as weighted words, and a logistic regression on them that never saw the row it judges. A leaf.

The plain classifier of the field (TF-IDF, multinomial logistic regression by scikit-learn): it needs no checkpoint, is
trained in seconds, and its probabilities are near to what they say. Where a checkpoint's embeddings are given they take
the place of words.
"""

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from mct.models.data.leaks import normalised
from mct.models.progress import Report, silent

FOLDS = 5
LEAST_ROWS = FOLDS
"""Of a label that is judged: fewer, and some fold has too few to learn it from."""

MOST_TAUGHT = 20_000
"""Rows that one fold learns from: more make it no surer, and slower in proportion."""

LONGEST = 2_000
"""Characters of a text that are judged by."""

MOST_WEIGHTS, MOST_WORDS, LEAST_WORDS = 2_000_000, 50_000, 2_000
"""Of a model, and words and pairs that it weighs: training keeps some twenty copies of the weights."""

STRENGTH = 10.0
"""Inverse of the regularisation, as is usual for TF-IDF of short texts: 1 trusts the labels' frequencies too much."""

Features = Any
Floats = NDArray[np.float64]


class Judged(NamedTuple):
    """`shares` is (rows, labels), each row by a model that learned from others; `names` are the labels' in order.

    `rows` are the places of those that were judged.
    """

    shares: Floats
    names: tuple[str, ...]
    rows: NDArray[np.intp]


def words_of(texts: Sequence[str], labels: int = 2) -> Features:
    """Each text's words and pairs of words, weighted (TF-IDF), of length one: (texts, features), sparse.

    Of a long text the beginning, and in all the most frequent: as many as a model of so many labels has weights for.
    """
    most = max(LEAST_WORDS, min(MOST_WORDS, MOST_WEIGHTS // max(1, labels)))
    found = vectoriser(most)
    try:
        return found.fit_transform([text[:LONGEST] for text in texts])
    except ValueError:  # no text has a word
        return sparse.csr_matrix((len(texts), 1), dtype=np.float32)


def vectoriser(most: int | None = None) -> TfidfVectorizer:
    """Words and pairs of words, the `most` frequent of them."""
    return TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+", dtype=np.float32, max_features=most
    )


def vectors_of(embeddings: NDArray[np.float32]) -> Features:
    """Embeddings of length one."""
    return normalize(embeddings)


def classifier() -> LogisticRegression:
    """The classifier, untaught."""
    return LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3)


def teach(features: Features, labels: Sequence[Any] | NDArray[Any]) -> LogisticRegression:
    """The classifier taught. A fit that stops at its limit of steps is near enough for a ranking: it says nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return classifier().fit(features, labels)


def judge(
    features: Features, texts: Sequence[str], labels: Sequence[str], seed: int = 0, report: Report = silent
) -> Judged | None:
    """What the rest of the rows say of each row's label; None where fewer than two labels have `LEAST_ROWS` rows.

    Texts that read the same are judged together, so that none is learned from its own repetition.
    """
    counts = Counter(labels)
    names = tuple(sorted(label for label, count in counts.items() if count >= LEAST_ROWS))
    if len(names) < 2:
        return None
    numbers = {name: number for number, name in enumerate(names)}
    rows = np.array([place for place, label in enumerate(labels) if label in numbers], np.intp)
    wanted = np.array([numbers[labels[place]] for place in rows])
    folds = _folds([texts[place] for place in rows], wanted.tolist(), seed)
    shares = np.zeros((len(rows), len(names)))
    for fold in range(FOLDS):
        report("judging labels", fold / FOLDS)
        learned = _sample(np.flatnonzero(folds != fold), seed + fold)
        asked = np.flatnonzero(folds == fold)
        if not len(asked) or len(set(wanted[learned])) < 2:
            continue
        model = teach(features[rows[learned]], wanted[learned])
        shares[np.ix_(asked, model.classes_)] = model.predict_proba(features[rows[asked]])
    return Judged(shares, names, rows)


def nearest(features: Features, asked: Sequence[int], known: Sequence[int], most: int) -> list[list[tuple[int, float]]]:
    """Of each place in `asked` the `most` most alike in `known`, itself left out, with their cosines, likest first."""
    among, found = np.asarray(known, np.intp), []
    pool = features[among].T
    for start in range(0, len(asked), 64):
        some = np.asarray(asked[start : start + 64], np.intp)
        product = features[some] @ pool
        alike = product.toarray() if sparse.issparse(product) else np.asarray(product)
        alike[some[:, None] == among[None, :]] = -1.0
        for row in alike:
            best = np.argsort(-row, kind="stable")[:most]
            found.append([(int(among[at]), float(row[at])) for at in best if row[at] >= 0])
    return found


def _folds(texts: Sequence[str], labels: Sequence[int], seed: int) -> NDArray[np.intp]:
    """A fold for each row: by turns within a label, in an order that the texts' hashes and the seed make."""
    reads = [normalised(text) or text for text in texts]
    by_label: dict[int, set[str]] = defaultdict(set)
    first = dict(zip(reversed(reads), reversed(labels), strict=True))
    for read, label in first.items():
        by_label[label].add(read)
    fold = {}
    for label, said in by_label.items():
        for place, read in enumerate(sorted(said, key=lambda read: _drawn(read, seed))):
            fold[read] = (place + label) % FOLDS
    return np.array([fold[read] for read in reads], np.intp)


def _drawn(text: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {text}".encode(errors="surrogatepass"), digest_size=8).digest()


def _sample(places: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    if len(places) <= MOST_TAUGHT:
        return places
    return np.sort(np.random.default_rng(seed).choice(places, MOST_TAUGHT, replace=False))
