"""A classifier brought up to date: its head grows by the labels that are new, and earlier rows are rehearsed.

Rehearsal (Robins, "Catastrophic forgetting, rehearsal and pseudorehearsal", 1995) is the plainest remedy against
forgetting and one that is hard to beat: some of what was learned before is learned again with what is new. A leaf.
"""

import copy
import random
from collections import defaultdict
from collections.abc import Sequence

import torch

from mct import MctError
from mct.models.data.files import Row
from mct.models.training.classification import Classifier, label_names
from mct.models.training.loop import seeded


def widened(classifier: Classifier, labels: Sequence[str], seed: int = 0) -> Classifier:
    """A copy whose head answers `labels`, which begin with the labels it has: their weights stay, new ones are drawn.

    MctError where a label that it has would be lost.
    """
    known = len(classifier.labels)
    if tuple(labels[:known]) != classifier.labels:
        raise MctError("an update may add labels, not take them away or move them", "list the old labels first")
    config = copy.deepcopy(classifier.model.config)
    config.update(label_names(labels))
    with seeded(seed):
        model = type(classifier.model)(config)
    learned = classifier.model.state_dict()
    with torch.no_grad():
        for name, weights in model.state_dict().items():
            weights[: len(learned[name])].copy_(learned[name]) if weights.ndim else weights.copy_(learned[name])
    return Classifier(model.train(False), classifier.tokenizer, tuple(labels))


def rehearsed(rows: Sequence[Row], size: int, seed: int = 0) -> list[Row]:
    """About `size` of the earlier `rows` to learn again: as many of each label, or all that there are of a rare one."""
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(row)
    draw, chosen, left = random.Random(seed), list[Row](), size
    for place, some in enumerate(sorted(by_label.values(), key=len)):
        share = min(len(some), left // (len(by_label) - place))
        chosen += draw.sample(some, share)
        left -= share
    return chosen
