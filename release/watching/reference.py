"""What production is held against: the evidence by which a release was promoted, or a log of the time before.

A stored bench knows lengths, answers and latency of its test set. That is traffic only where the test set was drawn
from it; a log of the canary, or of the weeks before, is the better reference, and the only one for confidence and
deferral.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mct import MctError
from mct.bench.samples.measurement import Measurement, per_process_ms
from mct.models.data.declared import read_bytes
from mct.models.tables import load
from mct.release.promotion.gate_values import verdict_about
from mct.release.promotion.releases import Release
from mct.release.promotion.store import Store
from mct.release.watching.drift import Count
from mct.release.watching.log import Log, Row, in_order, read_log
from mct.release.watching.signals import Cuts, Facts, Lengths, count, cuts_of, facts_of, flags_of, p95_of
from mct.release.watching.slow import Trace, trace_of

if TYPE_CHECKING:
    from mct.bench.store.samples_file import Samples

TAIL = 0.95
BOTH = "keep a result and its samples together, or give --reference LOG"


@dataclass(frozen=True)
class Reference:
    """Shares of every signal that is known, where they are cut, and from where on a request is slow.

    `key` is one SHA-256 over all that: looks with another reference are another series. `logs` are those that it was
    made of, if it was, and `slow` how slowly each signal varied in them.
    """

    of: str
    cuts: Cuts
    counts: Mapping[str, Mapping[str, Count]]
    p95_ms: float | None
    slow_ms: float | None
    logs: tuple[Log, ...] = ()
    slow: Mapping[str, Trace] = field(default_factory=dict)

    @property
    def too_short(self) -> tuple[str, ...]:
        """The signals that vary so slowly that it does not tell by how much."""
        return tuple(name for name, trace in self.slow.items() if trace.is_too_short())

    @property
    def key(self) -> str:
        """What tells references apart."""
        said = repr((dict(self.cuts), {name: dict(each) for name, each in self.counts.items()}, self.slow_ms))
        return hashlib.sha256(said.encode()).hexdigest()


def of_logs(paths: Sequence[Path], lengths: Lengths | None, margin: float) -> Reference:
    """Logs of the time before. `margin` is how much slower than their P95 a request may be, as a share."""
    logs = [read_log(path) for path in paths]
    rows = in_order([row for log in logs for row in log.rows])
    found = of_facts(", ".join(log.name for log in logs), facts_of(rows, lengths), margin)
    return replace(found, logs=tuple(logs))


def of_release(store: Store, release: Release, margin: float) -> Reference:
    """The newest result among the evidence of a release's promotion, or of the last look at it."""
    track = store.track(release.name)
    moved = [move.verdict for _, move in track.moves(release.version) if move.verdict]
    looked = [look.verdict for _, look in track.looks(release.version)]
    for digest in (*reversed(moved), *reversed(looked)):
        verdict = verdict_about(store, digest, release)
        samples = {
            each.created + each.name: each for line in verdict.lines for each in line.evidence if each.kind == "samples"
        }
        if samples:
            newest = samples[max(samples)]
            return _of_samples(newest.name, store.evidence(newest.sha256), release.digest, margin)
    raise MctError(
        f"no evidence of {release.ref} holds a measurement", "give a log of the time before: --reference LOG"
    )


def of_results(folder: Path, digest: str, margin: float) -> Reference:
    """The newest result of an artifact in a store of results."""
    from mct.release.promotion.tries import attempts_in

    whole = [each for each in attempts_in([folder], digest) if each.path is not None]
    if not whole:
        raise MctError(
            f"{folder} holds no result of this artifact", "measure it with mct bench, or give --reference LOG"
        )
    path = whole[-1].path
    assert path is not None
    samples = path.with_name(f"{whole[-1].run.id}.samples.jsonl.gz")
    return _of_samples(samples.name, read_bytes(samples, BOTH), digest, margin)


def _of_samples(name: str, content: bytes, digest: str, margin: float) -> Reference:
    from mct.bench.store.samples_file import read_samples

    with tempfile.TemporaryDirectory(prefix="mct-watch-") as scratch:
        path = Path(scratch) / name
        path.write_bytes(content)
        samples: Samples = read_samples(path)
    measured = next((each for each in samples.measurements if each.subject.digest == digest), None)
    if measured is None:
        raise MctError(f"{name} holds no samples of this artifact", "measure it again, or give --reference LOG")
    rows = _rows_of(measured)
    reference = of_facts(
        f"{samples.question.data.name} in {name.partition('.')[0]}", facts_of(rows, None, in_time=False), margin
    )
    estimate = load("mct.bench.statistics.percentiles:estimate_percentile")(per_process_ms(measured.blocks), TAIL)
    if estimate is None:
        return reference
    return Reference(reference.of, reference.cuts, reference.counts, estimate.value, estimate.high * (1 + margin))


def _rows_of(measured: Measurement) -> list[Row]:
    """The answers of a bench as rows of a log."""
    if measured.answers is None:
        return []
    groups: Sequence[int | None] = measured.groups or (None,) * len(measured.answers.values)
    return [
        Row(tokens=tokens, answer=answer, group=group)
        for tokens, answer, group in zip(measured.answers.tokens, measured.answers.values, groups, strict=True)
    ]


def of_facts(of: str, facts: Facts, margin: float) -> Reference:
    """What some rows of the time before come to."""
    cuts = cuts_of(facts)
    p95 = p95_of(facts, 1.0)
    slow = None if p95 is None else p95[2] * (1 + margin)
    told, latency_ms = flags_of(facts, cuts, slow), None if p95 is None else p95[0]
    slowly = {name: trace_of(flags) for name, (flags, _) in told.items()} if facts.in_time else {}
    return Reference(of, cuts, count(facts, cuts, slow), latency_ms, slow, slow=slowly)
