"""A stored result as declared types: what `read_result` checks before a report, a gate or a comparison believes it.

The same shape as result.schema.json beside it, which tells it to other programs, and what a schema cannot say besides:
that an interval lies around its value, that a verdict is the worst of its lines. Reports read the plain values.
"""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from mct.bench.judge.line import Outcome, worst
from mct.bench.judge.roofline import Encoder
from mct.bench.samples.subject import Origin
from mct.bench.store.result import Data, RunId
from mct.models.data.declared import Amount, Count, Digest, Index, Name, Positive, Share
from mct.targets.budget import Budget
from mct.targets.limit import MachineLimit

Bounds = tuple[float, float]
Change = Annotated[float, Meta(ge=-1, le=1)]


class Latency(Struct, frozen=True, forbid_unknown_fields=True):
    """Percentiles in milliseconds, each None together with its interval where the samples do not carry it."""

    n: Count
    effective_n: Amount | None
    blocks: Count
    rounds: Count
    confidence: Share
    mean_ms: Positive
    p50_ms: Positive | None
    p50_ci_ms: Bounds | None
    p95_ms: Positive | None
    p95_ci_ms: Bounds | None
    p99_ms: Positive | None
    p99_ci_ms: Bounds | None

    def __post_init__(self) -> None:
        """Each interval lies around its percentile."""
        _require_around(self.p50_ms, self.p50_ci_ms)
        _require_around(self.p95_ms, self.p95_ci_ms)
        _require_around(self.p99_ms, self.p99_ci_ms)


class Compared(Struct, frozen=True, forbid_unknown_fields=True):
    """A metric, and how it changed."""

    n: Index
    value: Share | None
    baseline: Share | None
    delta: Change | None
    delta_ci: Bounds | None
    worse: Index | None
    better: Index | None

    def __post_init__(self) -> None:
        """A change is that of two values."""
        _require_ordered(self.delta_ci, self.delta, self.value, self.baseline)
        if self.delta is not None and None in (self.value, self.baseline):
            raise ValueError("a change needs two values")


class Bounded(Compared, frozen=True, forbid_unknown_fields=True):
    """One with an interval of its own."""

    value_ci: Bounds | None
    p_value: Share | None

    def __post_init__(self) -> None:
        """A change is that of two values, and an interval that of one."""
        _require_ordered(self.value_ci, self.value)
        super().__post_init__()


class Slice(Compared, frozen=True, forbid_unknown_fields=True):
    """Recall of one label, or the headline score where a row's field has one value."""

    name: Name


class Score(Bounded, frozen=True, forbid_unknown_fields=True):
    """A further score of a task kind."""

    name: Name


class Measured(Struct, frozen=True, forbid_unknown_fields=True):
    """A figure that is no share (nats a token, a margin of rewards), and how it changed."""

    name: Name
    n: Index
    value: float | None
    value_ci: Bounds | None
    baseline: float | None
    delta: float | None
    delta_ci: Bounds | None
    worse: Index | None
    better: Index | None
    p_value: Share | None

    def __post_init__(self) -> None:
        """A change is that of two values, and an interval that of one."""
        _require_ordered(self.value_ci, self.value)
        _require_ordered(self.delta_ci, self.delta, self.value, self.baseline)


class Quality(Bounded, frozen=True, forbid_unknown_fields=True):
    """The headline score, further scores and slices."""

    metric: Name
    others: list[Score]
    slices: list[Slice]
    perplexity: Annotated[float, Meta(ge=1)] | None
    amounts: list[Measured] = []


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """The least that a request can take on the machine."""

    tokens: Positive
    multiply_adds: Positive
    weights_mb: Positive
    compute_ms: Amount
    memory_ms: Amount
    threads: Count
    least_ms: Amount
    bound: Literal["compute", "memory"]
    share: Amount | None


class Speedup(Struct, frozen=True, forbid_unknown_fields=True):
    """How many times faster than the baseline."""

    p50: Positive
    p50_ci: Bounds
    p95: Positive
    p95_ci: Bounds

    def __post_init__(self) -> None:
        """Each interval lies around its ratio."""
        _require_around(self.p50, self.p50_ci)
        _require_around(self.p95, self.p95_ci)


class Tokens(Struct, frozen=True, forbid_unknown_fields=True):
    """Lengths of the requests."""

    min: Index
    p50: Index
    p95: Index
    max: Index


