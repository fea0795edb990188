"""The result of a run as plain values: what bench/result.schema.json lays down, computed from the raw measurements.

`Question` is the question a run answers; with the measurements it gives the whole result, so that a stored run can be
computed again from its samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from mct.bench.judge.cascade import assess_cascade
from mct.bench.judge.choice import choose
from mct.bench.judge.latency import Latency, summarise
from mct.bench.judge.lengths import by_length
from mct.bench.judge.noise import assess
from mct.bench.judge.quality import score, slices_of
from mct.bench.judge.roofline import limit_from_inputs
from mct.bench.judge.verdict import judge
from mct.bench.judge.writing import summarise_writing
from mct.bench.measure.pairs import ratios, shared_rounds
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Measurement
from mct.bench.store.web import summarise_web
from mct.models.data.declared import Count, Digest, Name
from mct.targets.budget import Budget
from mct.targets.target import Target

SCHEMA = 2
KIND = "mct-bench"
COLD_SHARE = 0.5
"""A start was cold when it read at least this share of the artifact's size from disk."""

# Also the name of the run's files.
RunId = Annotated[str, Meta(pattern="^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$")]


@dataclass(frozen=True)
class Data:
    """Which evaluation set: file name, number of rows, SHA-256 of its bytes.

    `fields` says which column was read as which ({"label": "intent"}), where some were told; it is written only then.
    """

    name: Name
    rows: Count
    sha256: Digest
    fields: Mapping[Name, Name] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As results have it."""
        found = {"name": self.name, "rows": self.rows, "sha256": self.sha256}
        return found | ({"fields": dict(self.fields)} if self.fields else {})


@dataclass(frozen=True)
class Question:
    """What a run was to find out, and where it ran.

    `baseline` is the name of the subject that relative limits refer to; `environments` holds one per subject's name.
    `limit` is what `mct.bench.judge.roofline.limit_inputs` gives, None where the machine's limit is not known.
    """

    data: Data
    plan: BenchPlan
    target: Target | None
    budget: Budget | None
    baseline: str | None
    environments: Mapping[str, Mapping[str, Any]]
    limit: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Identity:
    """A run's name, when it began (ISO 8601, UTC) and by which mct."""

    id: RunId
    created: Name
    mct_version: Name

    @property
    def samples(self) -> str:
        """File name of the raw values."""
        return f"{self.id}.samples.jsonl.gz"


def result_json(identity: Identity, question: Question, measurements: Sequence[Measurement]) -> dict[str, Any]:
    """The whole result, JSON-able, valid by bench/result.schema.json."""
    baseline = next((each for each in measurements if each.subject.name == question.baseline), None)
    return {
        "schema": SCHEMA,
        "kind": KIND,
        **asdict(identity),
        **question_json(question),
        "samples": identity.samples,
        "choice": None
        if question.budget is None
        else choose(measurements, question.budget, baseline, question.target).as_json(),
        "artifacts": [_entry(identity, question, each, baseline) for each in measurements],
    }


def question_json(question: Question) -> dict[str, Any]:
    """The question without the environments, which stand with each artifact."""
    target, budget = question.target, question.budget
    return {
        "data": question.data.as_json(),
        "plan": asdict(question.plan) | {"affinity": list(question.plan.affinity)},
        "target": None if target is None else target.as_json(),
        "budget": None if budget is None else _budget_json(budget),
        "baseline": question.baseline,
        "limit": question.limit,
    }


