"""Labels that the rest of the data contradicts, and rows that no label is for. A leaf.

How many labels are wrong is estimated by confident learning (Northcutt, Jiang and Chuang, "Confident learning:
estimating uncertainty in dataset labels", JAIR 2021): a label's threshold is the mean probability that its own rows
give to it, by models that did not see them; a row is counted for the likeliest label whose threshold it passes, and the
share of rows counted for another label than their own is the estimate. So many rows are suspected: those whose
likeliest label is another one, in the order of how many times likelier it is than the one given. (The counted rows
themselves are the worse list of the two where labels are easily confused.)

A suspicion is no proof: each comes with the rows that are most alike and their labels, for a person to judge by.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mct.release.curation.findings import Neighbour, Noise, Outsider, Suspicion
from mct.release.curation.ngrams import Features, Judged, nearest
from mct.release.curation.personal import masked

NEIGHBOURS = 3
MOST_SUSPECTED = 2_000
"""Suspicions that are listed, each with its evidence."""

LEAST_SHARE = 1e-6
"""What a probability counts for at least."""

FAR = 0.2
"""The cosine below which a row's nearest neighbour has hardly a word of weight with it in common."""

LEAST_SURE_SHARE, MOST_UNSURE = 0.1, 2_000
"""Of the rows, those that the models are least sure of are asked for their neighbours."""

Place = tuple[str, int]


def confident_joint(judged: Judged, given: NDArray[np.intp]) -> NDArray[np.intp]:
    """The label that each judged row is counted for, -1 where it passes no label's threshold."""
    own = judged.shares[np.arange(len(given)), given]
    thresholds = np.array([own[given == label].mean() for label in range(len(judged.names))])
    passing = np.where(judged.shares >= thresholds, judged.shares, -1.0)
    counted: NDArray[np.intp] = passing.argmax(axis=1)
    counted[passing.max(axis=1) < 0] = -1
    return counted


def suspected(judged: Judged, labels: Sequence[str]) -> tuple[list[tuple[int, str, float, float]], float]:
    """Suspicions as (place, suggested label, probability of the given one, of the suggested one), and the noise.

    The noise is the share of rows that are counted for another label, among those that are counted for any.
    """
    numbers = {name: number for number, name in enumerate(judged.names)}
    given = np.array([numbers[labels[place]] for place in judged.rows])
    counted = confident_joint(judged, given)
    noise = float((counted[counted >= 0] != given[counted >= 0]).mean()) if (counted >= 0).any() else 0.0
    likeliest = judged.shares.argmax(axis=1)
    own, best = (judged.shares[np.arange(len(given)), label] for label in (given, likeliest))
    ratio = np.log(np.maximum(best, LEAST_SHARE)) - np.log(np.maximum(own, LEAST_SHARE))
    order = [at for at in np.argsort(-ratio, kind="stable").tolist() if likeliest[at] != given[at]]
    found = [
        (int(judged.rows[at]), judged.names[likeliest[at]], float(own[at]), float(best[at]))
        for at in order[: round(noise * len(given))]
    ]
    return found, noise


def find_noise(
    judged: Judged, features: Features, texts: Sequence[str], labels: Sequence[str], places: Sequence[Place], by: str
) -> tuple[tuple[Suspicion, ...], Noise]:
    """The suspicions with their evidence, and what is estimated of all rows; `places` are files and row numbers."""
    found, share = suspected(judged, labels)
    listed = found[:MOST_SUSPECTED]
    alike = nearest(features, [place for place, *_ in listed], judged.rows.tolist(), NEIGHBOURS)
    suspicions = tuple(
        Suspicion(
            *places[place], masked(texts[place]), labels[place], suggested, round(own, 4), round(best, 4),
            tuple(Neighbour(masked(texts[near]), labels[near], round(cosine, 3)) for near, cosine in neighbours),
        )
        for (place, suggested, own, best), neighbours in zip(listed, alike, strict=True)
    )  # fmt: skip
    unjudged = tuple(sorted(set(labels) - set(judged.names)))
    return suspicions, Noise(len(judged.rows), round(share, 4), by, unjudged)


def find_outsiders(
    judged: Judged, features: Features, texts: Sequence[str], labels: Sequence[str], places: Sequence[Place]
) -> tuple[Outsider, ...]:
    """Of the rows that the models are least sure of, those whose nearest neighbour is `FAR`; the farthest first."""
    sureness = judged.shares.max(axis=1)
    most = min(MOST_UNSURE, int(np.ceil(LEAST_SURE_SHARE * len(sureness))))
    unsure = np.argsort(sureness, kind="stable")[:most]
    asked = judged.rows[unsure]
    alike = nearest(features, asked.tolist(), range(len(texts)), 1)
    found = []
    for at, place, neighbours in zip(unsure, asked, alike, strict=True):
        near, cosine = neighbours[0] if neighbours else (int(place), 0.0)
        if cosine < FAR:
            (file, row), nearest_text = places[place], masked(texts[near]) if neighbours else ""
            sure = round(float(sureness[at]), 4)
            found.append(Outsider(file, row, masked(texts[place]), labels[place], nearest_text, round(cosine, 3), sure))
    return tuple(sorted(found, key=lambda each: (each.likeness, each.sureness, each.file, each.row)))
