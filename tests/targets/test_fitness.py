"""What speaks against measuring on a machine: told from a tree of files as the kernel writes them, and from this one.

The tree stands in for /proc and /sys, and waiting for a change of its counters, so that no answer hangs on the machine
that runs the test; of the real machine it is only asked that every question gets an answer.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct.targets.fitness import Finding, Fitness, check_fitness

CPUS = (0, 1, 2, 3)
CPU = "sys/devices/system/cpu"
# user nice system idle iowait irq softirq steal guest guest_nice
AT_FIRST = [100, 0, 50, 1000, 10, 0, 5, 3, 0, 0]


def stat(*times: list[int]) -> str:
    """A /proc/stat of so many CPUs."""
    rows = [f"cpu{number} {' '.join(map(str, row))}" for number, row in enumerate(times)]
    return "\n".join(["cpu  1 2 3 4 5 6 7 8 9 10", *rows, "intr 12345", "ctxt 67890", ""])


class Tree:
    """A machine as files. `at_first` and `later` are its /proc/stat before and after the wait."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for cpu in CPUS:
            self.write(f"{CPU}/cpu{cpu}/cpufreq/scaling_governor", "performance\n")
            self.write(f"{CPU}/cpu{cpu}/topology/thread_siblings_list", f"{cpu},{cpu + 4}\n")
        self.write(f"{CPU}/cpufreq/boost", "0\n")
        self.write("proc/self/cgroup", "0::/mine/container\n")
        self.write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu memory\n")
        self.write("sys/fs/cgroup/mine/container/cpu.max", "max 100000\n")
        self.write("sys/fs/cgroup/mine/container/cpu.stat", "usage_usec 1\nnr_periods 0\nnr_throttled 0\n")
        self.write("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00\n")
        self.at_first = stat(*[AT_FIRST] * 4)
        self.later = stat(*[[101, 0, 50, 1199, 10, 0, 5, 3, 0, 0]] * 4)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def remove(self, pattern: str) -> None:
        for path in filter(Path.is_file, self.root.glob(pattern)):
            path.unlink()

    def look(self) -> Fitness:
        self.write("proc/stat", self.at_first)
        return check_fitness(self.root, CPUS, wait=lambda: self.write("proc/stat", self.later))

    def check(self, name: str) -> Finding:
        """One finding, when all others are as they should be."""
        fitness = self.look()
        (found,) = (finding for finding in fitness.findings if finding.name == name)
        others = [finding for finding in fitness.findings if finding is not found]
        assert all(finding.state == "ok" and not finding.hint for finding in others)
        assert fitness.fit == (found.state != "doubtful")
        assert (found.state == "doubtful") == bool(found.hint)
        return found


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def later(*row: int) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        tree.later = stat(*[list(row)] * 4)

    return change


def file(path: str, text: str) -> Callable[[Tree], None]:
    return lambda tree: tree.write(path, text)


OURS = "sys/fs/cgroup/mine/container"
DOUBTFUL = [
    ("governor", file(f"{CPU}/cpu2/cpufreq/scaling_governor", "schedutil"), "schedutil on CPU 2", "scaling_governor"),
    ("boost", file(f"{CPU}/cpufreq/boost", "1"), "on: the clock hangs", "echo 0 | sudo tee /sys/devices/system/cpu/c"),
    ("SMT siblings", file(f"{CPU}/cpu0/topology/thread_siblings_list", "0-1"), "such as 0-1", "taskset -c 0"),
    ("other load", later(140, 0, 60, 1155, 10, 0, 5, 3, 0, 0), "took 24.4%", "top -o %CPU"),
    ("steal", later(101, 0, 50, 1190, 10, 0, 5, 12, 0, 0), "took 4.5%", "dedicated"),
    ("quota", file(f"{OURS}/cpu.max", "50000 100000"), "0.5 CPUs' worth of time, 4 CPUs usable", "--cpuset-cpus"),
    ("throttling", file(f"{OURS}/cpu.stat", "nr_periods 400\nnr_throttled 12\n"), "in 12 of 400", "--cpuset-cpus"),
    ("memory pressure", file("proc/pressure/memory", "some avg10=3.21 avg60=0.0"), "3.2% of the last", "ps aux"),
]


