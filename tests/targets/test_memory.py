"""A memory limit holds a real process to it, says how, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mct.targets import memory
from mct.targets.memory import PREFIX, MemoryLimit, limit_memory, memory_control

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups and RLIMIT_DATA are Linux's")

MEGABYTES = 80
TAKES = "import sys; held = b'x' * (int(sys.argv[1]) * 10**6); print(len(held))"


def _take(limit: MemoryLimit, megabytes: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", "-c", TAKES, str(megabytes)]
    return subprocess.run(limit.command(command), capture_output=True, text=True)


def _by_rlimit(megabytes: int) -> MemoryLimit:
    return MemoryLimit(megabytes, "rlimit")


@pytest.mark.parametrize("make", [limit_memory, _by_rlimit])
def test_a_process_gets_what_it_may_take_and_no_more(make: type[MemoryLimit]) -> None:
    for wanted in (MEGABYTES // 2, 4 * MEGABYTES):
        limit = make(MEGABYTES)
        done = _take(limit, wanted)
        exceeded, peak = limit.exceeded(), limit.peak_mb()
        limit.remove()
        if wanted < MEGABYTES:
            assert done.stdout.strip() == str(wanted * 10**6) and not exceeded
        else:
            assert done.returncode != 0 and not done.stdout
            assert exceeded == (limit.how != "rlimit") or "MemoryError" in done.stderr
        if peak is not None:
            assert min(wanted, MEGABYTES) * 0.9 <= peak <= MEGABYTES * 1.01
        assert limit.group is None or not limit.group.exists()


def test_the_way_is_known_before_anything_is_limited() -> None:
    limit = limit_memory(MEGABYTES)
    limit.remove()
    assert memory_control() == limit.how


def test_where_no_group_can_be_made_the_process_limits_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that is no control group, one that cannot be written, and none at all."""
    for parents in ([(tmp_path, "cgroup v2")], [(tmp_path / "missing", "cgroup v1")], []):
        monkeypatch.setattr(memory, "_groups", lambda parents=parents: parents)
        assert limit_memory(MEGABYTES) == MemoryLimit(MEGABYTES, "rlimit")
        assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_is_removed_and_what_another_holds_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (tmp_path / f"{PREFIX}{process.pid}-1").mkdir()
    (tmp_path / f"{PREFIX}{os.getppid()}-1").mkdir()
    monkeypatch.setattr(memory, "_groups", lambda: [(tmp_path, "cgroup v2")])
    limit_memory(MEGABYTES)
    assert [each.name for each in tmp_path.iterdir()] == [f"{PREFIX}{os.getppid()}-1"]
