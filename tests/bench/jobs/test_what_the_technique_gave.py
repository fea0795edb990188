"""What a fine-tuning technique gave, benched from files to verdict: each loss shows where the average does not."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import torch
import transformers
from click.testing import CliRunner

import mct.bench.store
from mct import MctError
from mct.bench.commands import compare
from mct.bench.jobs.gate import gate
from mct.bench.jobs.job import Job, run_job
from mct.bench.jobs.reference import with_reference
from mct.bench.judge.quality import score
from mct.bench.judge.verdict import judge
from mct.bench.measure import launch
from mct.bench.measure.rounds import collect_beside
from mct.bench.report.table import markdown_table
from mct.bench.samples.measurement import Answers, Failure, Measurement, from_record
from mct.bench.samples.subject import Subject, asked_for, identify
from mct.bench.store.store import recompute
from mct.bench.transport.site import Setting
from mct.bench.worker import worker
from mct.models.progress import Report, silent
from mct.models.tasks.datasets import Dataset, read_examples
from mct.targets.budget import Budget, find_budget
from mct.targets.target import Target

WORDS = ("where", "is", "my", "order", "volume", "3", "berserk", "checkout", "human", "shipping")
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
    assert "| recall of human at 5 % false alarms | 100.00%, +0.00 (+0.00 to +0.00) | 0.00%, -100.00" in markdown_table(
        result
    )


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


PROMPTS = [" ".join(random.Random(number).choices(WORDS, k=4)) for number in range(50)]


@pytest.fixture(scope="module")
def policies(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny Llama; the same tuned to say yes; that with hardly other weights; and one on most of the way back."""
    root = tmp_path_factory.mktemp("policies")
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_llama)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_llama)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    steps = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(30):
        ids = torch.tensor([tokenizer(f"{PROMPTS[step]} yes").input_ids])
        answer = ids.clone()
        answer[:, :-4] = -100  # a token is a letter
        model(ids, labels=answer).loss.backward()
        steps.step()
        steps.zero_grad()
    tuned = {name: weight.clone() for name, weight in model.state_dict().items()}
    for name, kept in (("tuned", 1.0), ("near", 0.999), ("back", 0.1)):
        model.load_state_dict({key: before[key] + kept * (tuned[key] - before[key]) for key in before})
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {"reference": tiny_llama} | {path.name: path for path in root.iterdir()}


def in_process(subjects: Sequence[Subject], setting: Setting, report: Report) -> list[Answers | Failure]:
    """The answers as workers give them, without starting processes for it."""
    found: list[Answers | Failure] = []
    for subject in subjects:
        reply = worker.answer(worker._open(launch._job(subject, setting, 0)), 0, len(setting.examples))
        answers = from_record({"kind": "answers"} | json.loads(json.dumps(reply)), "")
        assert isinstance(answers, Answers)
        found.append(answers)
    return found


def answered(folders: Sequence[Path], dataset: Dataset, task: str) -> list[Measurement]:
    """Each model's answers, the first one's the original's, as a bench collects them; nothing is timed."""
    subjects = [asked_for(identify(folder), task) for folder in folders]
    examples = read_examples(dataset, task, ())
    setting = Setting(examples, threads=1, affinity=(), seed=0)
    found = collect_beside(subjects, subjects[0].name, setting, silent, in_process)
    truth = tuple(example.truth for example in examples)
    answers = [each for each in found if isinstance(each, Answers)]
    return [Measurement(subject, truth, answers=each) for subject, each in zip(subjects, answers, strict=True)]


