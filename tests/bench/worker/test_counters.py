from pathlib import Path

from mct.bench.worker.counters import package_energy_uj, spent_uj


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