class Spread(Struct, frozen=True, forbid_unknown_fields=True):
    """Of many times, milliseconds."""

    p50_ms: Positive
    p95_ms: Positive | None
    p95_ci_ms: Bounds | None


class LengthGroup(Struct, frozen=True, forbid_unknown_fields=True):
    """Latency of requests of like length."""

    tokens: tuple[Index, Index]
    n: Count
    p50_ms: Positive
    p95_ms: Positive | None
    p95_ci_ms: Bounds | None


class Cascade(Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the work its second stage does, and P95 by that share."""

    deferred: Index
    of: Count
    upper: Share
    p95_ms: list[tuple[Share, Positive]]
    most: Share | None

    def __post_init__(self) -> None:
        """A share is of a whole, and its bound above it."""
        if not self.deferred <= self.of or self.upper < self.deferred / self.of:
            raise ValueError(f"{self.deferred} of {self.of} is not below {self.upper}")


class Writing(Struct, frozen=True, forbid_unknown_fields=True):
    """What a language model wrote."""

    new_tokens: Positive
    tokens_per_s: Positive
    first_token: Spread | None = None
    per_token: Spread | None = None
    prefill_tokens_per_s: Amount | None = None
    decode_tokens_per_s: Amount | None = None


class Download(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of what a page fetches, 10^6 bytes: as it is, and compressed."""

    name: Name
    raw_mb: Amount
    gzip_mb: Amount | None
    brotli_mb: Amount | None


class Native(Struct, frozen=True, forbid_unknown_fields=True):
    """Answers in JavaScript beside the native runtime's."""

    n: Index
    flips: Index
    unlike: Index
    unlike_flips: Index

    def __post_init__(self) -> None:
        """A part is no more than its whole."""
        if self.flips > self.n or self.unlike > self.n or self.unlike_flips > min(self.flips, self.unlike):
            raise ValueError("there are more flips than answers")


class Web(Struct, frozen=True, forbid_unknown_fields=True):
    """What ran in JavaScript: what a page fetches, how long its first answer takes, whether it answers the same."""

    downloads: list[Download]
    sent_mb: Amount | None
    mbps: Positive | None
    stages_ms: dict[Name, Amount]
    first_answer_ms: Amount
    downloaded_first_answer_ms: Amount | None
    native: Native | None


class WarmUp(Struct, frozen=True, forbid_unknown_fields=True):
    """How long warming up took at most."""

    requests: Index
    seconds: Amount
    ended: bool


class Stability(Struct, frozen=True, forbid_unknown_fields=True):
    """How quiet the machine was."""

    ok: bool
    reasons: list[str]
    stolen_share: Amount
    waited_share: Amount | None
    switches_per_request: Amount
    switches_per_s: Amount
    floor_p50: Amount | None
    floor_p95: Amount | None
    drift: Amount | None
    drift_p: Share | None = None


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """One limit, judged."""

    limit: Name
    measured: str
    outcome: Outcome
    reason: str


class Verdict(Struct, frozen=True, forbid_unknown_fields=True):
    """All limits, judged."""

    outcome: Outcome
    lines: list[Line]

    def __post_init__(self) -> None:
        """One line that fails is enough, and then one that is not decided."""
        found = worst((line.outcome for line in self.lines), of_none="pass")
        if self.outcome != found:
            raise ValueError(f"the outcome is {self.outcome}, the worst of its lines {found}")


class Failure(Struct, frozen=True, forbid_unknown_fields=True):
    """Why an artifact could not be measured."""

    message: str
    hint: str
    stderr: list[str]


class Lost(Struct, frozen=True, forbid_unknown_fields=True):
    """A connection that broke."""

    round: Index
    message: str


class Described(Struct, frozen=True):
    """The machine that an artifact was made for."""

    cpu: str
    architecture: str
    instruction_sets: list[str]


class Environment(Struct, frozen=True):
    """Where an artifact was measured; what is not named here is only shown."""

    fingerprint: Name
    cpu: str
    architecture: str
    instruction_sets: list[str]
    online_cpus: Count
    affinity_cpus: Count
    quota_cpus: Positive | None
    memory_mb: Index
    system: str
    python: str
    threads: Count
    affinity: list[Index]
    libraries: dict[str, str]
    artifact_digest: Digest
    data_sha256: Digest
    seed: int
    made_for: Described | UnsetType = UNSET
    memory_limit_mb: Count | None = None
    smt: str = "unknown"
    boost: str = "unknown"
    governor: str | None = None
    huge_pages: str = "unknown"
    threading: dict[str, str] = {}
    mct: str = ""
    commit: str | None = None


class Gpu(Struct, frozen=True, forbid_unknown_fields=True):
    """What a GPU used while it computed one artifact's answers; null where the card does not tell."""

    energy_per_request_mj: Amount | None
    power_w: Amount | None
    clock_mhz: tuple[Index, Index] | None
    memory_mb: Amount | None
    temperature_c: int | None
    slowed_by: list[Name]


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One artifact."""

    artifact: Name
    path: str
    digest: Digest
    format: Name
    precision: Name
    runtime: Name
    task: Name
    latency: Latency | None
    model_only: Latency | None
    tokens: Tokens | None
    writing: Writing | None
    quality: Quality | None
    size_mb: Amount
    load_ms: Amount | None
    load_cold_ms: Amount | None
    import_ms: Amount | None
    first_call_ms: Amount | None
    peak_rss_mb: Amount | None
    cost_per_1000: Amount | None
    warm_up: WarmUp | None
    stability: Stability | None
    verdict: Verdict | None
    failure: Failure | None
    environment: Environment
    samples: Name
    origin: Origin | None = None
    limit: Limit | None = None
    speedup: Speedup | None = None
    energy_per_request_mj: Amount = 0.0
    by_length: list[LengthGroup] = []
    cascade: Cascade | None = None
    throttled_s: Amount | None = None
    gpu: Gpu | None = None
    web: Web | None = None
    lost: list[Lost] = []


class TargetRow(Struct, frozen=True):
    """What it was to run on."""

    name: Name
    device: Name
    price_per_hour: Amount | None


class Rates(Struct, frozen=True, forbid_unknown_fields=True):
    """What the machine can do at best, and the shape of each model."""

    machine: MachineLimit
    models: dict[Name, Encoder | None]


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """How it was measured (`BenchPlan`), all of it: a default of this version need not be that of the one that ran."""

    threads: Count
    affinity: list[Index]
    seed: int
    limit_ms: Positive | None
    rounds: Count
    block_s: Positive
    max_seconds: Positive
    rigorous: bool
    new_tokens: Count
    memory_mb: Index = 0
    memory_by: Literal["", "cgroup v2", "cgroup v1", "rlimit"] = ""


class Choice(Struct, frozen=True, forbid_unknown_fields=True):
    """Which artifact to ship."""

    fastest: Name | None
    ties: list[Name]
    uncorrected: list[Name]
    considered: Index


class Result(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole run."""

    schema: Literal[2]
    kind: Literal["mct-bench"]
    id: RunId
    created: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
    mct_version: Name
    data: Data
    plan: Plan
    target: TargetRow | None
    budget: Budget | None
    baseline: Name | None
    samples: Name
    artifacts: Annotated[list[Entry], Meta(min_length=1)]
    limit: Rates | None = None
    choice: Choice | None = None

    def __post_init__(self) -> None:
        """Its parts are of one run: names differ, the baseline is one of them, the samples are its own."""
        names = [entry.artifact for entry in self.artifacts]
        if len(set(names)) < len(names):
            raise ValueError("two artifacts have one name")
        if self.baseline not in (None, *names):
            raise ValueError(f"the baseline {self.baseline!r} is none of its artifacts")
        if self.choice and not {self.choice.fastest, *self.choice.ties, *self.choice.uncorrected} <= {None, *names}:
            raise ValueError("the choice names an artifact that is none of the run's")
        path = PurePosixPath(self.samples)
        if path.is_absolute() or path.name != f"{self.id}.samples.jsonl.gz":
            raise ValueError(f"{self.samples!r} are not the samples of {self.id}")


def _require_around(value: float | None, bounds: Bounds | None) -> None:
    if (value is None) != (bounds is None) or (bounds and value and not bounds[0] <= value <= bounds[1]):
        raise ValueError(f"the interval {bounds} is not that of {value}")


def _require_ordered(bounds: Bounds | None, *needed: float | None) -> None:
    if bounds and (bounds[0] > bounds[1] or None in needed):
        raise ValueError(f"the interval {bounds} is that of no value")