@pytest.mark.parametrize(("name", "change", "evidence", "hint"), DOUBTFUL, ids=[row[0] for row in DOUBTFUL])
def test_what_speaks_against_it_is_said_with_what_to_type(
    tree: Tree, name: str, change: Callable[[Tree], None], evidence: str, hint: str
) -> None:
    assert tree.check(name).state == "ok"
    change(tree)
    found = tree.check(name)
    assert found.state == "doubtful"
    assert evidence in found.evidence and hint in found.hint


def gone(pattern: str) -> Callable[[Tree], None]:
    return lambda tree: tree.remove(pattern)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("governor", gone(f"{CPU}/cpu3/cpufreq/scaling_governor")),
        ("boost", gone(f"{CPU}/cpufreq/boost")),
        ("SMT siblings", gone(f"{CPU}/cpu1/topology/*")),
        ("throttling", gone("sys/fs/cgroup/**/cpu.stat")),
        ("memory pressure", gone("proc/pressure/memory")),
        ("memory pressure", file("proc/pressure/memory", "")),
    ],
)
def test_what_is_not_shown_is_unknown_and_not_held_against_it(
    tree: Tree, name: str, change: Callable[[Tree], None]
) -> None:
    change(tree)
    assert tree.check(name).state == "unknown"


@pytest.mark.parametrize("text", ["", stat(AT_FIRST), "cpu0 1 2 3\ncpu1 1 2 3\ncpu2 1 2 3\ncpu3 1 2 3\n"])
def test_counters_that_do_not_cover_the_cpus_say_nothing(tree: Tree, text: str) -> None:
    tree.at_first = tree.later = text
    states = {finding.name: finding.state for finding in tree.look().findings}
    assert states["other load"] == states["steal"] == "unknown"


def test_a_machine_that_shows_nothing(tmp_path: Path) -> None:
    fitness = check_fitness(tmp_path, CPUS, wait=lambda: None)
    assert {finding.state for finding in fitness.findings} == {"unknown"}
    assert fitness.fit
    assert fitness.describe().endswith("fit to measure on (8 of 8 unknown)")


def test_intels_own_driver_says_it_the_other_way_round(tree: Tree) -> None:
    tree.remove(f"{CPU}/cpufreq/boost")
    tree.write(f"{CPU}/intel_pstate/no_turbo", "0\n")
    assert tree.check("boost").hint == "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"
    tree.write(f"{CPU}/intel_pstate/no_turbo", "1\n")
    assert tree.check("boost").state == "ok"


def test_one_cpu_of_each_core_is_named(tree: Tree) -> None:
    for cpu in CPUS:
        tree.write(f"{CPU}/cpu{cpu}/topology/thread_siblings_list", f"{cpu % 2},{cpu % 2 + 2}")
    assert tree.check("SMT siblings").hint == "taskset -c 0-1 mct bench …"


def test_older_cgroups_are_read_too(tree: Tree) -> None:
    tree.remove("sys/fs/cgroup/**/c*")
    tree.write("proc/self/cgroup", "7:memory:/m\n4:cpu,cpuacct:/docker/1\n0::/\n")
    tree.write("sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "25000")
    tree.write("sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000")
    tree.write("sys/fs/cgroup/cpu/docker/1/cpu.stat", "nr_periods 10\nnr_throttled 9\nthrottled_time 5\n")
    found = {finding.name: finding for finding in tree.look().findings}
    assert found["quota"].evidence.startswith("0.25 CPUs")
    assert "9 of 10" in found["throttling"].evidence


def test_this_machine(run_mct: Callable[..., Any]) -> None:
    """The exit code says what the findings say, whatever they are here and now."""
    done = run_mct("targets", "check", "--json")
    found = json.loads(done.stdout)
    assert len(found["findings"]) == 8
    assert found["fit"] == all(finding["state"] != "doubtful" for finding in found["findings"])
    assert done.returncode == (0 if found["fit"] else 3), done.stderr
