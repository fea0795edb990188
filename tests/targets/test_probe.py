"""What `mct targets probe` says of a machine, against the system's own tools, whatever the machine is."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mct.targets.devices.gpus import find_gpus
from mct.targets.machine import probe_machine
from mct.targets.probe import Cache, count_cores, probe, read_caches
from mct.targets.runtimes.table import runtime_states

RunMct = Callable[..., subprocess.CompletedProcess[str]]
PROBE = [sys.executable, "-m", "mct.cli", "targets", "probe", "--json"]
LETTERS = {"K": 1, "M": 1024}
WITHOUT_OPENMP = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}  # nproc obeys it

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and /sys")


def _probed(*before: str) -> dict[str, Any]:
    done = subprocess.run([*before, *PROBE], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _lscpu() -> dict[str, str]:
    said = json.loads(subprocess.run(["lscpu", "-J"], capture_output=True, text=True, check=True).stdout)
    found: dict[str, str] = {}
    rows = list(said["lscpu"])
    while rows:
        row = rows.pop()
        rows += row.get("children", [])
        found[row["field"].rstrip(":")] = row["data"] or ""
    return found


@pytest.mark.skipif(not shutil.which("lscpu"), reason="lscpu is not here")
def test_it_agrees_with_lscpu() -> None:
    found, said = _probed(), _lscpu()
    assert (found["cpu"], found["architecture"]) == (said["Model name"], said["Architecture"])
    assert found["online_cpus"] == int(said["CPU(s)"])
    assert set(found["instruction_sets"]) <= set(said["Flags"].split())
    if "VNNI" not in os.environ.get("ONEDNN_MAX_CPU_ISA", "VNNI"):
        return
    assert ("avx512_vnni" in found["instruction_sets"]) == ("avx512_vnni" in said["Flags"].split())


@pytest.mark.skipif(not shutil.which("lscpu"), reason="lscpu is not here")
def test_caches_are_those_of_lscpu() -> None:
    done = subprocess.run(["lscpu", "-C=NAME,ONE-SIZE", "-J"], capture_output=True, text=True)
    if done.returncode or not done.stdout:
        pytest.skip("lscpu shows no caches here")
    said = {row["name"]: row["one-size"] for row in json.loads(done.stdout)["caches"]}
    letters = {"data": "d", "instruction": "i", "unified": ""}
    found = {f"L{each['level']}{letters[each['holds']]}": each["kilobytes"] for each in _probed()["caches"]}
    assert found == {name: float(size[:-1]) * LETTERS[size[-1]] for name, size in said.items()}


@pytest.mark.skipif(not (shutil.which("taskset") and shutil.which("nproc")), reason="taskset or nproc is not here")
def test_it_agrees_with_nproc_and_follows_taskset() -> None:
    assert _probed()["affinity_cpus"] == int(subprocess.check_output(["nproc"], env=WITHOUT_OPENMP))
    cpu = str(min(os.sched_getaffinity(0)))
    found = _probed("taskset", "-c", cpu)
    assert (found["affinity_cpus"], found["usable_threads"], found["cores"], found["cpus"]) == (1, 1, 1, [int(cpu)])


@pytest.fixture
def half_a_cpu() -> Iterator[Path]:
    """A control group with a quota of half a CPU, of version 1 or 2, whichever can be written here."""
    for top, limit in (("cpu", "cpu.cfs_quota_us"), ("", "cpu.max")):
        group = Path("/sys/fs/cgroup", top, f"mct-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text("50000" if top else "50000 100000")
        except OSError:
            group.rmdir()
            continue
        yield group
        group.rmdir()
        return
    pytest.skip("no control group with a quota can be made here")


def test_it_follows_a_quota(half_a_cpu: Path) -> None:
    found = _probed("sh", "-c", f'echo $$ > {half_a_cpu}/cgroup.procs && exec "$@"', "sh")
    assert (found["quota_cpus"], found["usable_threads"]) == (0.5, 1)


def test_caches_and_cores_are_read_from_sys_and_missing_ones_are_left_out(tmp_path: Path) -> None:
    for number, (level, kind, size, cpus) in enumerate(
        (("1", "Data", "48K", "0,4"), ("3", "Unified", "32768K", "0-7"), ("", "Unified", "", ""))
    ):
        folder = tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{number}"
        folder.mkdir(parents=True)
        for name, value in zip(("level", "type", "size", "shared_cpu_list"), (level, kind, size, cpus), strict=True):
            (folder / name).write_text(value + "\n")
    assert read_caches((0,), tmp_path) == (
        Cache(1, "data", 48, (0, 4)),
        Cache(3, "unified", 32768, tuple(range(8))),
    )
    for cpu, siblings in ((0, "0,4"), (1, "1,5"), (4, "0,4")):
        topology = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(siblings + "\n")
    assert count_cores((0, 1, 4), tmp_path) == 2
    assert count_cores((0, 1), tmp_path / "nothing") == 0


def test_gpus_are_those_of_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, which prints as NVIDIA's does; one that fails; and none."""
    tool = tmp_path / "nvidia-smi"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 9.0, 81559, 570.86.15, GPU-1'\n")
    tool.chmod(0o755)
    (gpu,) = find_gpus()
    assert (gpu.name, gpu.compute_capability, gpu.memory_mb, gpu.index) == ("NVIDIA H100 80GB HBM3", "9.0", 81559, 0)
    tool.write_text("#!/bin/sh\necho 'has failed because it could not communicate with the driver' >&2; exit 9\n")
    assert find_gpus() == ()


def test_what_is_missing_comes_with_the_line_that_brings_it(run_mct: RunMct, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mct.targets.runtimes.table.installed_version", lambda runtime: None)
    monkeypatch.setattr("shutil.which", lambda command: None)
    said = probe(runtime_states(probe_machine())).describe()
    for extra in ("onnx", "openvino", "gguf", "compress"):
        assert f"pip install 'mangaassist-mct[{extra}]'" in said
    assert "install Node.js" in said and "install Chromium" in said
    done = run_mct("targets", "probe")
    assert done.returncode == 0 and done.stdout.startswith("cpu ") and not done.stderr
