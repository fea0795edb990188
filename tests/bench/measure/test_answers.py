"""Answers by several processes at once: who answers is chance, what is answered is not.

The loop runs with answerers that only pretend, held up at random; the runtimes are the real ones.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from mct.bench.measure import answers
from mct.bench.measure.answers import collect_answers, usable_cpus
from mct.bench.measure.launch import WorkerDied
from mct.bench.samples.measurement import Answers, Failure
from mct.bench.samples.subject import Subject, identify
from mct.bench.transport.site import Setting
from mct.bench.worker.facts import facts_here
from mct.bench.worker.predict import open_predictor
from mct.compress.plan.passes import Resources
from mct.compress.plan.plan import make_plan
from mct.compress.run.execute import execute
from mct.compress.run.resources import ParityTexts, Source
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset, read_examples
from mct.models.tasks.examples import Example
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import runtime_for

ROWS = tuple(f"row {number} " * (number % 9 + 1) for number in range(90))
EXAMPLES = tuple(Example(text, "a", text, text) for text in ROWS)


@dataclass
class Stage:
    """Pretended answerers, each held up at random. Subjects in `dies` fail at their n-th chunk, 0 while loading."""

    dies: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    open: int = 0
    killed: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def launch(self, subject: Subject, setting: Setting) -> "Pretender":
        with self.lock:
            self.settings.append(setting)
            self.open += 1
        return Pretender(self, subject.name, setting)

    def chunks(self, name: str) -> list[tuple[int, int]]:
        return sorted((first, last) for who, first, last in self.asked if who == name)


@dataclass(eq=False)
class Pretender:
    stage: Stage
    name: str
    setting: Setting
    closed: bool = False

    def get_ready(self) -> None:
        if self.stage.dies.get(self.name) == 0:
            raise WorkerDied(Failure(f"{self.name} died"))

    def answers(self, first: int, last: int) -> Answers:
        with self.stage.lock:
            self.stage.asked.append((self.name, first, last))
            pause, count = self.stage.chance.random() / 500, len(self.stage.chunks(self.name))
        if self.stage.dies.get(self.name) == count:
            raise WorkerDied(Failure(f"{self.name} died"))
        time.sleep(pause)
        asked = self.setting.examples[first:last]
        return Answers(
            tuple(f"{self.name}: {each.request}" for each in asked), tuple(len(each.request) for each in asked)
        )

    def kill(self) -> None:
        self.stage.killed += 1

    def close(self) -> None:
        assert not self.closed
        self.closed = True
        with self.stage.lock:
            self.stage.open -= 1


def _answers(name: str, requests: Sequence[str]) -> Answers:
    return Answers(tuple(f"{name}: {request}" for request in requests), tuple(len(request) for request in requests))


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "CHUNK_CHARACTERS", 200)


@pytest.fixture
def pair(made_up: SimpleNamespace) -> tuple[Subject, Subject]:
    return made_up.subject("A"), made_up.subject("B")


def _setting(examples: Sequence[Example] = EXAMPLES) -> Setting:
    return Setting(examples, threads=4, affinity=(0, 1, 2, 3), seed=0)


@pytest.mark.parametrize("cpus", [(3,), (0, 1), tuple(range(7))])
def test_answers_come_in_file_order_and_everything_is_asked_once(
    cpus: tuple[int, ...], pair: tuple[Subject, Subject]
) -> None:
    stage = Stage()
    found = collect_answers(pair, _setting(), launch=stage.launch, cpus=cpus)
    for name, given in zip("AB", found, strict=True):
        assert given == _answers(name, ROWS)
        firsts, lasts = zip(*stage.chunks(name), strict=True)
        assert (firsts[0], lasts[-1], firsts[1:]) == (0, 90, lasts[:-1])
    assert stage.open == 0
    assert {setting.affinity for setting in stage.settings} <= {(cpu,) for cpu in cpus}
    assert {setting.threads for setting in stage.settings} == {1}
    assert len(stage.settings) <= 2 * len(cpus)


def test_chunks_do_not_depend_on_how_many_work_on_them(pair: tuple[Subject, Subject]) -> None:
    """What goes to one call together would otherwise differ from machine to machine."""
    stages = [Stage(), Stage()]
    for stage, cpus in zip(stages, ((0,), (0, 1, 2)), strict=True):
        collect_answers(pair, _setting(), launch=stage.launch, cpus=cpus)
    one, several = stages
    assert sorted(one.asked) == sorted(several.asked)
    assert len(one.chunks("A")) > 10
    lengths = [len(each.request) for each in one.settings[0].examples]
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("dies_at", [0, 1, 5])
def test_a_process_that_dies_fails_its_subject_alone(dies_at: int, pair: tuple[Subject, Subject]) -> None:
    stage = Stage({"A": dies_at})
    first, second = collect_answers(pair, _setting(), launch=stage.launch, cpus=(0, 1))
    assert first == Failure("A died")
    assert isinstance(second, Answers) and len(second.values) == 90
    assert stage.open == 0
    assert len(stage.chunks("A")) <= dies_at + 1, "nobody goes on asking it"


def test_an_interrupt_ends_everybody_at_work(pair: tuple[Subject, Subject], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "REPORT_S", 0.001)
    stage = Stage()

    def interrupt(told: str, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_answers(pair, _setting(), interrupt, stage.launch, cpus=(0, 1))
    assert stage.killed > 0 == stage.open
    assert len(stage.chunks("B")) == 0


def test_progress_is_told(pair: tuple[Subject, Subject], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "REPORT_S", 0.001)
    told: list[tuple[str, float]] = []
    collect_answers(pair, _setting(), lambda stage, share: told.append((stage, share)), Stage().launch, cpus=(0,))
    assert {stage for stage, _ in told} == {"answers of A", "answers of B"}
    shares = [share for _, share in told]
    assert shares == sorted(shares) and 0 <= shares[0] < shares[-1] < 1


def test_the_same_folder_is_asked_once(made_up: SimpleNamespace) -> None:
    twice = [made_up.subject("A"), made_up.subject("A")]
    stage = Stage()
    first, second = collect_answers(twice, _setting(), launch=stage.launch, cpus=(0,))
    assert first == second
    assert len(stage.settings) == 1


def test_few_examples_are_not_worth_a_second_process(made_up: SimpleNamespace) -> None:
    stage = Stage()
    collect_answers([made_up.subject("A")], _setting(EXAMPLES[:2]), launch=stage.launch, cpus=tuple(range(8)))
    assert len(stage.settings) == 1


def test_large_models_leave_half_of_the_memory(made_up: SimpleNamespace) -> None:
    stage = Stage()
    large = made_up.subject("A", size_mb=probe_machine().memory_mb / 2)
    collect_answers([large], _setting(), launch=stage.launch, cpus=tuple(range(8)))
    assert len(stage.settings) == 1


def test_real_processes_are_pinned_and_one_of_them_broken(
    made_up: SimpleNamespace, tmp_path: Path, dataset: Dataset
) -> None:
    good, bad = (identify(made_up.artifact(tmp_path / name)) for name in ("good", "bad"))
    (bad.path / "onnx" / "model.onnx").write_bytes(b"truncated since it was verified")
    examples = read_examples(dataset, "sequence-classification", ())
    first, second = collect_answers((bad, good), _setting(examples))
    assert isinstance(first, Failure) and "onnxruntime cannot open" in first.message
    assert isinstance(second, Answers) and second.values == tuple(example.truth for example in examples)
    assert list(usable_cpus(facts_here())) == sorted(os.sched_getaffinity(0))[: probe_machine().usable_threads]


TEXTS = [f"{text}{' please' * (number % 5)}" for number in range(4) for text in (
    "where is my order?", "return volume 3", "recommend me something like Berserk", "is this for a 12 year old",
    "my card was declined", "a human now", "One Piece box sets", "hi", "注文 12345 はどこですか", "shipping to Osaka",
)]  # fmt: skip


@pytest.fixture(scope="module")
def forms(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The tiny classifier in a form of each runtime."""
    out = tmp_path_factory.mktemp("forms")
    checkpoint = inspect(tiny_bert)

    def make(form: str) -> Path:
        if form == "checkpoint":
            return tiny_bert
        format_name, _, precision = form.partition("-")
        rows = Dataset("texts", tuple({"text": text} for text in TEXTS), "0" * 64)
        plan = make_plan(checkpoint, [format_name], [precision])
        checked_on = ParityTexts(tuple(TEXTS[:8]), Source("texts", "0" * 64, 8))
        return execute(plan, Resources(checkpoint, rows, probe_machine(), 0), checked_on, out)[0]

    return make


@pytest.mark.parametrize("form", ["checkpoint", "onnx-int8", "openvino-int8", "gguf-q8_0"])
def test_several_processes_answer_as_one_does_one_by_one(form: str, forms: Callable[[str], Path]) -> None:
    """Of every runtime, on one thread: bit for bit where each input is a call of its own, else to rounding of sums."""
    subject = identify(forms(form))
    examples = tuple(Example(text, "", text, text) for text in TEXTS)
    runtime = runtime_for(subject.format)
    alone = open_predictor(runtime, subject.executable, subject.heads, threads=1).scored
    cpus = tuple(usable_cpus(facts_here())[:1]) * 2
    (found,) = collect_answers([subject], _setting(examples), cpus=cpus)
    assert isinstance(found, Answers)
    assert found.values == tuple(alone(text) for text in TEXTS)
    assert found.tokens == tuple(len(tokens.ids) for text in TEXTS for tokens in alone.encode(text))
