"""The worker and the coordinator's end of it, with real processes and a tiny ONNX artifact."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mct.bench.measure.launch import Worker, WorkerDied, start_worker
from mct.bench.samples.subject import identify
from mct.bench.transport.here import worker_environment
from mct.bench.transport.site import Setting
from mct.bench.worker.worker import shuffled_forever
from mct.models.tasks.datasets import Dataset, read_examples

SETTING_SEED = 3
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def setting(dataset: Dataset) -> Setting:
    cpu = min(os.sched_getaffinity(0))
    examples = read_examples(dataset, "sequence-classification", ())
    return Setting(examples, threads=1, affinity=(cpu,), seed=SETTING_SEED)


@pytest.fixture
def worker(tiny_artifact: Path, setting: Setting) -> Iterator[Worker]:
    found = start_worker(identify(tiny_artifact), setting, 0)
    yield found
    found.close()


def test_a_worker_loads_runs_and_answers(worker: Worker, setting: Setting, dataset: Dataset) -> None:
    start = worker.start
    assert 0 < start.import_ms < start.load_ms
    assert start.first_call_ms > 0
    assert start.peak_rss_mb > start.bare_rss_mb > 1
    assert start.warm_up_requests >= 40
    block = worker.run(50, cap_s=60.0, position=7)
    assert (block.round, block.position) == (0, 7)
    assert len(block.end_to_end_ns) == len(block.model_ns) == 50
    pairs = zip(block.end_to_end_ns, block.model_ns, strict=True)
    assert all(0 < model < whole for whole, model in pairs)
    assert sum(block.end_to_end_ns) / 1e9 <= block.wall_s
    assert worker.answers(0, 60).values == tuple(dataset.column("label"))
    assert worker.answers(5, 7).tokens == tuple(len(each.request.split()) for each in setting.examples[5:7])
    assert os.sched_getaffinity(worker.process.pid) == set(setting.affinity)
    worker.close()
    assert worker.process.returncode == 0


def test_what_needs_more_memory_than_its_target_has_is_its_own_failure(tiny_artifact: Path, setting: Setting) -> None:
    """ONNX Runtime alone takes more than 36 MB. Plenty changes nothing."""
    with closing(start_worker(identify(tiny_artifact), replace(setting, memory_mb=2000), 0)) as worker:
        assert worker.run(5, cap_s=60.0, position=0).end_to_end_ns
    with pytest.raises(WorkerDied) as death:
        start_worker(identify(tiny_artifact), replace(setting, memory_mb=36), 0)
    failure = death.value.failure
    assert "more than the 36 MB" in failure.message or "36 MB on this target (rlimit)" in failure.hint


def test_runtimes_get_the_threads_and_numpy_only_one() -> None:
    """numpy's own pool beside llama.cpp's made P95 of a model with heads outside its graph four times as long."""
    environment = worker_environment(4)
    assert (environment["OMP_NUM_THREADS"], environment["OPENBLAS_NUM_THREADS"]) == ("4", "1")


def test_an_onnx_worker_never_sees_torch(worker: Worker) -> None:
    assert "onnxruntime" in worker.start.libraries
    assert not {"torch", "transformers", "scipy"} & set(worker.start.libraries)


def test_a_block_is_cut_off_at_its_cap(worker: Worker) -> None:
    assert len(worker.run(100_000, cap_s=0.01, position=0).end_to_end_ns) < 100_000


def test_an_idle_worker_burns_no_cpu(worker: Worker) -> None:
    worker.run(200, cap_s=5.0, position=0)
    time.sleep(0.2)
    before = _cpu_ticks(worker.process.pid)
    time.sleep(0.5)
    assert _cpu_ticks(worker.process.pid) - before <= 1


def test_a_crash_is_told_by_its_signal(worker: Worker) -> None:
    worker.process.send_signal(signal.SIGSEGV)
    with pytest.raises(WorkerDied) as death:
        worker.run(10, cap_s=1.0, position=0)
    assert death.value.failure.message == "the worker was ended by SIGSEGV"


def test_a_worker_that_hangs_is_given_up_and_ended(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mct.bench.measure.launch.PATIENCE_S", 0.3)
    worker.process.send_signal(signal.SIGSTOP)
    with pytest.raises(WorkerDied) as death:
        worker.run(10, cap_s=1.0, position=0)
    assert death.value.failure.message == "the worker did not answer within 0.3 s"
    assert worker.process.wait(timeout=10) == -signal.SIGKILL


def test_an_error_comes_with_its_message_and_hint(tiny_artifact: Path, setting: Setting) -> None:
    subject = identify(tiny_artifact)
    (tiny_artifact / "onnx" / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(WorkerDied) as death:
        start_worker(subject, setting, 1)
    assert "onnxruntime cannot open" in death.value.failure.message
    assert death.value.failure.hint == "compress the checkpoint again"


def test_a_bug_keeps_its_traceback(made_up: SimpleNamespace, tmp_path: Path, setting: Setting) -> None:
    """A graph without logits: an exception of ours, not an error of the user."""
    subject = identify(made_up.artifact(tmp_path / "odd", output="scores"))
    with pytest.raises(WorkerDied) as death:
        start_worker(subject, setting, 1)
    assert death.value.failure.message == "KeyError: 'logits'"
    assert death.value.failure.stderr[-1] == "KeyError: 'logits'"


def test_what_a_library_prints_does_not_break_the_protocol() -> None:
    program = (
        "import os; from mct.bench.worker.worker import open_channel; say = open_channel();"
        "print('from python', flush=True); os.write(1, b'from c\\n'); say({'ready': True})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=_environment(), check=True
    )
    assert json.loads(done.stdout) == {"ready": True}
    assert done.stderr.splitlines() == ["from python", "from c"]


def test_a_worker_dies_with_its_coordinator(tiny_artifact: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path;"
        "from mct.bench.measure.launch import *; from mct.bench.samples.subject import identify;"
        "from mct.models.tasks.examples import Example;"
        "examples = [Example('order', 'order', 'order', 'order')];"
        "worker = start_worker(identify(Path(sys.argv[1])), Setting(examples, 1, (), 0), 1);"
        "print(worker.process.pid, flush=True); worker.run(10**9, 300.0, 0)"
    )
    coordinator = subprocess.Popen(
        [sys.executable, "-c", program, str(tiny_artifact)], stdout=subprocess.PIPE, text=True, env=_environment()
    )
    assert coordinator.stdout is not None
    child = int(coordinator.stdout.readline())
    assert _is_running(child)
    coordinator.kill()
    coordinator.wait()
    coordinator.stdout.close()
    deadline = time.monotonic() + 10
    while _is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_running(child)


def test_every_row_comes_once_before_any_comes_again() -> None:
    order = shuffled_forever(10, seed=5)
    first, second = [next(order) for _ in range(10)], [next(order) for _ in range(10)]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    again = shuffled_forever(10, seed=5)
    assert [next(again) for _ in range(10)] == first


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False
