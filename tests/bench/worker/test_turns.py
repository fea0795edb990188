"""What lets two workers take turns without standing in each other's figures: rest, and the same requests."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from mct.bench.measure.launch import _job
from mct.bench.samples.subject import identify
from mct.bench.transport.site import Setting
from mct.bench.worker.predict import Pause
from mct.bench.worker.worker import REST_CAP_S, REST_STEP_S, REST_STEPS, _come_to_rest, shuffled_forever
from mct.models.tasks.datasets import Dataset, read_examples

ASK_FOR_ORDER = """
import json, sys
from mct.bench.worker.worker import get_ready
bench, ready = get_ready(json.load(sys.stdin))
print(json.dumps([ready["warm_up_requests"], bench.next_requests(30)]))
"""


@dataclass
class Told:
    """A clock that only sleeping moves, and a process whose threads use the CPU until `busy_s`."""

    busy_s: float
    now_s: float = 0.0

    def perf_counter(self) -> float:
        return self.now_s

    def process_time(self) -> float:
        return min(self.now_s, self.busy_s)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def rested_after_s(busy_s: float, monkeypatch: pytest.MonkeyPatch) -> float:
    told = Told(busy_s)
    for name in ("perf_counter", "process_time", "sleep"):
        monkeypatch.setattr(f"mct.bench.worker.worker.{name}", getattr(told, name))
    _come_to_rest()
    return told.now_s


@pytest.mark.parametrize("busy_s", [0.0, 0.035, 0.2])
def test_a_worker_rests_once_its_threads_have_stopped(busy_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ONNX Runtime's, which spin for 35 ms after the last request: they would stand in the other side's figures."""
    assert busy_s < rested_after_s(busy_s, monkeypatch) <= busy_s + (REST_STEPS + 1) * REST_STEP_S


def test_a_worker_whose_threads_never_stop_is_not_waited_for_any_longer_than_the_cap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert REST_CAP_S <= rested_after_s(3 * REST_CAP_S, monkeypatch) < REST_CAP_S + REST_STEP_S


def test_both_sides_make_the_same_requests_however_long_their_warm_up_took(
    tiny_artifact: Path, dataset: Dataset
) -> None:
    subject, examples = identify(tiny_artifact), read_examples(dataset, "sequence-classification", ())
    orders = []
    for pause in (Pause(0.0, counts=False), Pause(2.0, counts=True)):
        job = _job(subject, Setting(examples, 1, (), 4, pause), 2)
        done = subprocess.run(
            [sys.executable, "-c", ASK_FOR_ORDER],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        )
        warm_up, order = json.loads(done.stdout)
        assert warm_up >= 40
        orders.append(order)
    expected = [examples[row].request for row in islice(shuffled_forever(len(examples), 4002), 30)]
    assert orders == [expected, expected]
