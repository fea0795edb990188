"""The machine's limit: real products in a real process, and a cache that forgets when anything that decides changes."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from mct import MctError
from mct.targets import limit
from mct.targets.limit import MachineLimit, find_limit, known_limit
from mct.targets.measure_limit import FLOAT, SIZES_MB, UINT8, measure, one_node_model

SAMPLE = MachineLimit(2, 1400.0, 1000.0, 200.0, 300.0, {"1": 80.0, "4": 90.0, "64": 40.0})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "mct"


def keep(cache: Path, found: MachineLimit = SAMPLE, threads: int = 2) -> Path:
    """Put a limit into the cache as if it had been measured."""
    cache.mkdir(exist_ok=True)
    path = limit._place(threads, ())
    path.write_text(json.dumps({"version": limit.VERSION, "limit": found.as_json()}))
    return path


def test_hand_written_models_are_valid_onnx_and_multiply_rightly() -> None:
    rng = np.random.default_rng(0)
    b = rng.integers(-64, 64, (300, 5), dtype=np.int8)
    model = one_node_model("", "MatMulInteger", (UINT8, (3, 300, 5)), {"b": b})
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    a = rng.integers(0, 255, (3, 300), dtype=np.uint8)
    (y,) = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"a": a})
    assert np.array_equal(y, a.astype(np.int32) @ b.astype(np.int32))
    floats = rng.standard_normal((300, 5), dtype=np.float32)
    model = one_node_model("", "MatMul", (FLOAT, (3, 300, 5)), {"b": floats})
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)


def test_a_short_measurement_gives_every_rate() -> None:
    found = MachineLimit(**measure(1, series_s=0.02))
    assert found.threads == 1
    assert all(rate > 0.1 for rate in (found.int8_gops, found.fp32_gops, *found.read_gb_per_s.values()))
    assert list(found.read_gb_per_s) == [str(size) for size in SIZES_MB]


def test_it_is_measured_once_and_then_known(cache: Path) -> None:
    cpu = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    affinity = () if cpu is None else (cpu,)
    assert known_limit(1, affinity) is None
    found = find_limit(1, affinity)
    (kept,) = cache.iterdir()
    written = kept.stat().st_mtime_ns
    assert find_limit(1, affinity) == known_limit(1, affinity) == found
    assert kept.stat().st_mtime_ns == written
    assert known_limit(2, affinity) is None, "other threads, another limit"


def test_a_cached_limit_of_another_version_or_damaged_is_not_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keep(cache)
    assert known_limit(2) == SAMPLE
    monkeypatch.setattr(limit, "VERSION", limit.VERSION + 1)
    assert known_limit(2) is None
    monkeypatch.undo()
    path.write_text('{"version": 1, "limi')
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    assert known_limit(2) is None


def test_a_measurement_that_fails_says_why(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MctError, match="limit could not be measured: ValueError") as error:
        find_limit("two")  # type: ignore[arg-type]
    assert error.value.hint == "bench without --limit"
    monkeypatch.setattr(limit, "_version", lambda name: "absent")
    with pytest.raises(MctError, match="onnxruntime, which is missing"):
        find_limit(1)
    assert not cache.exists()


def test_a_limit_that_cannot_be_kept_is_found_all_the_same(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_text("a file where the folder should be")
    monkeypatch.setattr(limit, "_measure", lambda threads, affinity: SAMPLE)
    assert find_limit(2) == SAMPLE


def test_rates_are_upper_bounds() -> None:
    """What fits no cache is read at memory's rate; a size in between at the best rate from the next lower one on."""
    assert (SAMPLE.int8_gops, SAMPLE.fp32_gops) == (1400.0, 300.0)
    assert [SAMPLE.read_rate(size) for size in (0.1, 1, 3.9, 4, 63, 64, 5000)] == [90, 90, 90, 90, 90, 40, 40]