def test_preferences_are_held_against_the_original_and_the_reference(policies: dict[str, Path]) -> None:
    """The chosen answer is what it was tuned to say."""
    rows = tuple({"prompt": each, "chosen": " yes", "rejected": f" {each.split()[0]}"} for each in PROMPTS)
    plain = Dataset("rows.jsonl", rows, "0" * 64)
    dataset = with_reference(plain, "preference", policies["reference"], silent, in_process)
    assert dataset.sha256 != plain.sha256, "the reference is a part of the data"
    budget = Budget(
        "b", "preference", quality_max_drop=0.1, margin_max_drop=0.1, kl_at_most=0.05, perplexity_max_increase=0.05,
        metric_max_drop={"same_top_token": 0.05},
    )  # fmt: skip
    measured = answered([policies[name] for name in ("tuned", "near", "back")], dataset, "preference")
    tuned, near, back = (score(each, measured[0], ()) for each in measured)
    assert tuned and near and back
    assert (tuned.overall.name, tuned.others[0].name) == ("preference_accuracy", "implicit_preference_accuracy")
    assert tuned.overall.value is not None and tuned.overall.value > 0.9
    of = {name: {each.name: each for each in found.amounts} for name, found in (("tuned", tuned), ("back", back))}
    assert of["tuned"]["implicit_reward_margin"].value > 1.0, "the tuning made the chosen answers likelier"
    assert of["tuned"]["kl_to_original"].value == pytest.approx(0.0, abs=1e-6)
    lost = of["back"]["implicit_reward_margin"]
    assert lost.value < 0.5 * lost.baseline and lost.delta_ci[1] < 0
    outcomes = [{line.outcome for line in judge(each, budget, measured[0]).lines} for each in measured]
    assert outcomes[:2] == [{"pass"}, {"pass"}]
    assert {line.limit: line.outcome for line in judge(measured[2], budget, measured[0]).lines} == {
        "preference_accuracy at most 10 points below the baseline": "fail",
        "same_top_token at most 5 points below the baseline": "fail",
        "perplexity at most 5 % above the baseline's": "fail",
        "at most 0.05 nats a token foreseen otherwise than by the baseline": "fail",
        "at most 10 % of the baseline's reward margin lost": "fail",
    }


def test_a_language_model_is_held_against_what_the_original_foresees(policies: dict[str, Path]) -> None:
    dataset = Dataset("rows.jsonl", tuple({"text": f"{prompt} yes"} for prompt in PROMPTS), "0" * 64)
    budget = Budget("b", "causal-lm", kl_at_most=0.01, metric_max_drop={"same_top_token": 0.05})
    measured = answered([policies[name] for name in ("tuned", "near", "back")], dataset, "causal-lm")
    assert [judge(each, budget, measured[0]).outcome for each in measured] == ["pass", "pass", "fail"]
    kl = [each.amounts[1] for found in measured if (each := score(found, measured[0], ()))]
    assert {each.name for each in kl} == {"kl_to_original"}
    assert kl[1].value < 0.01 < kl[2].value_ci[0] < kl[2].value < kl[2].value_ci[1]
    assert judge(measured[1], budget).outcome == "inconclusive", "there is no baseline"


def test_a_comparison_of_two_shows_what_the_tuning_gave_as_a_bench_does(
    policies: dict[str, Path], tmp_path: Path
) -> None:
    rows = [{"prompt": each, "chosen": " yes", "rejected": f" {each.split()[0]}"} for each in PROMPTS]
    data, found = tmp_path / "rows.jsonl", tmp_path / "compared.json"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [str(policies["tuned"]), str(policies["back"]), "--data", str(data), "--results", str(tmp_path / "results")]
    words += ["--reference", str(policies["reference"]), "--max-seconds", "1", "--json", str(found)]
    done = CliRunner().invoke(compare, words, standalone_mode=False)
    assert done.exception is None, done.exception
    before, after = json.loads(found.read_text())["scored"]
    plain = Dataset("rows.jsonl", tuple(rows), "0" * 64)
    dataset = with_reference(plain, "preference", policies["reference"], silent, in_process)
    measured = answered([policies["tuned"], policies["back"]], dataset, "preference")
    benched = [quality.as_json() for each in measured if (quality := score(each, measured[0], ()))]
    assert [before, after] == benched
    amounts = {each["name"]: each for each in after["amounts"]}
    assert amounts["implicit_reward_margin"]["delta_ci"][1] < 0 < amounts["kl_to_original"]["value_ci"][0]
    assert "| KL from the baseline, nats a token | 0, +0" in done.output and "| same_top_token | 100.00%" in done.output
    assert "they decide nothing here" in done.output


@pytest.mark.parametrize(
    ("reference", "rows", "says"),
    [
        ("reference", [{"text": "where is my order"}], "rows with prompt, chosen, rejected"),
        ("classifier", [{"prompt": "where", "chosen": " a", "rejected": " b"}], "a reference writes text"),
    ],
)
def test_a_reference_that_cannot_be_one_is_refused(
    reference: str, rows: list[Row], says: str, policies: dict[str, Path], made_up: SimpleNamespace, tmp_path: Path
) -> None:  # fmt: skip
    folders = {**policies, "classifier": made_up.artifact(tmp_path / "classifier")}
    dataset = Dataset("rows.jsonl", tuple(rows), "0" * 64)
    task = "preference" if "prompt" in rows[0] else "causal-lm"
    with pytest.raises(MctError, match=says):
        with_reference(dataset, task, folders[reference], silent)
