"""What serving costs a month at a given load, on each target that has a price.

Machines = ceil(load / what one machine serves). What one serves is the lower end of a measured bracket (`mct bench
--find-max-load`, of this very artifact on that machine, within the budget's P95), else the share UTILISATION of what
one process answers one request after the other: queueing makes P95 climb steeply from there on, and a month has busy
hours. Only the target that was measured has a count; of others one machine is the least. Months are of HOURS hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mct import MctError
from mct.models.data.declared import Amount, Name, declared
from mct.release.decision.entries import Entry, asked_budget, find_entry, measured_budget
from mct.release.decision.evidence import MOST_QPS, Evidence
from mct.targets.target import CPU, Target, load_targets

HOURS = 730
UTILISATION = 0.5
LEAST_MS, MOST_MS = 1e-6, 1e9
"""Of a request: faster than a nanosecond, or slower than eleven days, none was timed."""
LEAST_QPS = 1e-6


class Found(Struct, frozen=True):
    """One row of a result of `mct bench --find-max-load`."""

    artifact: Name
    limit_ms: Amount
    meets_qps: Annotated[float, Meta(ge=0, le=MOST_QPS)]
    qps: Amount | None = None
    misses_qps: Amount | None = None


class _Environment(Struct, frozen=True):
    """What was served, and one digest over the machine, its threads and the libraries."""

    artifact_digest: str = ""
    fingerprint: str = ""


class MaxLoads(Struct, frozen=True):
    """A result of `mct bench --find-max-load`."""

    kind: Literal["mct-max-load"]
    results: tuple[Found, ...]
    environments: dict[str, _Environment] = {}


@dataclass(frozen=True)
class Cost:
    """One target: how much one machine serves (None where that was not measured), how many it takes, US dollars."""

    target: str
    price_per_hour: float
    qps_each: float | None
    machines: int | None
    per_month: float
    rests_on: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Costs:
    """The costs of what is to be promoted, on every target with a price; `limit` what it may cost a month.

    `faults` say why a highest load that the evidence names is none of this artifact, target or budget.
    """

    load_qps: float
    measured_on: str
    limit: float | None
    assumed: bool
    targets: tuple[Cost, ...]
    files: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def chosen(self) -> Cost | None:
        """The cost where it was measured; None where that target has no price."""
        return next((each for each in self.targets if each.target == self.measured_on and each.machines), None)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "load_qps": self.load_qps, "measured_on": self.measured_on, "limit_per_month": self.limit,
            "hours_a_month": HOURS, "utilisation": UTILISATION, "targets": [each.as_json() for each in self.targets],
        }  # fmt: skip


def costs_of(evidence: Evidence, load_qps: float, targets_file: Path | None) -> Costs:
    """What the artifact costs at `load_qps` on each target; MctError for a max-load result that is none."""
    budget, metric = evidence.named.budget, evidence.named.metric
    result = evidence.results.get(metric.result) if metric else None
    entry = find_entry(result, evidence.named.artifact)
    measured_on = result["target"]["name"] if result and result["target"] else ""
    loads = {target: name for target, name in (budget.max_load if budget else {}).items() if name in evidence.objects}
    targets = load_targets(targets_file)
    if result and result["target"] and measured_on not in targets:  # one of a file that is not at hand
        told = result["target"]
        targets[measured_on] = Target(measured_on, told["device"], "", price_per_hour=told["price_per_hour"])
    told = {target: _found(evidence, name, entry, target == measured_on) for target, name in loads.items()}
    found = [
        cost_on(target, entry, load_qps, measured_on == name, told[name][0] if name in told else None)
        for name, target in sorted(targets.items())
        if target.price_per_hour is not None
    ]
    return Costs(
        load_qps,
        measured_on,
        budget.cost_per_month if budget else None,
        bool(budget and budget.assumed),
        tuple(found),
        tuple(sorted(loads.values())),
        tuple(f"a highest load on {target}: {loads[target]} {fault}" for target, (_, fault) in told.items() if fault),
    )


def cost_on(target: Target, entry: Entry | None, load_qps: float, measured: bool, found: Found | None) -> Cost:
    """What one artifact costs on one target. MctError for a time a request that nobody measured."""
    price = target.price_per_hour or 0.0
    each, rests_on = None, "not measured there: one machine at the least"
    if found is not None and found.meets_qps >= LEAST_QPS:
        each = found.meets_qps
        rests_on = f"shown to meet P95 {found.limit_ms:g} ms at {each:.4g} requests a second"
    elif measured and entry and entry["latency"]:
        mean = entry["latency"]["mean_ms"]
        if not LEAST_MS <= mean <= MOST_MS:
            raise MctError(f"{entry['artifact']} is said to take {mean:g} ms a request", "measure it again: mct bench")
        each = UTILISATION * 1e3 / mean
        rests_on = f"assumed: busy {UTILISATION:.0%} of the time at {mean:.3g} ms a request on average"
    machines = None if each is None else max(1, ceil(load_qps / each))
    return Cost(target.name, price, each, machines, (machines or 1) * price * HOURS, rests_on)


def _found(evidence: Evidence, name: str, entry: Entry | None, measured: bool) -> tuple[Found | None, str]:
    """What a file says of the artifact, and "": or nothing, and why it says nothing of it, of the target or the budget.

    `measured` is whether it is to be of the target of the bench. MctError for a file that does not name the artifact.
    """
    loads = declared(evidence.objects[name], MaxLoads, str(evidence.path(name)))
    found = next((each for each in loads.results if each.artifact == evidence.named.artifact), None)
    if found is None:
        raise MctError(
            f"{evidence.path(name)} tells nothing of {evidence.named.artifact}", "name the result of that artifact"
        )
    served = loads.environments.get(found.artifact, _Environment())
    if entry is None or not served.artifact_digest or served.artifact_digest != entry["digest"]:
        return None, "is of another artifact of that name"
    if (served.fingerprint == entry["environment"]["fingerprint"]) is not measured:
        where = "another machine, other threads or libraries than the bench" if measured else "the machine of the bench"
        return None, f"is of {where}"
    limit_ms = _limit_ms(evidence)
    if limit_ms is None or found.limit_ms > limit_ms:
        asks = "has none" if limit_ms is None else f"asks {limit_ms:g} ms"
        return None, f"is of P95 {found.limit_ms:g} ms, and the budget {asks}"
    return found, ""


def _limit_ms(evidence: Evidence) -> float | None:
    """The P95 that the budget of the bench asks."""
    name = evidence.named.metric.result if evidence.named.metric else ""
    result = evidence.results.get(name)
    if not result or not result["budget"]:
        return None
    return (asked_budget(evidence, name) or measured_budget(evidence, name)).p95_ms


def same_target_cost(costs: Costs, entry: Entry, targets: Mapping[str, Target]) -> Cost | None:
    """What another artifact of the same result would cost, where that was measured."""
    target = targets.get(costs.measured_on or CPU)
    if target is None or target.price_per_hour is None:
        return None
    return cost_on(target, entry, costs.load_qps, measured=True, found=None)
