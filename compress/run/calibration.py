"""Which of the user's own texts a calibrated pass sees, and what is recorded of them.

A few hundred texts fix the ranges of all activations, so they should have what use will bring: every label, and short
and long texts of each. They are drawn in proportion to the labels, but at least one of each, and within a label spread
evenly over the order of token length. Where rows have no label, length alone decides.

A pass that also judges its own work needs texts that it did not learn from: `hold_out` draws those.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mct import MctError
from mct.compress.plan.passes import Resources
from mct.models.tasks.examples import Request, Row, find_kind
from mct.models.tasks.table import find_task
from mct.models.tasks.tokens import Tokens, open_tokenizer

MOST_TEXTS = 300


def calibration_inputs(resources: Resources, most: int = MOST_TEXTS) -> list[Tokens]:
    """At most `most` encoded texts of those to calibrate on, in the same order on every run. MctError without any."""
    if resources.calibration is None:
        raise _no_texts()
    groups = _by_label(resources)
    shuffled = random.Random(resources.seed)
    for inputs in groups.values():
        shuffled.shuffle(inputs)  # which of many texts of one length are taken is chance, not file order
        inputs.sort(key=lambda tokens: len(tokens.ids))
    if len(groups) > most:
        groups = {label: groups[label] for label in sorted(shuffled.sample(sorted(groups), most))}
    shares = share_out([len(inputs) for inputs in groups.values()], most)
    return [tokens for inputs, share in zip(groups.values(), shares, strict=True) for tokens in spread(inputs, share)]


def calibration_notes(resources: Resources, inputs: Sequence[Tokens]) -> dict[str, Any]:
    """For the lineage: which file the ranges come from, how many texts of it, and how many tokens these have."""
    assert resources.calibration is not None
    lengths = sorted(len(tokens.ids) for tokens in inputs)
    quantiles = {f"p{q}": lengths[round(q / 100 * (len(lengths) - 1))] for q in (0, 25, 50, 75, 95, 100)}
    return {
        "calibration_texts": len(inputs),
        "calibration_sha256": resources.calibration.sha256,
        "calibration_tokens": quantiles,
        "seed": resources.seed,
    }


def hold_out(resources: Resources, kept: int) -> tuple[Resources, list[Request]]:
    """The resources with about `kept` of its requests, and all the others as requests, each once, in random order.

    Drawn by the seed and in proportion to the labels, so that either part is like the whole. Rows that ask the same,
    and documents for the same query, stay together. MctError without any rows.
    """
    if resources.calibration is None:
        raise _no_texts()
    drawn, left, out = random.Random(resources.seed), list[Row](), list[list[Row]]()
    strata = _strata(resources, kept)
    for rows, share in zip(strata, share_out([len(rows) for rows in strata], kept), strict=True):
        drawn.shuffle(rows)
        left += [row for same in rows[:share] for row in same]
        out += rows[share:]
    drawn.shuffle(out)
    requests = find_kind(resources.checkpoint.task).texts([row for same in out for row in same])
    once = {str(request): request for request in requests}
    return replace(resources, calibration=replace(resources.calibration, rows=tuple(left))), list(once.values())


def _strata(resources: Resources, most: int) -> list[list[list[Row]]]:
    """Rows that belong together, label by label; all in one where there are more labels than `most`."""
    assert resources.calibration is not None
    asks = find_task(resources.checkpoint.task).inputs[0]
    together: dict[str, list[Row]] = defaultdict(list)
    for row in resources.calibration.rows:
        together[str(row[asks])].append(row)
    labelled: dict[str, list[list[Row]]] = defaultdict(list)
    for rows in together.values():
        labelled[str(rows[0].get("label", ""))].append(rows)
    return list(labelled.values()) if len(labelled) <= most else [list(together.values())]


def _no_texts() -> MctError:
    return MctError(
        "this precision is calibrated on your own texts, and none were given",
        "give texts like those in use: --data FILE",
    )


def share_out(sizes: Sequence[int], most: int) -> list[int]:
    """How many to take of each group: all of them if they are few, else `most` in all, at least one of each.

    In proportion otherwise: each next one goes to the group that is furthest below its share. There must not be more
    groups than `most`, nor an empty one.
    """
    if sum(sizes) <= most:
        return list(sizes)
    shares = [1] * len(sizes)
    for _ in range(most - len(sizes)):
        lacking = [size * most / sum(sizes) - share for size, share in zip(sizes, shares, strict=True)]
        shares[lacking.index(max(lacking))] += 1
    return shares


def spread(ordered: Sequence[Tokens], count: int) -> list[Tokens]:
    """`count` of them at even distances, first and last included; the middle one where it is one."""
    if count == 1:
        return [ordered[len(ordered) // 2]]
    return [ordered[round(place * (len(ordered) - 1) / (count - 1))] for place in range(count)]


def _by_label(resources: Resources) -> dict[str, list[Tokens]]:
    """The encoded inputs of every calibration row under its label, each request once."""
    assert resources.calibration is not None
    kind = find_kind(resources.checkpoint.task)
    tokenize = open_tokenizer(resources.checkpoint.vocabulary, resources.checkpoint.max_tokens)
    labelled = {str(request): (request, row) for row in resources.calibration.rows for request in kind.texts([row])}
    groups: dict[str, list[Tokens]] = defaultdict(list)
    for request, row in labelled.values():
        groups[str(row.get("label", ""))] += kind.encode(tokenize, request)
    return groups
