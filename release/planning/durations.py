"""How long a step takes here: from what the same stage took before on this disk, with a range, or as a stated guess.

Three sources, the nearest first: the journal that `mct plan --run` keeps of its own steps; the measured seconds in a
bench's raw values (what its processes spent starting, warming up and answering); the table of guesses below. A history
of other scenarios at the same size serves where this one's is missing, twice as wide.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mct import MctError
from mct.models.data.declared import Name, parse_json, read_bytes
from mct.models.writing.full_disk import full_disk_explained

JOURNAL = "durations.jsonl"
LEAST_S = 1.0
Seconds = Annotated[float, Meta(ge=0, le=1e10)]
Milliseconds = Annotated[float, Meta(ge=0, le=1e13)]
"""No step takes three centuries: such a line is none."""
ALONE = 2.0
"""A single run tells little of the next: half and twice as long are as likely as not."""
OF_OTHERS = 2.0

# Seconds on two cores of a small cloud machine, shortest and longest. Guesses: shown as such until there is a history.
GUESSES: dict[str, dict[str, tuple[float, float]]] = {
    "build": {"tiny": (5, 90), "small": (60, 1_800), "full": (3_600, 86_400)},
    "check": {"tiny": (2, 60), "small": (5, 300), "full": (30, 3_600)},
    "compress": {"tiny": (10, 90), "small": (30, 600), "full": (60, 1_800)},
    "bench": {"tiny": (40, 150), "small": (75, 600), "full": (75, 1_800)},
    "explain": {"tiny": (5, 120), "small": (30, 600), "full": (60, 3_600)},
    "gate": {"tiny": (1, 10), "small": (1, 30), "full": (1, 60)},
    "release": {"tiny": (1, 10), "small": (1, 30), "full": (1, 120)},
    "decide": {"tiny": (1, 5), "small": (1, 10), "full": (1, 20)},
}


class Done(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the journal: a step that ran to its end, and how long it took."""

    scenario: Name
    stage: Name
    size: Name
    seconds: Seconds
    cpu: str = ""


@dataclass(frozen=True)
class Expected:
    """Seconds that a step may take: `low` to `high`, most likely `likely`; and what that rests on."""

    low: float
    likely: float
    high: float
    of: Literal["history", "others", "guess"]
    runs: int = 0

    @property
    def source(self) -> str:
        """In words."""
        runs = f"{self.runs} run{'s' if self.runs != 1 else ''}"
        return {"history": f"{runs} here", "others": f"{runs} of others here", "guess": "a guess"}[self.of]


def read_journal(folder: Path) -> tuple[Done, ...]:
    """What the journal below `folder` tells; a line that is none (a kill cut it off) is passed over."""
    path = folder / JOURNAL
    if not path.is_file() or path.is_symlink():
        return ()
    found = []
    for number, line in enumerate(read_bytes(path).splitlines(), 1):
        with suppress(MctError):
            found.append(parse_json(line, Done, f"{path} line {number}"))
    return tuple(found)


def keep(folder: Path, done: Done) -> None:
    """Add a step to the journal, in one write."""
    line = json.dumps({name: getattr(done, name) for name in done.__struct_fields__}) + "\n"
    with full_disk_explained(folder), (folder / JOURNAL).open("ab", buffering=0) as file:
        file.write(line.encode())


def expected(stage: str, scenario: str, size: str, history: Sequence[Done]) -> Expected:
    """How long a step may take, by what is known."""
    alike = [each for each in history if each.stage == stage and each.size == size]
    own = [each.seconds for each in alike if each.scenario == scenario]
    if own:
        spread = ALONE if len(own) == 1 else 1.0
        return Expected(_least(min(own) / spread), _least(median(own)), _least(max(own) * spread), "history", len(own))
    others = [each.seconds for each in alike]
    if others:
        low, high = min(others) / OF_OTHERS, max(others) * OF_OTHERS
        return Expected(_least(low), _least(median(others)), _least(high), "others", len(others))
    low, high = GUESSES[stage][size]
    return Expected(low, (low * high) ** 0.5, high, "guess")


def _least(seconds: float) -> float:
    return max(LEAST_S, seconds)


class _Record(Struct, frozen=True):
    """Of a bench's raw values, what took time."""

    kind: str = ""
    import_ms: Milliseconds = 0.0
    load_ms: Milliseconds = 0.0
    warm_up_s: Seconds = 0.0
    wall_s: Seconds = 0.0


def bench_seconds(samples: Path) -> float:
    """The seconds that a bench's processes were measured for. MctError where the samples cannot be read."""
    try:
        lines = gzip.decompress(read_bytes(samples)).splitlines()
    except (OSError, EOFError, zlib.error) as error:
        raise MctError(f"{samples} is damaged: {error}", "measure again") from error
    records = [parse_json(line, _Record, str(samples)) for line in lines]
    return sum(each.wall_s + each.warm_up_s + (each.import_ms + each.load_ms) / 1e3 for each in records)


def of_benches(scenario: str, size: str, samples: Iterable[Path]) -> tuple[Done, ...]:
    """The history that the raw values of benches tell."""
    files = {path.resolve() for path in samples}  # copies of a result name the same samples
    found = []
    for file in sorted(files):
        with suppress(MctError):
            found.append(Done(scenario, "bench", size, bench_seconds(file)))
    return tuple(found)
