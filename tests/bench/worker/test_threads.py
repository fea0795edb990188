"""Each runtime computes with as many threads as it was told: counted by the CPU time of the worker's threads."""

import os
import sys
from pathlib import Path

import pytest

from mct.bench.measure.launch import start_worker
from mct.bench.samples.subject import identify
from mct.bench.transport.site import Setting
from mct.compress.plan.plan import make_plan
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.examples import Example

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MESSAGES = Path(__file__).resolve().parents[2] / "compress" / "messages.csv"
TEXTS = ("where is my order", "i want to return this volume please", "is it suitable for a child of nine")
REQUESTS = 400
IDLE = 0.1
"""A thread that had less than that share of the busiest's CPU time did no work of the model's."""


@pytest.fixture(scope="module")
def artifacts(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    plan = make_plan(inspect(tiny_bert), ["onnx", "openvino", "gguf"], ["fp32"])
    resources, texts = gather(plan, None, MESSAGES, {}, 0)
    return execute(plan, resources, texts, tmp_path_factory.mktemp("threads"))


def _ticks(process: int) -> dict[str, int]:
    """CPU time by thread, in ticks."""
    found = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[task.name] = int(fields[11]) + int(fields[12])
    return found


@pytest.mark.parametrize("threads", [1, 2])
def test_a_runtime_computes_with_the_threads_it_is_told(artifacts: list[Path], threads: int) -> None:
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    if len(cpus) < threads:
        pytest.skip(f"this machine lets us use {len(cpus)} CPU")
    examples = tuple(Example(text, "", text, text) for text in TEXTS)
    for artifact in artifacts:
        worker = start_worker(identify(artifact), Setting(examples, threads, cpus, seed=0), 0)
        try:
            before = _ticks(worker.process.pid)
            worker.run(REQUESTS, cap_s=60.0, position=0)
            spent = {name: ticks - before.get(name, 0) for name, ticks in _ticks(worker.process.pid).items()}
            busy = [name for name, ticks in spent.items() if ticks > IDLE * max(spent.values())]
            assert 1 <= len(busy) <= threads, (artifact.name, spent)
            assert os.sched_getaffinity(worker.process.pid) == set(cpus)
        finally:
            worker.close()
