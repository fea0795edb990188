"""Whether words and labels changed from one month to the next, with a stated rate of false alarms. A leaf.

Two months are compared by the Jensen-Shannon divergence of how many of their texts have each of the most frequent
words, and of their labels. How large it gets by chance is found by dealing the texts of both months out anew, again and
again (a permutation test: exact whatever the words' distribution is); a month has drifted where its p-value, corrected
over all comparisons of the check (Holm), is at most `ERROR`: so the chance of any false alarm in a check is that.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from mct.bench.statistics.paired import holm
from mct.models.progress import Report, silent
from mct.release.curation.findings import Drift
from mct.release.curation.personal import masked

ERROR = 0.05
PERMUTATIONS = 999
MOST_WORDS, MOST_ROWS, MOST_CHANGED = 2_000, 5_000, 8
LEAST_ROWS = 20

Floats = NDArray[np.float64]


def find_drifts(
    months: Sequence[str], texts: Sequence[str], labels: Sequence[str], seed: int = 0, report: Report = silent
) -> tuple[Drift, ...]:
    """Each month beside the one before it, words and (where there are any) labels."""
    places = _by_month(months, seed)
    named = sorted(places)
    pairs = list(pairwise(named))
    what: tuple[Literal["words", "labels"], ...] = ("words", "labels") if any(labels) else ("words",)
    times = max(PERMUTATIONS, ceil(2 * len(pairs) * len(what) / ERROR))
    found = []
    for number, (before, after) in enumerate(pairs):
        report("comparing months", number / len(pairs))
        chosen = np.concatenate([places[before], places[after]])
        for of in what:
            said = texts if of == "words" else labels
            features, names = _features([said[place] for place in chosen], of)
            rng = np.random.default_rng([seed, number])
            found.append(_compare(features, names, len(places[before]), times, rng))
    corrected = holm([p for _, p, _ in found])
    drifts = []
    for at, (divergence, p, changes) in enumerate(found):
        before, after = pairs[at // len(what)]
        rows = len(places[before]), len(places[after])
        drifted = corrected[at] <= ERROR
        drifts.append(
            Drift(before, after, what[at % len(what)], rows, round(divergence, 5), round(p, 5), drifted, changes)
        )
    return tuple(drifts)


def _by_month(months: Sequence[str], seed: int) -> dict[str, NDArray[np.intp]]:
    """The places of each month's rows, no more than `MOST_ROWS` drawn; months with fewer than `LEAST_ROWS` left out."""
    found: dict[str, list[int]] = defaultdict(list)
    for place, month in enumerate(months):
        if month:
            found[month].append(place)
    rng = np.random.default_rng(seed)
    return {
        month: np.sort(rng.permutation(places)[:MOST_ROWS]).astype(np.intp)
        for month, places in sorted(found.items())
        if len(places) >= LEAST_ROWS
    }


def _features(said: Sequence[str], of: str) -> tuple[sparse.csr_matrix, Sequence[str]]:
    """Which of the most frequent words a text has, or which label it has: (texts, words)."""
    if of == "labels":
        names, numbers = np.unique(np.asarray(said, dtype=object), return_inverse=True)
        ones = np.ones(len(said), np.float32)
        shape = (len(said), len(names))
        return sparse.csr_matrix((ones, (np.arange(len(said)), numbers)), shape=shape), [str(name) for name in names]
    counting = CountVectorizer(binary=True, max_features=MOST_WORDS, token_pattern=r"(?u)\b\w+", dtype=np.float32)
    try:
        found = counting.fit_transform(said)
    except ValueError:  # no text has a word
        return sparse.csr_matrix((len(said), 1), dtype=np.float32), [""]
    return found, counting.get_feature_names_out().tolist()


def _compare(
    features: sparse.csr_matrix, names: Sequence[str], first: int, times: int, rng: np.random.Generator
) -> tuple[float, float, tuple[tuple[str, float, float], ...]]:
    """Divergence of the first rows from the others, its p-value, and what changed most with both shares."""
    rows = features.shape[0]
    total = np.asarray(features.sum(axis=0), np.float64).ravel()
    own = np.asarray(features[:first].sum(axis=0), np.float64).ravel()
    seen = float(_divergence(own[None], total[None])[0])
    as_far = 0
    for start in range(0, times, 100):
        some = min(100, times - start)
        dealt = np.zeros((some, rows), np.float32)
        for row in dealt:
            row[rng.permutation(rows)[:first]] = 1
        counts = np.asarray(dealt @ features, np.float64)
        as_far += int((_divergence(counts, total[None]) >= seen - 1e-12).sum())
    before, after = own / first, (total - own) / (rows - first)
    most = np.argsort(-np.abs(after - before), kind="stable")[:MOST_CHANGED]
    changes = tuple((masked(names[at]), round(before[at], 4), round(after[at], 4)) for at in most.tolist())
    return seen, (1 + as_far) / (1 + times), changes


def _divergence(counts: Floats, total: Floats) -> Floats:
    """The Jensen-Shannon divergence (nats) of counts from what is left of the total, each as shares: (draws,)."""
    one = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rest = total - counts
    other = rest / np.maximum(rest.sum(axis=1, keepdims=True), 1)
    middle = (one + other) / 2
    return (_entropy(middle) - (_entropy(one) + _entropy(other)) / 2).astype(np.float64)


def _entropy(shares: Floats) -> Floats:
    logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    return np.asarray(-(shares * logs).sum(axis=1))
