from pathlib import Path

import pytest

from mct.targets.conditions import Conditions, read_conditions


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def test_what_the_machine_does_not_show_is_unknown(tmp_path: Path) -> None:
    assert read_conditions((0, 1), tmp_path, {}) == Conditions("unknown", "unknown", "unknown", "unknown")


def test_what_it_shows_is_read(tmp_path: Path) -> None:
    cpus = "sys/devices/system/cpu"
    write(tmp_path, f"{cpus}/smt/active", "1")
    write(tmp_path, f"{cpus}/cpufreq/boost", "0")
    for cpu, governor in enumerate(("performance", "performance", "powersave")):
        write(tmp_path, f"{cpus}/cpu{cpu}/cpufreq/scaling_governor", governor)
    write(tmp_path, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never")
    assert read_conditions((0, 1), tmp_path, {}) == Conditions("on", "off", "performance", "madvise")
    assert read_conditions((1, 2), tmp_path, {}).governor == "performance/powersave"


@pytest.mark.parametrize(("no_turbo", "boost"), [("0", "on"), ("1", "off"), ("", "unknown")])
def test_intel_counts_the_other_way_round(tmp_path: Path, no_turbo: str, boost: str) -> None:
    write(tmp_path, "sys/devices/system/cpu/intel_pstate/no_turbo", no_turbo)
    assert read_conditions((), tmp_path, {}).boost == boost


def test_how_threads_wait_is_read_and_how_many_there_are_is_not(tmp_path: Path) -> None:
    """A measured process is told its own number of threads, whatever stood there."""
    set_ = {"KMP_BLOCKTIME": "0", "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "64", "PATH": "/bin", "MKL_X": ""}
    assert read_conditions((), tmp_path, set_).threading == {"KMP_BLOCKTIME": "0", "OMP_WAIT_POLICY": "passive"}
