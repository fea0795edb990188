"""Limits of an inspection: what a file may say, and what a line decides."""

from pathlib import Path

import pytest

from mct import MctError
from mct.bench.judge.quality import proportion_bounds
from mct.release.inspection.limits import find_limits, limits_of, line_at_most


def test_a_file_changes_the_built_in_ones_key_by_key(tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text("[intent-router]\nflips_max = 0.5\n[own]\nbehaviour_fail_max = 0.1\n")
    built_in, changed = find_limits("intent-router"), find_limits("intent-router", file)
    assert changed.flips_max == 0.5 and changed.attribution_drift_max == built_in.attribution_drift_max
    assert find_limits("own", file).given == {"behaviour_fail_max": 0.1}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[own]\nflips = 0.1\n", "flips"),
        ("[own]\nflips_max = -0.1\n", "flips_max"),
        ("[own]\nflips_max = 1.5\n", "flips_max"),
        ("[own]\nflips_max = true\n", "flips_max"),
        ("[own]\nflips_max = inf\n", "finite"),
        ('[own]\nflips_max = "0.1"\n', "flips_max"),
        ('[own]\nname = "other"\nflips_max = 0.1\n', "name"),
        ("[own]\n", "limit nothing"),
        ("own = 3\n", "expected an object"),
        ("[other]\nflips_max = 0.1\n", "unknown limits"),
    ],
)
def test_what_is_no_limit_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "limits.toml").write_text(content)
    with pytest.raises(MctError, match=says):
        find_limits("own", tmp_path / "limits.toml")


def test_another_file_may_hold_such_a_table() -> None:
    assert limits_of("gate", {"flips_max": 0.02}, "release.toml").flips_max == 0.02


@pytest.mark.parametrize(
    ("count", "n", "outcome"),
    [(0, 1000, "pass"), (16, 1000, "inconclusive"), (60, 1000, "fail"), (0, 50, "inconclusive")],
)
def test_a_line_passes_and_fails_on_what_the_data_exclude(count: int, n: int, outcome: str) -> None:
    line = line_at_most("flips_max", 0.02, (count / n, lambda error: proportion_bounds(count, n, error)), 0.05, 1)
    assert line.outcome == outcome


def test_one_of_several_lines_needs_more_to_fail() -> None:
    """31 of 1,000 fails a limit of 2 % at 5 %, and not at 5 % divided by twenty."""
    seen = (0.031, lambda error: proportion_bounds(31, 1000, error))
    assert [line_at_most("flips_max", 0.02, seen, 0.05, lines).outcome for lines in (1, 20)] == ["fail", "inconclusive"]
    assert line_at_most("flips_max", 0.02, None, 0.05, 1).outcome == "inconclusive"
