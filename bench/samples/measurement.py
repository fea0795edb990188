"""Raw values of a run, as the workers gave them: every statistic, score and verdict is computed from these.

They go to disk one record per line as they come, and come back the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mct import MctError
from mct.models.data.declared import Amount, Index, Name, Nanoseconds, Positive, declared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mct.bench.samples.subject import Subject

    Times = array[int]
else:
    Times = array  # no subscript at run time, where Python is older than 3.12


@dataclass(frozen=True)
class Start:
    """What one fresh process cost before it was timed. `read_mb` was really read from disk while the model was opened.

    `typical_ms` is the median request at the end of warm-up. `libraries` are the heavy ones that were imported.
    Where it runs in JavaScript, `stages_ms` says what loading was made of, and `downloads` how many bytes each of the
    files has that a page fetches, "raw" and as "gzip" and "brotli" send it.
    """

    round: Index
    import_ms: Amount
    load_ms: Amount
    first_call_ms: Amount
    read_mb: Amount | None
    peak_rss_mb: Amount
    bare_rss_mb: Amount
    warm_up_requests: Index
    warm_up_s: Amount
    warm_up_ended: bool
    typical_ms: Amount
    libraries: tuple[str, ...]
    stages_ms: Mapping[Name, Amount] = field(default_factory=dict)
    downloads: Mapping[Name, Mapping[Name, Nanoseconds]] = field(default_factory=dict)


@dataclass(frozen=True)
class GpuUse:
    """What a GPU used while a block ran (`energy_mj`), and what it was at in the end: None of what it does not tell.

    `memory_mb` (2^20 bytes) is what all processes hold on it; `slowed_by` is what kept its clock down, before or after.
    """

    energy_mj: Index | None
    power_w: Amount | None
    clock_mhz: Index | None
    memory_mb: Amount | None
    temperature_c: int | None
    slowed_by: tuple[Name, ...] = ()


@dataclass(frozen=True)
class Block:
    """One uninterrupted run of requests in one process: nanoseconds per request, in order, and what disturbed it.

    `stolen_s` is what other virtual machines took from its CPUs, `waited_s` the time its threads stood ready while
    other processes ran (None where the kernel does not count it); both add up over CPUs or threads, as `cpu_s` does.
    `throttled_s` is how long its control group was stopped for having used up its quota, `throttled` how often, and
    `peak_rss_mb` the most memory the process had held by the end.

    `tokens` is the length of each request. A language model wrote `new_tokens` in all of them, `written` in each, the
    first of these after `first_ns`. Of a cascade `deferred` is 1 for each request that went on to its second stage.
    `gpu` is there where one computed it and tells something.
    """

    round: Index
    position: Index
    end_to_end_ns: Times
    model_ns: Times
    wall_s: Positive
    cpu_s: Amount
    involuntary_switches: Index
    stolen_s: Amount
    waited_s: Amount | None
    minor_faults: Index
    major_faults: Index
    energy_uj: Nanoseconds | None = None
    new_tokens: Index | None = None
    throttled: Index | None = None
    throttled_s: Amount | None = None
    peak_rss_mb: Amount | None = None
    tokens: Times | None = None
    first_ns: Times | None = None
    written: Times | None = None
    gpu: GpuUse | None = None
    deferred: Times | None = None


@dataclass(frozen=True)
class Answers:
    """The answer to every example of the evaluation set, a JSON value, in file order; and the tokens of its request.

    `scores` says of some labels how much the model holds them for right, example by example. `deferred` says of a
    cascade which examples went to its second stage, () of all else. Where JavaScript answers, `native` is what the same
    artifact answers by this machine's own runtime (empty where that is not here), and `unlike` how many inputs of each
    example JavaScript's tokenizer cuts otherwise than Python's.
    """

    values: tuple[Any, ...]
    tokens: tuple[Index, ...]
    scores: Mapping[Name, tuple[float, ...]] = field(default_factory=dict)
    deferred: tuple[bool, ...] = ()
    native: tuple[Any, ...] = ()
    unlike: tuple[Index, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a subject could not be measured to the end; `stderr` is what its worker said last."""

    message: str
    hint: str = ""
    stderr: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lost:
    """A connection that broke in a round: what had been measured counts, and another process was started later."""

    round: Index
    message: str


