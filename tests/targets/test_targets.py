"""Targets, budgets and the machine: found by name, overridden by file, refused with the nearest name."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.targets.budget import Budget, budget_on, find_budget, load_budgets, looser_limits, stricter_on
from mct.targets.machine import Machine, probe_machine
from mct.targets.runtimes.table import RUNTIMES, runtime_for
from mct.targets.target import find_target, find_targets, load_targets, machine_of

RunMct = Callable[..., subprocess.CompletedProcess[str]]


def test_the_router_budget_is_the_products() -> None:
    budget = find_budget("intent-router")
    assert (budget.p95_ms, budget.quality_at_least, budget.quality_max_drop) == (15.0, 0.921, 0.005)
    assert (budget.slices, budget.slice_max_drop) == (HIGH_RISK_INTENTS, 0.01)
    assert not budget.assumed


def test_every_other_built_in_budget_is_marked_as_assumed() -> None:
    assert {name for name, budget in load_budgets().items() if not budget.assumed} == {"intent-router"}


def test_every_budget_has_a_limit_of_its_own_on_a_gpu_and_says_that_it_is_assumed() -> None:
    gpu = find_target("gpu")
    for name, budget in load_budgets().items():
        found = budget_on(budget, gpu)
        assert found.assumed and found.p95_ms and budget.p95_ms and found.p95_ms < budget.p95_ms, name
        assert found.quality_max_drop == budget.quality_max_drop


def test_a_file_may_begin_with_the_mark_that_windows_writes(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("[sentiment]\np95_ms = 8\n", encoding="utf-8-sig")
    assert find_budget("sentiment", tmp_path / "b.toml").p95_ms == 8


def test_a_file_overrides_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text('[sentiment]\np95_ms = 8\n[own]\ntask = "sequence-classification"\nsize_mb = 5\n')
    ours = find_budget("sentiment", tmp_path / "b.toml")
    assert (ours.p95_ms, ours.quality_max_drop, ours.assumed) == (8, 0.01, False)
    assert find_budget("own", tmp_path / "b.toml").size_mb == 5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[own]\n", "names no task"),
        ('[own]\ntask = "x"\np59_ms = 8\n', "p59_ms"),
        ("[own", "not valid TOML"),
        ("own = 5\n", r"`\$\[\.\.\.\]` is a whole number, expected an object"),
        ('[own]\ntask = "sequence-clasification"\np95_ms = 8\n', "unknown task 'sequence-clasification'"),
        ("[own]\ntask = 5\np95_ms = 8\n", r"budget own: `\$\.task` is a whole number, expected a text"),
        ('[sentiment]\np95_ms = "fast"\n', r"budget sentiment: `\$\.p95_ms` is a text, expected a number"),
        ("[sentiment]\np95_ms = true\n", r"`\$\.p95_ms` is true or false, expected a number"),
        ("[sentiment]\np95_ms = nan\n", "nan is not a finite number"),
        ("[sentiment]\np95_ms = inf\n", "inf is not a finite number"),
        ("[sentiment]\np95_ms = 0\n", r"`\$\.p95_ms`: Expected `float` > 0"),
        ("[sentiment]\np95_ms = -15.0\n", r"`\$\.p95_ms`: Expected `float` > 0"),
        ("[sentiment]\nquality_at_least = 92.1\n", r"`\$\.quality_at_least`: Expected `float` <= 1"),
        ("[sentiment]\nquality_max_drop = -0.1\n", r"`\$\.quality_max_drop`: Expected `float` >= 0"),
        ('[sentiment]\nslices = "returns"\n', r"`\$\.slices` is a text, expected a list"),
        ("[sentiment]\nslices = [1]\n", r"`\$\.slices\[0\]` is a whole number, expected a text"),
        ('[sentiment]\nslices = ["a", "a"]\n', "names a slice twice"),
        ("[sentiment]\nslices = []\n", "has a slice_max_drop and no slices"),
        ('[sentiment]\nmetric_max_drop = ["accuracy"]\n', "metric_max_drop` is a list, expected an object"),
        ('[sentiment]\nmetric_max_drop = { "accuracy" = "much" }\n', "is a text, expected a number"),
        ('[sentiment]\nassumed = "yes"\n', r"`\$\.assumed` is a text, expected true or false"),
        ('[own]\ntask = "causal-lm"\n', "budget own limits nothing"),
        ('[sentiment]\nname = "other"\n', "has a name of its own"),
    ],
)
def test_a_wrong_budget_file_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "b.toml").write_text(content)
    with pytest.raises(MctError, match=says):
        load_budgets(tmp_path / "b.toml")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[box]\n", "Object missing required field"),
        (
            '[box]\ndevice = "cpu"\nabout = ""\ntransport = "shh"\n',
            "unknown transport in target box 'shh'",
        ),
        ('[box]\ndevice = "cpu"\nabout = ""\ntransport = "ssh"\n', "a host and transport = .* go together"),
        ('[box]\ndevice = "cpu"\nabout = ""\nhost = "till"\n', "a host and transport = .* go together"),
        ('[box]\ndevice = "cpu"\nabout = ""\ntransport = "ssh"\nhost = "-F x"\n', "no host to reach by ssh"),
        ('[box]\ndevice = "cpu"\nabout = ""\ntransport = "ssh"\nhost = "till"\npython = "a b"\n', "names no program"),
        ('[box]\ndevice = "tpu"\nabout = ""\n', r"`\$\.device`: Invalid enum value 'tpu'"),
        ('[cpu]\ndevice = "cpu"\nabout = 5\n', r"target cpu: `\$\.about` is a whole number, expected a text"),
        ('[box]\ndevice = "cpu"\nabout = ""\nthreads = -1\n', r"`\$\.threads`: Expected `int` >= 1"),
        ('[box]\ndevice = "cpu"\nabout = ""\nthreads = 0\n', r"`\$\.threads`: Expected `int` >= 1"),
        ('[box]\ndevice = "cpu"\nabout = ""\nmemory_mb = 1\n', r"`\$\.memory_mb`: Expected `int` >= 32"),
        ('[box]\ndevice = "cpu"\nabout = ""\nruntimes = "onnxruntime"\n', "is a text, expected a list"),
        ('[box]\ndevice = "cpu"\nabout = ""\n[box.budgets]\nx = 3\n', "is a whole number, expected an object"),
        ('[box]\ndevice = "cpu"\nabout = ""\nthreads = "two"\n', "is a text, expected a whole number"),
        ('[box]\ndevice = "cpu"\nabout = ""\nthreads = 1.5\n', "is a number, expected a whole number"),
        ('[box]\ndevice = "cpu"\nabout = ""\nthreads = true\n', "is true or false, expected a whole number"),
        ('[box]\ndevice = "cpu"\nabout = ""\nprice_per_hour = -1\n', "Expected `float` >= 0"),
        ('[box]\ndevice = "cpu"\nabout = ""\nprice_per_hour = nan\n', "nan is not a finite number"),
        ('[box]\ndevice = "cpu"\nabout = ""\narchitecture = "x86"\n', "Invalid enum value 'x86'"),
        ('[box]\ndevice = "cpu"\nabout = ""\ninstruction_sets = ["avx2"]\n', "instruction_sets of no architecture"),
        (
            '[box]\ndevice = "cpu"\nabout = ""\narchitecture = "aarch64"\ninstruction_sets = ["avx2"]\n',
            "no aarch64 has avx2",
        ),
        ('[box]\ndevice = "cpu"\nabout = ""\nthread = 1\n', "unknown name at .*target box: 'thread'"),
        ("box = [1]\n", "is a list, expected an object"),
        ('[box]\ndevice = "cpu"\nabout = ""\nmemory_mb = 1000000000000000000000\n', "Expected `int` <= 2147483647"),
        ('[box]\ndevice = "cpu"\nabout = ""\nprice_per_hour = 1e308\n', "Expected `float` <= "),
        ('[box]\ndevice = "cpu"\nabout = ""\ndownload_mbps = 1e-300\n', "Expected `float` >= 0.001"),
        ('[box]\ndevice = "webgpu"\nabout = ""\n', 'transport "here" has none'),
        ('[box]\ndevice = "webgpu"\nabout = ""\ntransport = "node"\n', "Node has none"),
        ('[box]\ndevice = "cuda"\nabout = ""\ntransport = "node"\n', "is a cuda device, and a node has none"),
        ('[box]\ndevice = "openvino-gpu"\nabout = ""\ntransport = "browser"\n', "and a browser has none"),
        ('["till,box"]\ndevice = "cpu"\nabout = ""\n', "has a comma in its name"),
    ],
)
def test_a_wrong_target_file_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "t.toml").write_text(content)
    with pytest.raises(MctError, match=says):
        load_targets(tmp_path / "t.toml")


def test_a_target_may_have_limits_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "t.toml"
    own.write_text('[box]\ndevice = "cpu"\nabout = ""\n[box.budgets.intent-router]\np95_ms = 40.0\n')
    box, budget = find_target("box", own), find_budget("intent-router")
    found = budget_on(budget, box)
    assert (found.p95_ms, found.slices, found.quality_at_least) == (40.0, budget.slices, budget.quality_at_least)
    assert budget_on(find_budget("sentiment"), box) == find_budget("sentiment")


def test_of_a_target_s_limits_a_gate_takes_those_that_ask_for_more(tmp_path: Path) -> None:
    """Each in its own direction; a second way to meet the headline limit would ask for less."""
    own = tmp_path / "t.toml"
    limits = (
        'p95_ms = 40.0\nsize_mb = 5.0\nquality_at_least = 0.5\nquality_max_drop = 0.5\nslices = ["b"]\n'
        "slice_max_drop = 0.5\nmetric_max_drop = { one = 0.5, three = 0.3 }\n"
        "false_alarms = { a = 0.9, b = 0.2 }\nfalse_alarm_max_drop = 0.5\n"
    )
    own.write_text(f'[box]\ndevice = "cpu"\nabout = ""\n[box.budgets.mine]\n{limits}')
    mine = Budget(
        "mine", "sequence-classification", p95_ms=15.0, quality_at_least=0.9, slices=("a",), slice_max_drop=0.01,
        metric_max_drop={"one": 0.1, "two": 0.2}, false_alarms={"a": 0.1}, false_alarm_max_drop=0.02,
    )  # fmt: skip
    more = replace(
        mine, size_mb=5.0, slices=("a", "b"), metric_max_drop={"one": 0.1, "two": 0.2, "three": 0.3},
        false_alarms={"a": 0.1, "b": 0.2},
    )  # fmt: skip
    box = find_target("box", own)
    assert stricter_on(mine, box) == more
    headline = stricter_on(Budget("mine", "sequence-classification", quality_max_drop=0.9), box)
    assert (headline.quality_at_least, headline.quality_max_drop, headline.p95_ms) == (None, 0.5, 40.0)


@pytest.mark.parametrize(
    ("changed", "loosened"),
    [
        ({}, ()), ({"p95_ms": 9999.0}, ("p95_ms",)), ({"p95_ms": None}, ("p95_ms",)), ({"p95_ms": 1.0}, ()),
        ({"quality_at_least": 0.5}, ("quality_at_least",)), ({"quality_at_least": None}, ()),
        ({"quality_at_least": None, "quality_max_drop": None}, ("quality_at_least", "quality_max_drop")),
        ({"slices": ("b",)}, ("slices",)), ({"slices": ("b", "a", "c")}, ()),
        ({"metric_max_drop": {}}, ("metric_max_drop",)), ({"metric_max_drop": {"f1": 0.2}}, ("metric_max_drop",)),
        ({"size_mb": 5.0}, ()),
    ],
)  # fmt: skip
def test_the_limits_that_ask_for_less_are_named(changed: dict[str, Any], loosened: tuple[str, ...]) -> None:
    asked = Budget(
        "mine", "sequence-classification", p95_ms=15.0, quality_at_least=0.9, quality_max_drop=0.01, slices=("a", "b"),
        slice_max_drop=0.01, metric_max_drop={"f1": 0.1},
    )  # fmt: skip
    assert looser_limits(replace(asked, **changed), asked) == loosened


def test_a_target_s_limits_of_a_budget_that_is_none_are_refused(run_mct: RunMct, tmp_path: Path) -> None:
    own = tmp_path / "t.toml"
    own.write_text('[box]\ndevice = "cpu"\nabout = ""\n[box.budgets.intent-routr]\np95_ms = 40.0\n')
    done = run_mct("bench", tmp_path, "--target", "box", "--targets", own)
    assert done.returncode == 2 and "unknown budget 'intent-routr'" in done.stderr and "hint:" in done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("p95_msec = 40.0", "unknown name at target box: budget intent-router: 'p95_msec'"),
        ("p95_ms = -1.0", "Expected `float` > 0"),
        ('task = "causal-lm"', "changes the task"),
        ('name = "other"', "changes the name"),
    ],
)
def test_a_target_s_wrong_limits_are_refused(line: str, says: str, tmp_path: Path) -> None:
    own = tmp_path / "t.toml"
    own.write_text(f'[box]\ndevice = "cpu"\nabout = ""\n[box.budgets.intent-router]\n{line}\n')
    with pytest.raises(MctError, match=says):
        budget_on(find_budget("intent-router"), find_target("box", own))


@pytest.mark.parametrize("names", ["", " ", ",", "cpu,", "cpu,,cpu-1"])
def test_a_target_without_a_name_is_said_to_be_one(names: str) -> None:
    with pytest.raises(MctError, match="leaves a target without its name"):
        find_targets(names)


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(MctError) as budget:
        find_budget("intent-ruoter")
    with pytest.raises(MctError) as target:
        find_target("gpuu")
    assert "did you mean" in budget.value.hint and "intent-router" in budget.value.hint
    assert "did you mean" in target.value.hint and "gpu" in target.value.hint


def machine(**facts: object) -> Machine:
    plain = {
        "cpu": "x", "architecture": "x86_64", "instruction_sets": (), "online_cpus": 64, "affinity_cpus": 8,
        "quota_cpus": None, "memory_mb": 1000, "system": "Linux",
    }  # fmt: skip
    return Machine(**(plain | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(("quota", "threads"), [(None, 8), (2.0, 2), (2.9, 2), (0.5, 1), (100.0, 8)])
def test_threads_follow_the_tighter_of_quota_and_affinity(quota: float | None, threads: int) -> None:
    assert machine(quota_cpus=quota).usable_threads == threads


def test_this_machine_can_be_read() -> None:
    found = probe_machine()
    assert found.cpu and found.memory_mb > 0
    assert 1 <= found.usable_threads <= found.online_cpus


def test_each_format_has_its_runtime() -> None:
    assert [runtime_for(runtime.format) for runtime in RUNTIMES] == list(RUNTIMES)
    with pytest.raises(MctError, match="onx"):
        runtime_for("onx")


def test_an_unknown_instruction_set_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_text('[box]\ndevice = "cpu"\nabout = ""\narchitecture = "x86_64"\ninstruction_sets = ["avx512-vnni"]')
    with pytest.raises(MctError, match="instruction set in target box") as refusal:
        machine_of(find_target("box", path))
    assert "avx512_vnni" in refusal.value.hint


def test_a_runtime_that_nobody_knows_is_no_target(run_mct: RunMct, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[box]\ndevice = "cpu"\nabout = ""\nruntimes = ["onnxruntim"]\n')
    done = run_mct("targets", "list", "--targets", own)
    assert done.returncode == 2 and "unknown runtime in target box 'onnxruntim'" in done.stderr
    assert "onnxruntime" in done.stderr.splitlines()[1]
