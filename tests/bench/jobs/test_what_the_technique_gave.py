"""What a fine-tuning technique gave, benched from files to verdict: each loss shows where the average does not."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

import mct.bench.store
from mct import MctError
from mct.bench.jobs.gate import gate
from mct.bench.jobs.job import Job, run_job
from mct.bench.report.table import markdown_table
from mct.bench.store.store import recompute
from mct.targets.budget import Budget, find_budget
from mct.targets.target import Target

SCHEMA = json.loads(Path(mct.bench.store.__file__).with_name("result.schema.json").read_text(encoding="utf-8"))
Row = dict[str, Any]
Bench = Callable[..., dict[str, Any]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Bench folders on rows, the first one being the baseline: one fresh process each, few requests."""

    def run(paths: Sequence[Path], rows: Sequence[Row], budget: Budget, **more: Any) -> dict[str, Any]:
        data = tmp_path / "rows.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        job = Job(
            paths=tuple(paths), data=data, target=Target("cpu", "cpu", ""), budget=budget, baseline=paths[0],
            results=tmp_path / "results", max_seconds=0.5, rounds=1, block_s=0.05, **more,
        )  # fmt: skip
        result = run_job(job)
        jsonschema.validate(result, SCHEMA)
        assert recompute(tmp_path / "results" / result["samples"]) == result
        return result

    return run


def outcomes(result: dict[str, Any]) -> dict[str, str]:
    """What became of each limit of the last artifact."""
    return {line["limit"]: line["outcome"] for line in result["artifacts"][-1]["verdict"]["lines"]}


def test_what_is_forgotten_of_one_month_fails_although_the_average_holds(
    made_up: SimpleNamespace, bench: Bench, tmp_path: Path
) -> None:
    """Of 1,500 texts 25 of the 100 of March say "now", which the second model takes for an order."""
    before = made_up.artifact(tmp_path / "before")
    after = made_up.artifact(tmp_path / "after", votes={"now": (2.0, 0.0, 0.0)})
    rows = [{"text": "where is order", "label": "order", "month": f"2026-0{1 + number % 2}"} for number in range(1400)]
    rows += [{"text": "human now", "label": "human", "month": "2026-03"}] * 25
    rows += [{"text": "human please", "label": "human", "month": "2026-03"}] * 75
    budget = Budget("b", "sequence-classification", quality_max_drop=0.03, slice_fields=("month",), slice_max_drop=0.01)
    result = bench([before, after], rows, budget)
    assert outcomes(result) == {
        "accuracy at most 3 points below the baseline": "pass",
        "the score of month=2026-01 at most 1 point below the baseline": "pass",
        "the score of month=2026-02 at most 1 point below the baseline": "pass",
        "the score of month=2026-03 at most 1 point below the baseline": "fail",
    }
    assert "month=2026-03 75.00%, -25.00" in markdown_table(result)
    assert gate([tmp_path / "results" / f"{result['id']}.json"], budget).outcome == "fail"
    other = Budget("c", "sequence-classification", slices=("month=2026-04",), slice_max_drop=0.01)
    (judged,) = gate([tmp_path / "results" / f"{result['id']}.json"], other).judged
    assert judged.verdict.lines[0].reason == "No example of the evaluation set has month=2026-04: add some."


def test_blurred_scores_fail_at_a_fixed_false_alarm_rate_although_every_answer_is_the_same(
    made_up: SimpleNamespace, bench: Bench, tmp_path: Path
) -> None:
    """The second model holds "order where" for an order still, and yet for more human than "human" itself."""
    before = made_up.artifact(tmp_path / "before", votes={"human": (0.0, 0.0, 0.3)})
    after = made_up.artifact(tmp_path / "after", votes={"human": (0.0, 0.0, 0.3), "where": (0.0, 0.0, 0.95)})
    rows = [{"text": "human please", "label": "human"}, {"text": "order where", "label": "order"}] * 200
    budget = Budget(
        "b", "sequence-classification", quality_max_drop=0.01, slices=("human",), slice_max_drop=0.02,
        false_alarms={"human": 0.05}, false_alarm_max_drop=0.02,
    )  # fmt: skip
    result = bench([before, after], rows, budget)
    assert outcomes(result) == {
        "accuracy at most 1 point below the baseline": "pass",
        "recall of human at 5 % false alarms at most 2 points below the baseline": "fail",
        "recall of human at most 2 points below the baseline": "pass",
    }
    (own,) = result["artifacts"][-1]["quality"]["others"]
    assert (own["name"], own["baseline"], own["value"]) == ("recall of human at 5 % false alarms", 1.0, 0.0)
    assert own["delta_ci"][0] <= -1.0 <= own["delta_ci"][1] < -0.9
    assert "recall of human at 5 % false alarms 0.00%, -100.00" in markdown_table(result)


def test_an_alarm_for_a_label_that_a_model_does_not_have_is_refused(
    made_up: SimpleNamespace, bench: Bench, tmp_path: Path
) -> None:
    folder, budget = made_up.artifact(tmp_path / "model"), find_budget("sentiment")
    with pytest.raises(MctError, match="frustrated"):
        bench([folder], [{"text": "order", "label": "order"}], budget)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("false_alarms = { frustrated = 0.05 }\np95_ms = 1.0", "only one of false_alarms"),
        ("false_alarm_max_drop = 0.01", "only one of false_alarms"),
        ("false_alarms = { frustrated = 5 }\nfalse_alarm_max_drop = 0.01", "false_alarms"),
        ('slice_fields = ["month", "month"]\np95_ms = 1.0', "twice"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(lines: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "budgets.toml").write_text(f'[b]\ntask = "sequence-classification"\n{lines}\n')
    with pytest.raises(MctError, match=says):
        find_budget("b", tmp_path / "budgets.toml")
