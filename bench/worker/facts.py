"""What a machine is, as far as a measurement made on it depends on it: read where workers run, told in plain values.

Light, as the worker is: the machine that is asked over ssh has no more than Python and the runtimes.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mct.targets.conditions import Conditions, read_conditions
from mct.targets.cpus import allowed_cpus, ranked_cpus
from mct.targets.machine import Machine, probe_machine
from mct.targets.memory import How, memory_control
from mct.targets.runtimes.table import RUNTIMES

ALWAYS = ("numpy", "tokenizers")
NEEDED = (*ALWAYS, "msgspec")
"""What every worker imports beside its runtime."""
OF_CHECKPOINTS = ("transformers", "safetensors")
"""What torch opens a checkpoint by."""
ABSENT = "absent"


@dataclass(frozen=True)
class Facts:
    """The machine on which workers run. `cpus` are those they may be pinned to, in the order in which
    threads get them; empty where that cannot be.

    `libraries` are versions by the names of distributions, those that are not there left out; `conditions` of None are
    read here when they are asked for. `engine` is what runs models there in place of the runtimes, by
    name and version (Node and onnxruntime-web). `memory_by` is what a limit on memory is enforced by there.
    """

    machine: Machine
    cpus: tuple[int, ...]
    python: str
    libraries: Mapping[str, str]
    memory_by: How
    conditions: Conditions | None = None
    engine: dict[str, str] = field(default_factory=dict)

    def choose_cpus(self, threads: int) -> tuple[int, ...]:
        """The CPUs that so many threads are pinned to."""
        return tuple(sorted(self.cpus[:threads]))

    def as_json(self) -> dict[str, Any]:
        """Plain values, as they come back over a connection."""
        return asdict(self)


def facts_here() -> Facts:
    """Those of this machine, as this process sees it."""
    names = (*NEEDED, *OF_CHECKPOINTS, *(runtime.distribution for runtime in RUNTIMES))
    found = {name: said for name in names if (said := _version(name))}
    return Facts(probe_machine(), ranked_cpus(allowed_cpus()), platform.python_version(), found, memory_control())


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    found = facts_here()
    print(json.dumps(replace(found, conditions=read_conditions(found.cpus[:1])).as_json()))
