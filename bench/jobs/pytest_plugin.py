"""The pytest plugin: the fixture `mct_bench` measures an artifact inside a test and fails the test on a regression.

    def test_router(mct_bench):
        mct_bench("artifacts/onnx-int8", data="eval.jsonl", budget="intent-router", max_seconds=20)

Requests are timed by mct's own fresh worker processes, not in this one. pytest-benchmark is given every one of them, so
that its table, `--benchmark-autosave`, `--benchmark-compare` and `pytest-benchmark compare` work; what it cannot do is
done here: judging P95 and paired quality, by interval, against the budget, the base's artifact or a stored run.

pytest loads this file in every project where mct is installed, so it imports pytest and nothing else until a test
asks for the fixture.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mct.bench.jobs.guard import Finding, Watch

BASELINES = ".mct/baselines"
MAX_SECONDS = 20.0

_ticks = pytest.StashKey[list[float]]()
_findings = pytest.StashKey[list[tuple[str, "Finding"]]]()


class MctWarning(pytest.PytestWarning):
    """A regression could be neither shown nor excluded, or nothing was there to compare with."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, and their lasting form in the project's pytest settings."""
    group = parser.getgroup("mct", "mct: model artifacts, benched and gated")
    group.addoption("--mct-baseline", metavar="PATH", help="Stored run, or folder of stored runs, to compare with.")
    group.addoption("--mct-store", action="store_true", help="Store what is measured as the new baseline.")
    group.addoption("--mct-strict", action="store_true", help="Fail what cannot be decided, too.")
    parser.addini("mct_baseline", f"As --mct-baseline. By default {BASELINES} below the root folder.", default="")
    parser.addini("mct_store", "As --mct-store.", type="bool", default=False)
    parser.addini("mct_strict", "As --mct-strict.", type="bool", default=False)


class WithoutBenchmark:
    """Stands in where pytest-benchmark is missing or turned off (`-p no:benchmark`)."""

    @pytest.fixture
    def mct_bench(self) -> None:
        """Say what is missing."""
        from mct.models.tables import pip_line

        pytest.fail(f"mct_bench keeps its numbers in pytest-benchmark\nhint: {pip_line('pytest')}", pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Without pytest-benchmark the fixture says so; pytest's own message would be about a fixture nobody asked for."""
    if not config.pluginmanager.hasplugin("benchmark"):
        config.pluginmanager.register(WithoutBenchmark(), "mct-without-benchmark")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give pytest-benchmark a clock that replays: its documented way to time by something other than this process.

    The clock reads off, from the end, what is put into the list.
    """
    if "mct_bench" not in getattr(item, "fixturenames", ()):
        return
    ticks: list[float] = []
    item.stash[_ticks] = ticks

    def mct_worker_clock() -> float:
        return ticks.pop()

    own = item.get_closest_marker("benchmark")
    settings = (dict(own.kwargs) if own else {}) | {"timer": mct_worker_clock}
    item.add_marker(pytest.mark.benchmark(**settings), append=False)


@pytest.fixture
def mct_bench(request: pytest.FixtureRequest, benchmark: Any) -> Callable[..., Finding]:
    """Measure an artifact, keep its latencies in pytest-benchmark, and fail the test if it is worse than it may be.

    Call it once per test: `mct_bench(artifact, data=…, budget=…, baseline=…, max_seconds=…, max_slowdown=…)`. Paths are
    relative to the project's root folder. `baseline` is the artifact (or checkpoint) to compare with, measured in turns
    with this one, which finds differences of a few per cent; without it the run that `--mct-store` kept is compared
    with. `max_slowdown` is the share by which P50 and P95 may be slower than the baseline's (a tenth), or P95 than the
    kept run's (a quarter: two jobs on one machine differ by as much). `budget` is a budget's name, from `budgets` (a
    TOML file) or built in. `fields` renames columns of the data.
    Returns what was found: `outcome`, `lines`, and `entry`, the artifact's result as `mct bench --json` writes it.
    """

    def bench(
        artifact: str | Path,
        *,
        data: str | Path,
        budget: str | None = None,
        baseline: str | Path | None = None,
        max_seconds: float = MAX_SECONDS,
        max_slowdown: float | None = None,
        budgets: str | Path | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Finding:
        __tracebackhide__ = True
        from mct.bench.jobs.guard import Watch

        if benchmark.disabled:
            pytest.skip("benchmarks are disabled (--benchmark-disable, or pytest-xdist): mct_bench measured nothing")
        root = request.config.rootpath
        watch = Watch(
            artifact=root / artifact,
            data=root / data,
            budget=budget,
            baseline=None if baseline is None else root / baseline,
            max_seconds=max_seconds,
            budgets=None if budgets is None else root / budgets,
            fields=fields or {},
            max_slowdown=max_slowdown,
        )
        finding = _measure(request, watch)
        benchmark.extra_info["mct"] = finding.summary()
        request.node.stash[_ticks][:] = [tick for seconds in reversed(finding.seconds) for tick in (seconds, 0.0)]
        benchmark.pedantic(lambda: None, rounds=len(finding.seconds))  # every request is a round by our clock
        _judge(request, finding)
        return finding

    return bench


def _measure(request: pytest.FixtureRequest, watch: Watch) -> Finding:
    __tracebackhide__ = True
    from mct import MctError
    from mct.bench.jobs.guard import BaselineStore, inspect

    config = request.config
    named = config.getoption("mct_baseline") or config.getini("mct_baseline")
    store = BaselineStore(
        path=config.rootpath / (named or BASELINES),
        name=re.sub(r"[^\w.\[\]-]+", "-", request.node.nodeid).strip("-"),
        must_exist=bool(named),
        keep_run=bool(config.getoption("mct_store") or config.getini("mct_store")),
    )
    try:
        return inspect(watch, store)
    except MctError as error:
        mendable = error
    pytest.fail(f"{mendable.message}\nhint: {mendable.hint}" if mendable.hint else mendable.message)


def _judge(request: pytest.FixtureRequest, finding: Finding) -> None:
    __tracebackhide__ = True
    config = request.config
    config.stash.setdefault(_findings, []).append((request.node.nodeid, finding))
    strict = config.getoption("mct_strict") or config.getini("mct_strict")
    if finding.outcome == "fail" or (strict and finding.outcome == "inconclusive"):
        pytest.fail(finding.describe())
    if finding.outcome == "inconclusive":
        warnings.warn(MctWarning(finding.describe()), stacklevel=3)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line per question of every benched artifact, after pytest-benchmark's table."""
    findings = config.stash.get(_findings, [])
    if not findings:
        return
    terminalreporter.section("mct")
    for nodeid, finding in findings:
        terminalreporter.write_line(f"{nodeid}: {finding.describe()}")
