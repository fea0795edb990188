import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mct.bench.samples.subject import identify
from mct.bench.worker.predict import Pause, Predictor, Written, open_predictor, time_requests
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.table import runtime_for

NO_CAP = 10**12


def _sleeping(before_s: float, inside_s: float, after_s: float, seen: list[str]) -> Predictor:
    def encode(text: str) -> list[Tokens]:
        seen.append(text)
        time.sleep(before_s)
        return [Tokens([len(text)], [0])]

    def infer(batch: Sequence[Tokens]) -> dict[str, Any]:
        time.sleep(inside_s)
        return {"logits": np.array([[0.0, float(batch[0].ids[0])]], dtype=np.float32)}

    def decode(outputs: Mapping[str, Any], inputs: Sequence[Tokens]) -> str:
        time.sleep(after_s)
        return str(outputs["logits"].argmax())

    return Predictor(encode, infer, decode)


def test_times_the_whole_request_and_the_model_within_it() -> None:
    seen: list[str] = []
    timings = time_requests(_sleeping(0.002, 0.004, 0.003, seen), ["a", "bb", "ccc"], NO_CAP)
    assert seen == ["a", "bb", "ccc"]
    assert len(timings.end_to_end) == len(timings.model) == 3
    for whole, model in zip(timings.end_to_end, timings.model, strict=True):
        assert model >= 4_000_000  # a sleep is never shorter than asked for
        assert whole - model >= 5_000_000


def test_a_pause_is_a_part_of_the_request_where_it_counts() -> None:
    """5 ms of work and as long a wait; the runtime's own 2 ms stay as they are, and so does what has no pause."""
    for counts, least in ((True, 10_000_000), (False, 5_000_000)):
        began = time.perf_counter_ns()
        timings = time_requests(_sleeping(0.002, 0.002, 0.001, []), ["a", "bb"], NO_CAP, Pause(1.0, counts))
        assert time.perf_counter_ns() - began >= 20_000_000, "both wait"
        assert all(whole >= least for whole in timings.end_to_end)
        assert all(whole - model >= least - 2_500_000 for whole, model in zip(*timings[:2], strict=True))


def test_stops_at_the_cap_after_the_request_under_way() -> None:
    seen: list[str] = []
    timings = time_requests(_sleeping(0.0, 0.01, 0.0, seen), ["x"] * 50, cap_ns=1)
    assert len(timings.end_to_end) == len(timings.model) == len(seen) == 1


def test_opens_a_real_artifact_and_answers_with_labels(tiny_artifact: Path) -> None:
    subject = identify(tiny_artifact)
    predict = open_predictor(runtime_for("onnx"), subject.executable, subject.heads, threads=1).timed
    assert [predict(text) for text in ("where is my order", "human please", "returns returns order")] == [
        "order",
        "human",
        "returns",
    ]


def test_the_first_token_is_timed_apart_from_those_that_follow() -> None:
    """A model that reads for 20 ms and writes three tokens at 5 ms each."""

    def write(inputs: list[Tokens]) -> Written:
        time.sleep(0.02)
        first_at_ns = time.perf_counter_ns()
        time.sleep(0.01)
        return Written([1, 2, 3], first_at_ns)

    writer = Predictor(lambda text: [Tokens([7, 7], [0, 0])], write, lambda written, inputs: "text")
    timings = time_requests(writer, ["a", "b"], NO_CAP)
    assert timings.written.tolist() == [3, 3]
    assert timings.tokens.tolist() == [2, 2]
    for first, whole in zip(timings.first, timings.end_to_end, strict=True):
        assert first >= 20_000_000
        assert whole - first >= 10_000_000


def test_what_writes_nothing_has_no_first_token() -> None:
    timings = time_requests(_sleeping(0.0, 0.0, 0.0, []), ["a"], NO_CAP)
    assert (timings.first.tolist(), timings.written.tolist(), timings.tokens.tolist()) == ([], [], [1])
