"""How often an artifact was measured, and what a further try therefore costs.

Who measures again until it passes will pass: each run is another draw of the machine's luck. So every run counts that
could have served at this gate: those in the stores of results, those beside a result that the gate names and where mct
bench leaves them beside its file, those that were cut off, and those that an earlier look saw and that are gone, or lie
in another stage's results. The journal remembers them by their numbers, so deleting a result gives no try back. Runs
are counted by the artifact's digest and the target; not by the budget, since a result may be judged by any; and by the
test set only where the gate names one, and no earlier look for the same stage saw the run: another test set gives no
try back either.

Runs that were deleted before any gate looked, or left in a place that no gate looks at, are known to nobody: measuring
an artifact must not change its bytes, and `mct bench` knows no store of releases that it could write to.

Only the newest run is judged, and with the error that is left to its try: the first has four fifths of it, every later
one, j, has one fifth divided by j(j-1). These add up to the whole error however often one tries, so the chance that an
artifact which misses its limit ever passes is at most `ERROR`, as it is for one run outside of a gate (union bound: it
holds whatever runs have in common). alpha / k would not do: its sum over k has no bound. Pooling all runs would not,
either: who may stop when the pool looks well has looked as often.

Answers are the same in every run of one artifact on one test set, so for quality a try is another set of answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mct import MctError
from mct.bench.store.samples_file import PARTIAL
from mct.bench.store.store import RESULTS, list_results, read_result
from mct.models.data.declared import read_object
from mct.models.tasks.datasets import told_renames
from mct.release.promotion.gate_values import Question
from mct.release.promotion.releases import Looked, Run
from mct.release.promotion.store import Store

if TYPE_CHECKING:
    from mct.bench.store.samples_file import Samples

ERROR = 0.05
FIRST_SHARE = 0.8
UNNAMED = "-"
"""The target of a run that had none."""


@dataclass(frozen=True)
class Attempt:
    """One run of the artifact as a gate sees it. `path` is its result; None for one cut off, or gone.

    `names` are what the run calls the artifact: several where it measured copies. One without a target, as mct compare
    leaves it, is a try and shows nothing. Nor does one that is not the gate's to rest on (`rests`): the results that
    it names are others, or its test set was read otherwise; `fields` says which column was read as which.
    """

    run: Run
    path: Path | None = None
    names: tuple[str, ...] = ()
    created: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    rests: bool = True

    @property
    def shows(self) -> bool:
        """Whether a gate can rest on it."""
        return self.rests and self.run.target != UNNAMED


@dataclass(frozen=True)
class Attempts:
    """Every run that counts at a gate, oldest first: those that are `there`, and those that earlier looks alone saw.

    `targets` have to be shown: those that the gate names, else those of the runs that are there, and those that an
    earlier look for the same stage saw. `pinned` are the test sets that count, none where any does.
    What a look for another stage saw may lie in results that this gate does not read: it counts as a try, no more.
    """

    there: tuple[Attempt, ...]
    gone: tuple[Attempt, ...]
    targets: tuple[str, ...]
    pinned: frozenset[str]


def find_attempts(question: Question) -> Attempts:
    """The runs that count at a gate: on its targets, and on its test sets where it names some."""
    digest = question.release.digest
    on, pinned = question.gate.on, question.pinned
    looks = _looks_at(question.store, digest)

    def on_targets(attempts: Sequence[Attempt]) -> list[Attempt]:
        return [each for each in attempts if not on or each.run.target in on]

    def counted(attempts: Sequence[Attempt]) -> list[Attempt]:
        return [each for each in on_targets(attempts) if not pinned or each.run.data in pinned]

    places = question.paths(question.gate.results)
    found = attempts_in(places, digest, question.gate.fields)
    beside = attempts_in(_beside(question, places), digest, named=False)
    known = {(each.run.id, each.run.target) for each in found}
    found += [each for each in beside if (each.run.id, each.run.target) not in known]
    there = _with_answers(looks, counted(found))
    of_stage = on_targets(gone_since([look for look in looks if look.to == question.stage], there))
    of_others = counted(gone_since(looks, [*there, *of_stage]))
    targets = on or {each.run.target for each in (*there, *of_stage) if each.shows}
    return Attempts(tuple(there), (*of_stage, *of_others), tuple(sorted(set(targets))), pinned)


def _looks_at(store: Store, digest: str) -> list[Looked]:
    """Every look at an artifact in the whole store: another name or version gives no try back."""
    found = []
    for name in store.names():
        track = store.track(name)
        versions = {each.version for each in track.releases if each.digest == digest}
        events = [entry.event for entry in track.entries]
        found += [event for event in events if isinstance(event, Looked) and event.version in versions]
    return found


def _with_answers(looks: Sequence[Looked], attempts: Sequence[Attempt]) -> list[Attempt]:
    """Each run with the digest of its answers, from an earlier look where one knows it."""
    from mct.bench.store.reading import read_own_samples

    known = {(run.id, run.target): run.answers for look in looks for run in look.runs}
    found = []
    for each in attempts:
        answers = known.get((each.run.id, each.run.target), "")
        if each.path is not None and not answers:
            answers = answers_digest(read_own_samples(each.path, read_result(each.path)), each.names)
        found.append(replace(each, run=msgspec.structs.replace(each.run, answers=answers)))
    return found


def error_of_try(number: int) -> float:
    """What the try of this number (from 1) may err: over all tries it adds up to `ERROR`."""
    return ERROR * (FIRST_SHARE if number == 1 else (1 - FIRST_SHARE) / (number * (number - 1)))


def attempts_in(
    places: Sequence[Path], digest: str, fields: Mapping[str, str] | None = None, named: bool = True
) -> list[Attempt]:
    """Every run of an artifact in folders or files of results, oldest first; those cut off too.

    A gate can rest on those that were read by these `fields`, in places that it has `named`.

    MctError where a result is damaged: one that cannot be read cannot be counted.
    """
    found = {}
    for path in _results(places):
        result = _bench_result(path)
        names = tuple(each["artifact"] for each in result["artifacts"] if each["digest"] == digest) if result else ()
        if names:
            target = (result["target"] or {}).get("name", UNNAMED)
            run = Run(result["id"], target, result["data"]["sha256"])
            read_as = result["data"].get("fields", {})
            rests = named and told_renames(read_as) == told_renames(fields or {})
            found[run.id, run.target] = Attempt(run, path, names, result["created"], read_as, rests)
    for attempt in _cut_off(places, digest):
        found.setdefault((attempt.run.id, attempt.run.target), attempt)
    return [found[key] for key in sorted(found)]


def _beside(question: Question, places: Sequence[Path]) -> list[Path]:
    """The folders whose runs are tries, too: those around a file that a gate names, and where results go by default."""
    around = [place.parent for place in places if place.is_file()]
    return [each for each in dict.fromkeys([*around, question.home / RESULTS]) if each.is_dir()]


def gone_since(looks: Sequence[Looked], there: Sequence[Attempt]) -> list[Attempt]:
    """The runs that these looks saw and that are not there."""
    seen = {(run.id, run.target): run for look in looks for run in look.runs}
    for attempt in there:
        seen.pop((attempt.run.id, attempt.run.target), None)
    return [Attempt(seen[key]) for key in sorted(seen)]


def quality_tries(attempts: Sequence[Attempt]) -> int:
    """How many different sets of answers these runs gave; one that is not known counts as another."""
    known = {(attempt.run.data, attempt.run.answers) for attempt in attempts if attempt.run.answers}
    return max(1, len(known) + sum(not attempt.run.answers for attempt in attempts))


def answers_digest(samples: Samples, names: Sequence[str]) -> str:
    """One SHA-256 over all answers that these subjects gave in a run; "" where one gave none."""
    answers = [each.answers for each in samples.measurements if each.subject.name in names]
    values = [each.values for each in answers if each is not None]
    if len(values) < len(names):
        return ""
    said = values[0] if len(values) == 1 else values
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _results(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if not place.exists():
            raise MctError(f"there are no results at {place}", "make them with: mct bench, or correct release.toml")
        yield from list_results(place) if place.is_dir() else [place]


def _bench_result(path: Path) -> dict[str, Any]:
    """A result; empty for what is another kind of file."""
    value = read_object(path)
    return read_result(path) if value.get("kind") == "mct-bench" else {}


def _cut_off(places: Sequence[Path], digest: str) -> Iterator[Attempt]:
    """Runs that were begun and never finished: somebody may have seen enough of them."""
    from mct.bench.store.samples_file import read_samples

    for folder in filter(Path.is_dir, places):
        for part in sorted(folder.glob(f"*{PARTIAL}")):
            try:
                samples = read_samples(part)
            except MctError:  # killed before its first record: it has measured nothing
                continue
            target = samples.question.target.name if samples.question.target else UNNAMED
            if digest in {each.subject.digest for each in samples.measurements}:
                yield Attempt(Run(samples.identity.id, target, samples.question.data.sha256))