def _budget_json(budget: Budget) -> dict[str, Any]:
    """Plain values, as JSON gives them back."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(budget).items()}


def _entry(
    identity: Identity, question: Question, measured: Measurement, baseline: Measurement | None
) -> dict[str, Any]:
    subject, failure = measured.subject, measured.failure
    latency, model_only = summarise(measured.blocks), summarise(measured.blocks, model_only=True)
    slices = () if question.budget is None else slices_of(question.budget, measured)
    false_alarms = {} if question.budget is None else question.budget.false_alarms
    # USD for 1,000 requests, made one at a time on the whole target: 1,000 requests take `mean_ms` seconds.
    price = None if question.target is None else question.target.price_per_hour
    limit_ms = None if question.budget is None else question.budget.p95_ms
    quality, stability = score(measured, baseline, slices, false_alarms), assess(measured.blocks)
    return {
        "artifact": subject.name,
        "path": str(subject.path),
        "digest": subject.digest,
        "format": subject.format,
        "precision": subject.precision,
        "runtime": "onnxruntime-web" if any(start.stages_ms for start in measured.starts) else subject.runtime,
        "task": subject.task,
        **({} if subject.origin is None else {"origin": subject.origin.as_json()}),
        "latency": None if latency is None else latency.as_json(),
        "speedup": _speedup(measured, baseline),
        "model_only": None if model_only is None else model_only.as_json(),
        "limit": _limit(question, measured, model_only),
        "tokens": _tokens(measured),
        "writing": summarise_writing(measured.blocks),
        "cascade": None if (cascade := assess_cascade(measured, limit_ms)) is None else cascade.as_json(),
        "by_length": [group.as_json() for group in by_length(measured.blocks)],
        "quality": None if quality is None else quality.as_json(),
        "size_mb": subject.size_mb,
        **_start_costs(measured),
        "throttled_s": _throttled_s(measured),
        **_web(question, measured),
        "cost_per_1000": None if price is None or latency is None else price / 3600 * latency.mean_ms,
        **_energy(measured),
        **_gpu(measured),
        "stability": None if stability is None else stability.as_json(),
        "verdict": None if question.budget is None else judge(measured, question.budget, baseline).as_json(),
        **({"lost": [asdict(each) for each in measured.lost]} if measured.lost else {}),
        "failure": None if failure is None else asdict(failure) | {"stderr": list(failure.stderr)},
        "environment": dict(question.environments[subject.name]),
        "samples": identity.samples,
    }


def _web(question: Question, measured: Measurement) -> dict[str, Any]:
    """Of what ran in JavaScript; absent otherwise."""
    found = summarise_web(measured, None if question.target is None else question.target.download_mbps)
    return {} if found is None else {"web": found}


def _speedup(measured: Measurement, baseline: Measurement | None) -> dict[str, Any] | None:
    """How many times faster than the baseline, from rounds that both took turns in; None where there are too few."""
    if baseline is None or baseline is measured or len(shared_rounds(measured.blocks, baseline.blocks)) < 2:
        return None
    of = dict(zip(("p50", "p95"), ratios(measured.blocks, baseline.blocks), strict=True))
    times = {name: round(ratio.value, 4) for name, ratio in of.items()}
    return times | {f"{name}_ci": [round(ratio.low, 4), round(ratio.high, 4)] for name, ratio in of.items()}


def _limit(question: Question, measured: Measurement, model_only: Latency | None) -> dict[str, Any] | None:
    if question.limit is None or measured.answers is None:
        return None
    limit = limit_from_inputs(question.limit, measured.subject, measured.answers.tokens)
    p50 = None if model_only is None else model_only.p50
    return None if limit is None else limit.as_json(None if p50 is None else p50.value)


def _start_costs(measured: Measurement) -> dict[str, Any]:
    # Only the first round drops the files from the page cache; whether that worked is seen from what was read.
    starts, cold_mb = measured.starts, COLD_SHARE * measured.subject.size_mb
    cold = [start for start in starts if start.round == 0 and (start.read_mb or 0.0) >= cold_mb > 0]
    warm = [start for start in starts if start not in cold] or starts
    warm_up = {
        "requests": max((start.warm_up_requests for start in starts), default=0),
        "seconds": round(max((start.warm_up_s for start in starts), default=0.0), 3),
        "ended": all(start.warm_up_ended for start in starts),
    }
    return {
        "load_ms": _middle([start.load_ms for start in warm]),
        "load_cold_ms": _middle([start.load_ms for start in cold]),
        "import_ms": _middle([start.import_ms for start in warm]),
        "first_call_ms": _middle([start.first_call_ms for start in warm]),
        "peak_rss_mb": None if measured.peak_rss_mb is None else round(measured.peak_rss_mb, 3),
        "warm_up": warm_up if starts else None,
    }


def _middle(values: Sequence[float]) -> float | None:
    return round(median(values), 3) if values else None


def _tokens(measured: Measurement) -> dict[str, int] | None:
    if measured.answers is None:
        return None
    lengths = np.sort(np.asarray(measured.answers.tokens))
    p50, p95 = np.quantile(lengths, [0.50, 0.95], method="higher")
    return {"min": int(lengths[0]), "p50": int(p50), "p95": int(p95), "max": int(lengths[-1])}


def _throttled_s(measured: Measurement) -> float | None:
    """How long the quota stopped it while it was timed; None where no quota is, or it is not counted."""
    stopped = [block.throttled_s for block in measured.blocks if block.throttled_s is not None]
    return round(sum(stopped), 6) if stopped else None


def _gpu(measured: Measurement) -> dict[str, Any]:
    """What the GPU used and was at, over all blocks; absent where none computed it, or it tells nothing."""
    used = [block.gpu for block in measured.blocks if block.gpu is not None]
    if not used:
        return {}
    clocks = [each.clock_mhz for each in used if each.clock_mhz is not None]
    energy = [each.energy_mj for each in used if each.energy_mj is not None]
    whole = len(energy) == len(measured.blocks)
    return {
        "gpu": {
            "energy_per_request_mj": round(sum(energy) / measured.requests, 4) if whole else None,
            "power_w": _middle([each.power_w for each in used if each.power_w is not None]),
            "clock_mhz": [min(clocks), max(clocks)] if clocks else None,
            "memory_mb": max((each.memory_mb for each in used if each.memory_mb is not None), default=None),
            "temperature_c": max((each.temperature_c for each in used if each.temperature_c is not None), default=None),
            "slowed_by": sorted({reason for each in used for reason in each.slowed_by}),
        }
    }


def _energy(measured: Measurement) -> dict[str, float]:
    """Millijoules per request; absent where any block's energy is unknown."""
    spent = [block.energy_uj for block in measured.blocks]
    if not spent or any(energy is None for energy in spent):
        return {}
    return {"energy_per_request_mj": round(sum(energy or 0 for energy in spent) / 1e3 / measured.requests, 4)}
