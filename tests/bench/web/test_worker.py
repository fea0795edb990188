"""The worker whose runtime is JavaScript, in a real Node and a real Chromium, started as the bench starts it."""

import math
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mct.bench.measure.launch import WorkerDied, launch_answerer, start_worker
from mct.bench.samples.subject import identify
from mct.bench.transport.site import HERE, Setting, Site
from mct.bench.transport.table import open_site
from mct.bench.web.processes import descendants
from mct.bench.worker.open_loop import Traffic
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.examples import Example
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.runtimes.table import open_session, runtime_for
from mct.targets.target import find_target

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
ONE_CPU = 1
MakeArtifact = Callable[[str], Path]


def _setting(requests: list[Any], site: Site = HERE, **changes: Any) -> Setting:
    cpu = min(os.sched_getaffinity(0))
    examples = [Example(request, None, request, "text") for request in requests]
    return Setting(examples, threads=ONE_CPU, affinity=(cpu,), seed=3, site=site, **changes)


@pytest.fixture
def site(host: str) -> Iterator[Site]:
    with open_site(find_target(host), ()) as found:
        yield found


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where workers have their temporary files: a short path, since that of Chromium's socket has few letters."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def _empty(folder: Path, seconds: float = 10.0) -> bool:
    """Whether nothing is left in it within a few seconds."""
    until = time.monotonic() + seconds
    while any(folder.iterdir()) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(folder.iterdir())


