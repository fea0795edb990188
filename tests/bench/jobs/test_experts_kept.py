"""Which experts a mixture sends its tokens to, original against what became of it."""

import json
from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from mct.bench.judge.compare import Limits, compare
from mct.bench.judge.quality import score
from mct.bench.judge.verdict import judge
from mct.bench.measure import launch
from mct.bench.measure.rounds import collect_beside
from mct.bench.samples.measurement import Answers, Block, Failure, Measurement, from_record
from mct.bench.samples.subject import Subject, identify
from mct.bench.statistics.ratio import FEWEST_ROUNDS
from mct.bench.transport.site import Setting
from mct.bench.worker import worker
from mct.compress.plan.plan import make_plan
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.progress import Report, silent
from mct.models.tasks.examples import find_kind
from mct.targets.budget import Budget

ROWS = [{"text": f"where is order {number} and volume {7 * number}"} for number in range(70)]


@pytest.fixture(scope="module")
def mixture(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Mixtral with random weights: two layers of four experts, of which each token takes two."""
    folder = tmp_path_factory.mktemp("mixture") / "original"
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_llama)
    torch.manual_seed(0)
    config = transformers.MixtralConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, max_position_embeddings=128, num_local_experts=4, num_experts_per_tok=2,
        initializer_range=0.3, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    transformers.MixtralForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def spoilt(mixture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with its routers' rows turned round, so that they send tokens elsewhere."""
    folder = tmp_path_factory.mktemp("mixture") / "spoilt"
    model = transformers.AutoModelForCausalLM.from_pretrained(mixture)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.gate.weight.copy_(layer.mlp.gate.weight.flip(0))
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(mixture).save_pretrained(folder)
    return folder


def in_process(subjects: Sequence[Subject], setting: Setting, report: Report) -> list[Answers | Failure]:
    found: list[Answers | Failure] = []
    for subject in subjects:
        reply = worker.answer(worker._open(launch._job(subject, setting, 0)), 0, len(setting.examples))
        answers = from_record({"kind": "answers"} | json.loads(json.dumps(reply)), "")
        assert isinstance(answers, Answers)
        found.append(answers)
    return found


def answered(folders: Sequence[Path]) -> list[Measurement]:
    subjects = [identify(folder) for folder in folders]
    setting = Setting(find_kind("causal-lm").read(ROWS), threads=1, affinity=(), seed=0)
    found = collect_beside(subjects, subjects[0].name, setting, silent, in_process)
    answers = [each for each in found if isinstance(each, Answers)]
    return [
        Measurement(subject, (None,) * len(ROWS), answers=each) for subject, each in zip(subjects, answers, strict=True)
    ]


def test_routing_is_held_against_the_originals(mixture: Path, spoilt: Path, tmp_path: Path) -> None:
    """Spoilt routers send tokens elsewhere; an ONNX graph shows that it sends them where the original does."""
    plan = make_plan(inspect(mixture), ["onnx"], ["fp32"])
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:3]))
    execute(plan, *gather(plan, None, texts, {}, seed=0), tmp_path / "out")
    measured = answered([mixture, tmp_path / "out" / "onnx-fp32", spoilt])
    kept = [{each.name: each for each in found.others} for one in measured if (found := score(one, measured[0], ()))]
    assert [round(each["same_experts"].value or 0.0, 3) for each in kept[:2]] == [1.0, 1.0]
    assert kept[2]["same_experts"].value < 0.6 and kept[2]["expert_load_kept"].value < 0.9
    budget = Budget("b", "causal-lm", metric_max_drop={"same_experts": 0.05, "expert_load_kept": 0.05})
    assert [judge(each, budget, measured[0]).outcome for each in measured] == ["pass", "pass", "fail"]
    (balance,) = (each for each in score(measured[0], None, ()).amounts if each.name == "expert_balance")
    assert 0.5 < balance.value <= 1.0


def test_a_comparison_of_two_shows_how_many_tokens_go_to_the_same_experts(mixture: Path, spoilt: Path) -> None:
    """Both were as fast: what is compared here is what they answered."""
    times = array("q", [1_000_000] * 40)
    blocks = tuple(Block(number, number, times, times, 1.0, 1.0, 0, 0.0, 0, 0, 0) for number in range(FEWEST_ROUNDS))
    a, b = (replace(each, blocks=blocks) for each in answered([mixture, spoilt]))
    before, after = compare(a, b, Limits()).scored
    assert {each.name: each.value for each in before.others}["same_experts"] == 1.0
    kept = {each.name: each for each in after.others}["same_experts"]
    assert kept.value is not None and kept.value < 0.6 and kept.delta_ci is not None and kept.delta_ci[1] < 0


def test_a_runtime_that_does_not_show_it_is_said(mixture: Path, tiny_llama: Path) -> None:
    (dense,) = answered([tiny_llama])
    other = Measurement(identify(mixture), dense.truth, answers=dense.answers)
    budget = Budget("b", "causal-lm", metric_max_drop={"same_experts": 0.05})
    (line,) = judge(dense, budget, other).lines
    assert (line.outcome, line.reason.split(",")[0]) == (
        "inconclusive", "Which experts a token goes to is not visible in checkpoint"
    )  # fmt: skip
