from pathlib import Path

from mct.bench.worker.counters import Throttling, package_energy_uj, spent_uj, throttling


def _zone(folder: Path, name: str, energy: int, wrap: int = 1000) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{energy}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{wrap}\n")


def test_packages_are_added_up_and_their_parts_are_not(tmp_path: Path) -> None:
    for name, energy in (("intel-rapl:0", 100), ("intel-rapl:0:0", 50), ("intel-rapl:1", 990)):
        _zone(tmp_path, name, energy)
    before = package_energy_uj(tmp_path)
    assert before == {"intel-rapl:0": (100, 1000), "intel-rapl:1": (990, 1000)}
    _zone(tmp_path, "intel-rapl:0", 130)
    _zone(tmp_path, "intel-rapl:1", 15)  # wrapped: 25 more
    assert spent_uj(before, package_energy_uj(tmp_path)) == 55


def test_absent_where_nothing_can_be_read(tmp_path: Path) -> None:
    assert package_energy_uj(tmp_path) == {}
    assert spent_uj({}, {}) is None
    assert spent_uj({"intel-rapl:0": (1, 10)}, {}) is None


def test_throttling_of_all_groups_with_a_quota_is_added_up(tmp_path: Path) -> None:
    """The kernel counts where the quota is, be it ours or that of a group around ours."""
    own, above, free = (tmp_path / name for name in ("own", "above", "free"))
    for folder, limit, stat in (
        (own, "50000 100000", "usage_usec 9\nnr_periods 10\nnr_throttled 3\nthrottled_usec 1500000\n"),
        (above, "400000 100000", "nr_periods 10\nnr_throttled 1\nthrottled_usec 250000\n"),
        (free, "max 100000", "nr_periods 0\nnr_throttled 7\nthrottled_usec 9\n"),
    ):
        folder.mkdir()
        (folder / "cpu.max").write_text(limit)
        (folder / "cpu.stat").write_text(stat)
    assert throttling([own, above, free]) == Throttling(4, 1.75)


def test_older_control_groups_count_nanoseconds(tmp_path: Path) -> None:
    (tmp_path / "cpu.cfs_quota_us").write_text("25000")
    (tmp_path / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "cpu.stat").write_text("nr_periods 4\nnr_throttled 2\nthrottled_time 3000000000\n")
    assert throttling([tmp_path]) == Throttling(2, 3.0)


def test_without_a_quota_there_is_nothing_to_throttle(tmp_path: Path) -> None:
    assert throttling([tmp_path, tmp_path / "absent"]) is None