def _gone(processes: list[int], seconds: float = 10.0) -> bool:
    """Whether these processes end within a few seconds; one that waits for its parent to ask has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        states = [Path(f"/proc/{process}/stat") for process in processes]
        alive = [path for path in states if path.is_file() and path.read_text().rpartition(")")[2].split()[0] != "Z"]
        if not alive:
            return True
        time.sleep(0.05)
    return False


def test_it_loads_warms_up_runs_serves_and_answers(
    temporary: Path, site: Site, small_artifact: MakeArtifact, texts: list[str]
) -> None:
    setting = _setting(texts, site)
    with closing(start_worker(identify(small_artifact("sequence-classification")), setting, 1)) as worker:
        start = worker.start
        assert 0 < start.import_ms < start.load_ms
        assert set(start.stages_ms) == {"fetch", "tokenizer", "wasm", "session"}
        assert start.load_ms == pytest.approx(start.import_ms + sum(start.stages_ms.values()))
        assert start.first_call_ms > 0 and start.warm_up_requests >= 24
        assert start.peak_rss_mb > start.bare_rss_mb > 1
        block = worker.run(40, cap_s=60.0, position=2)
        assert len(block.end_to_end_ns) == len(block.model_ns) == 40
        assert sum(block.end_to_end_ns) / 1e9 <= block.wall_s
        assert block.cpu_s > 0 and block.peak_rss_mb is not None and block.peak_rss_mb >= start.bare_rss_mb
        assert set(block.tokens or ()) <= set(worker.answers(0, len(texts)).tokens)
        segment = worker.serve(Traffic(qps=40, count=20, seed=1, cap_s=60.0), position=3)
        assert len(segment.started_ns) == 20
        assert all(began >= due for began, due in zip(segment.started_ns, segment.scheduled_ns, strict=True))
        processes = descendants(worker.process.pid)
        assert os.sched_getaffinity(_largest(processes)) == set(setting.affinity)
    assert _gone(processes) and _empty(temporary)


def _answers(artifact: Path, setting: Setting) -> Any:
    with closing(launch_answerer(identify(artifact), setting)) as worker:
        worker.get_ready()
        return worker.answers(0, len(setting.examples))


def _same(left: Any, right: Any) -> bool:
    """The same answer; numbers but for the last digits of 32 bits, which another order of summing changes."""
    if isinstance(left, list) and left and isinstance(left[0], float):
        return len(left) == len(right) and all(
            map(lambda a, b: math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5), left, right)
        )
    return bool(left == right)


@pytest.mark.parametrize(
    "task",
    [
        "sequence-classification", "multi-label-classification", "token-classification", "multi-head",
        "sentence-embedding", "pair-scoring", "reward",
    ],
)  # fmt: skip
def test_every_task_is_answered_as_python_does(
    node: object, task: str, small_artifact: MakeArtifact, requests_of: Callable[[str], list[Any]]
) -> None:
    artifact, requests = small_artifact(task), requests_of(task)
    with open_site(find_target("node"), ()) as site:
        found = _answers(artifact, _setting(requests, site))
    native = _answers(artifact, _setting(requests))
    assert len(found.values) == len(requests)
    assert all(map(_same, found.values, native.values))
    assert all(map(_same, found.native, native.values))
    assert found.tokens == native.tokens
    assert found.unlike == (0,) * len(requests)


def test_a_vector_is_the_answer_to_one_text(node: object, small_artifact: MakeArtifact, texts: list[str]) -> None:
    artifact = small_artifact("sentence-embedding")
    with open_site(find_target("node"), ()) as site:
        found = _answers(artifact, _setting(texts, site))
    assert all(map(_same, found.values, _answers(artifact, _setting(texts)).values))


def test_scores_of_watched_labels_are_pythons(node: object, small_artifact: MakeArtifact, texts: list[str]) -> None:
    artifact = small_artifact("sequence-classification")
    with open_site(find_target("node"), ()) as site:
        found = _answers(artifact, _setting(texts, site, watched=("returns", "Z")))
    native = _answers(artifact, _setting(texts, watched=("returns", "Z")))
    for label in ("returns", "Z"):
        assert _same(list(found.scores[label]), list(native.scores[label]))


def test_batches_and_lengths_are_made_as_natively(node: object, small_artifact: MakeArtifact, texts: list[str]) -> None:
    subject = identify(small_artifact("token-classification"))
    with (
        open_site(find_target("node"), ()) as site,
        closing(launch_answerer(subject, _setting(texts, site, batch=4, length=12))) as worker,
    ):
        worker.get_ready()
        assert set(worker.run(6, 60.0, 0).tokens or ()) == {48}


def test_a_cascade_says_which_requests_went_to_its_second_stage(
    node: object, tiny_bert: Path, tmp_path: Path, texts: list[str]
) -> None:
    """The same ones as by the native runtime, while it is timed and while it answers."""
    first = (Step("drop-layers", options={"keep": [0]}), Step("export-onnx"))
    sureness = sorted(_surest(_made(tiny_bert, tmp_path / "first", first), texts))
    middle = (sureness[3] + sureness[4]) / 2
    joined = Step("cascade", "onnx-fp32", {"second": [{"pass": "export-onnx"}], "threshold": middle})
    subject = identify(_made(tiny_bert, tmp_path / "joined", (*first, joined)))
    native = _answers(subject.path, _setting(texts))
    assert sorted(native.deferred) == [False] * (len(texts) - 4) + [True] * 4
    with (
        open_site(find_target("node"), ()) as site,
        closing(launch_answerer(subject, _setting(texts, site))) as worker,
    ):
        worker.get_ready()
        found = worker.answers(0, len(texts))
        assert (found.deferred, found.values) == (native.deferred, native.values)
        block = worker.run(len(texts), 60.0, 0)
        assert block.deferred is not None and sum(block.deferred) == 4


def _made(checkpoint: Path, out: Path, steps: tuple[Step, ...]) -> Path:
    plan = make_plan(inspect(checkpoint), [], [], recipe=Recipe(steps))
    resources, source = gather(plan, None, None, {}, seed=0)
    (folder,) = execute(plan, resources, source, out)
    return folder


def _surest(artifact: Path, texts: list[str]) -> list[float]:
    """The share of the likeliest label of each text."""
    subject = identify(artifact)
    session = open_session(runtime_for("onnx"), subject.executable, 1)
    tokenize = open_tokenizer(subject.path, subject.executable.max_tokens)
    logits = [session([tokenize(text)])["logits"][0] for text in texts]
    return [float(1 / np.exp(each - each.max()).sum()) for each in logits]


@pytest.mark.parametrize("ended", ["worker", "engine"])
def test_what_is_killed_leaves_no_process_and_no_folder(
    temporary: Path, site: Site, small_artifact: MakeArtifact, texts: list[str], ended: str
) -> None:
    """Whether the bench kills the worker, or Node or the page dies in the middle."""
    subject = identify(small_artifact("sequence-classification"))
    with closing(launch_answerer(subject, _setting(texts, site))) as worker:
        worker.get_ready()
        processes = descendants(worker.process.pid)
        os.kill(worker.process.pid if ended == "worker" else _largest(processes), signal.SIGKILL)
        with pytest.raises(WorkerDied) as death:
            worker.run(1000, 60.0, 0)
    assert re.search("SIGKILL|^the page crashed$", death.value.failure.message)
    assert _gone(processes) and _empty(temporary)


def _largest(processes: list[int]) -> int:
    """The process that holds the model: Node, or the page."""

    def held(process: int) -> int:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)

    pages = [each for each in processes[1:] if "--type=renderer" in Path(f"/proc/{each}/cmdline").read_text()]
    return max(pages or processes[1:], key=held)


def test_an_operator_that_the_runtime_lacks_is_named(
    node: object, tmp_path: Path, texts: list[str], lacking: Path
) -> None:
    with open_site(find_target("node"), ()) as site, pytest.raises(WorkerDied) as death:
        start_worker(identify(lacking), _setting(texts, site), 1)
    failure = death.value.failure
    assert "NoSuchOperator" in failure.message and "\n" not in failure.message
    assert "--target node" in failure.hint
