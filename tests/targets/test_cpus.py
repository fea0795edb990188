import os
import sys
from pathlib import Path

import pytest

from mct.targets.cpus import choose_cpus, cpu_list, kept_off, siblings, spare_cpus


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four cores of two CPUs each, as most machines number them: 0 and 4 share one, 1 and 5, and so on."""
    for cpu in range(8):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    return tmp_path


def test_cores_of_their_own_come_before_siblings(root: Path) -> None:
    assert choose_cpus(range(8), 2, root) == (0, 1)
    assert choose_cpus([0, 4, 1, 5], 2, root) == (0, 1)
    assert choose_cpus([0, 4, 5], 2, root) == (0, 5)
    assert choose_cpus(range(8), 5, root) == (0, 1, 2, 3, 4)
    assert choose_cpus([2, 6], 8, root) == (2, 6)


def test_neighbouring_numbers_may_share_a_core_as_well(tmp_path: Path) -> None:
    for cpu in range(4):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text("0-1\n" if cpu < 2 else "2-3\n")
    assert choose_cpus(range(4), 2, tmp_path) == (0, 2)


def test_without_a_word_about_cores_the_lowest_come_first(tmp_path: Path) -> None:
    assert siblings(3, tmp_path) == (3,)
    assert choose_cpus([7, 3, 5], 2, tmp_path) == (3, 5)


def test_who_measures_goes_to_other_cores_then_to_siblings_then_stays(root: Path) -> None:
    assert spare_cpus([0, 1], range(8), root) == {2, 3, 6, 7}
    assert spare_cpus([0, 1, 2, 3], range(8), root) == {4, 5, 6, 7}
    assert spare_cpus(range(8), range(8), root) == set()


def test_lists_as_the_kernel_writes_them() -> None:
    assert cpu_list("0-2,8\n") == [0, 1, 2, 8]
    with pytest.raises(ValueError, match="invalid literal"):
        cpu_list("")


@pytest.mark.skipif(sys.platform != "linux", reason="pins threads")
def test_kept_off_only_for_as_long_as_it_is_measured() -> None:
    allowed = os.sched_getaffinity(0)
    with kept_off([min(allowed)]):
        assert os.sched_getaffinity(0) == (allowed - {min(allowed)} or allowed)
    assert os.sched_getaffinity(0) == allowed
    with kept_off(sorted(allowed)):
        assert os.sched_getaffinity(0) == allowed
