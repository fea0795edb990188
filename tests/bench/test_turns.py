"""What lets two workers take turns without standing in each other's figures: rest, and the same requests."""

import json
import os
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import pytest

from mct.bench.launch import Setting, _job
from mct.bench.subject import identify
from mct.bench.worker import REST_CAP_S, _come_to_rest, shuffled_forever
from mct.models.datasets import Dataset, read_examples

ASK_FOR_ORDER = """
import json, sys
from mct.bench.worker import get_ready
bench, ready = get_ready(json.load(sys.stdin))
print(json.dumps([ready["warm_up_requests"], bench.next_requests(30)]))
"""


@pytest.mark.parametrize("busy_s", [0.0, 0.06])
def test_a_worker_rests_once_its_threads_have_stopped(busy_s: float) -> None:
    """As ONNX Runtime's, which spin for 35 ms after the last request: they would stand in the other side's figures."""
    thread = _spin(busy_s)
    began = time.perf_counter()
    _come_to_rest()
    waited_s = time.perf_counter() - began
    assert not thread.is_alive()
    assert busy_s - 0.01 <= waited_s < REST_CAP_S


def test_a_worker_whose_threads_never_stop_is_not_waited_for_any_longer_than_the_cap() -> None:
    thread = _spin(3 * REST_CAP_S)
    began = time.perf_counter()
    _come_to_rest()
    assert time.perf_counter() - began < 2 * REST_CAP_S
    thread.join()


def test_both_sides_make_the_same_requests_however_long_their_warm_up_took(
    tiny_artifact: Path, dataset: Dataset
) -> None:
    subject, examples = identify(tiny_artifact), read_examples(dataset, "sequence-classification", ())
    orders = []
    for slow_down in (1.0, 3.0):
        job = _job(subject, Setting(examples, 1, (), 4, slow_down), 2)
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


def _spin(seconds: float) -> threading.Thread:
    """A thread that uses the CPU for so long."""
    ended = time.perf_counter() + seconds

    def spin() -> None:
        while time.perf_counter() < ended:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    return thread
