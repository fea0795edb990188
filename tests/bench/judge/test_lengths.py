from array import array
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mct.bench.judge.lengths import by_length


def test_each_group_has_its_own_percentiles(made_up: SimpleNamespace) -> None:
    """Requests of 5, 10, 20 and 40 tokens, 0.1 ms a token and nothing else: no group has any spread."""
    blocks = []
    for number in range(4):
        tokens = [5, 10, 20, 40] * 50
        block = made_up.block([0.1 * each for each in tokens], number, number)
        blocks.append(replace(block, tokens=array("q", tokens)))
    groups = by_length(blocks)
    assert [group.tokens for group in groups] == [(5, 5), (10, 10), (20, 20), (40, 40)]
    assert [group.n for group in groups] == [200] * 4
    assert [group.p50_ms for group in groups] == pytest.approx([0.5, 1.0, 2.0, 4.0])
    assert [group.p95_ms for group in groups] == pytest.approx([0.5, 1.0, 2.0, 4.0])


def test_every_request_is_in_one_group_of_about_a_quarter(made_up: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    blocks = []
    for number in range(4):
        tokens = rng.integers(4, 60, size=300).tolist()
        blocks.append(replace(made_up.block([1.0] * 300, number, number), tokens=array("q", tokens)))
    groups = by_length(blocks)
    assert sum(group.n for group in groups) == 1200
    assert all(240 <= group.n <= 360 for group in groups)
    ends = [end for group in groups for end in group.tokens]
    assert ends == sorted(ends)


def test_too_few_of_a_length_have_no_p95(made_up: SimpleNamespace) -> None:
    block = replace(made_up.block([1.0] * 40, 0, 0), tokens=array("q", [3] * 20 + [9] * 20))
    assert [(group.n, group.p95_ms) for group in by_length([block])] == [(20, None), (20, None)]


def test_older_samples_without_lengths_have_no_groups(made_up: SimpleNamespace) -> None:
    assert by_length(made_up.blocks(1.0)) == ()
    assert by_length([]) == ()
