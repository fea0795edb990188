"""What a search writes of those it judged, whatever became of their timing."""

from typing import Any

from mct.bench.search.front import _closest, as_markdown

LATENCY = {"p95_ms": 0.2, "p95_ci_ms": [0.1, 0.3], "mean_ms": 0.15}


def entry(path: str, latency: Any, outcome: str) -> dict[str, Any]:
    line = {"limit": "P95 < 15 ms", "measured": "-", "outcome": outcome, "reason": ""}
    return {
        "path": path, "latency": latency, "quality": None, "speedup": None, "size_mb": 1.0,
        "verdict": {"outcome": outcome, "lines": [line]},
    }  # fmt: skip


def test_a_checkpoint_that_its_target_cannot_hold_is_a_row_with_its_reason() -> None:
    """As one of 91 MB in torch on a box of 400 MB: there is no latency that the others could be held against."""
    entries = [entry("/checkpoint", None, "fail"), entry("/small", LATENCY, "pass")]
    judged = {
        "names": {"/small": "small"}, "order": ["small"], "looks": 1,
        "result": {"data": {"rows": 10, "name": "final.jsonl"}, "artifacts": entries},
    }  # fmt: skip
    told = {
        "budget": "q",
        "target": "box",
        "why": "",
        "candidates": [],
        "winner": "small",
        "cpu": "a CPU",
        "workers": 1,
    }
    times = {"asked_s": 1.0, "elapsed_s": 1.0, "busy_share": 1.0, "spent_s": {}, "chosen_on_unseen_rows": True}
    page = as_markdown({**told, **times, "judged": judged})
    assert "| the checkpoint (torch) | could not be measured | - |" in page
    assert "| small | 0.200 ms [0.100, 0.300] |" in page


def test_what_could_not_be_measured_may_be_what_came_closest() -> None:
    said = _closest({"box": entry("/box", None, "fail"), "the checkpoint": entry("/", None, "fail")}, ["box"])
    assert said.startswith("Nothing was shown to meet the budget. Closest came box; in the way stands: P95 < 15 ms")