@dataclass(frozen=True)
class Measurement:
    """Everything measured of one subject. `truth` is what is right, a JSON value for each example, in file order.

    `groups` numbers the examples that belong together; empty where each stands for itself. `fields` is what else their
    rows say (`mct.models.tasks.datasets.fields_beside`).
    """

    subject: Subject
    truth: tuple[Any, ...]
    starts: tuple[Start, ...] = ()
    blocks: tuple[Block, ...] = ()
    answers: Answers | None = None
    failure: Failure | None = None
    groups: tuple[Index, ...] = ()
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lost: tuple[Lost, ...] = ()

    @property
    def requests(self) -> int:
        """Timed requests over all blocks."""
        return sum(len(block.end_to_end_ns) for block in self.blocks)

    @property
    def peak_rss_mb(self) -> float | None:
        """The most memory that any of its processes ever held, 10^6 bytes; None where none was started."""
        seen = [start.peak_rss_mb for start in self.starts]
        seen += [block.peak_rss_mb for block in self.blocks if block.peak_rss_mb is not None]
        return max(seen, default=None)

    @property
    def rounds(self) -> int:
        """Fresh processes that were timed."""
        return len({block.round for block in self.blocks})


def per_process_ms(blocks: Sequence[Block], model_only: bool = False) -> list[NDArray[np.float64]]:
    """Latencies in milliseconds, one array per fresh process in time order: the unit that statistics resample.

    `model_only` picks the part that the runtime takes.
    """
    import numpy as np

    rounds = sorted({block.round for block in blocks})
    return [
        np.concatenate(
            [
                np.asarray(block.model_ns if model_only else block.end_to_end_ns, dtype=np.float64) / 1e6
                for block in blocks
                if block.round == number
            ]
        )
        for number in rounds
    ]


Record = Mapping[str, Any]
Value = Start | Block | Answers | Failure | Lost
KINDS: dict[str, type[Start] | type[Block] | type[Answers] | type[Failure] | type[Lost]] = {
    "start": Start,
    "block": Block,
    "answers": Answers,
    "failure": Failure,
    "lost": Lost,
}


def to_record(subject: str, value: Value) -> dict[str, Any]:
    """One JSON-able line: the subject's name, the kind of value, its fields."""
    kind = next(name for name, known in KINDS.items() if isinstance(value, known))
    fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
    return {"subject": subject, "kind": kind} | {
        name: list(item) if isinstance(item, array | tuple) else asdict(item) if isinstance(item, GpuUse) else item
        for name, item in fields.items()
    }


def from_record(record: Record, place: str) -> Value:
    """The value that `to_record` was given. MctError, naming the `place` of the record, where it is none such."""
    fields = {key: item for key, item in record.items() if key not in {"subject", "kind"}}
    kind = KINDS.get(record["kind"]) if isinstance(record.get("kind"), str) else None
    if kind is None:
        raise MctError(f"{place} is a record of an unknown kind", f"known: {', '.join(KINDS)}")
    value = declared(fields, kind, place)
    if isinstance(value, Block):
        # Every request has two times, the runtime's within the whole.
        whole, within = value.end_to_end_ns, value.model_ns
        if not 0 < len(whole) == len(within) or not all(
            0 < part <= time for time, part in zip(whole, within, strict=True)
        ):
            raise MctError(f"{place}: the block's times are not those of requests", "copy it again, or measure again")
        for each in (value.tokens, value.first_ns, value.written, value.deferred):
            if each is not None and len(each) != len(whole):
                raise MctError(f"{place}: the block tells of other requests than it times", "copy it again")
    return value
