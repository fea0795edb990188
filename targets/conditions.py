"""What is set on this machine that changes times: clock, shared cores, huge pages, and how threads wait for work.

Read, never judged (`mct.targets.fitness` does that) and never guessed: where the machine does not show it, as virtual
ones and containers often do not, it is "unknown", and two unknowns are no difference.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

UNKNOWN = "unknown"
CPUS = "sys/devices/system/cpu"

THREADING = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "ONEDNN_", "DNNL_", "ORT_")
"""How the names of environment variables begin by which libraries are told how threads wait, spin and are bound."""
OURS = frozenset({"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ORT_DISABLE_TELEMETRY"})
"""Those that a measured process is given by us, whatever they were."""


@dataclass(frozen=True)
class Conditions:
    """`smt` and `boost`: "on" or "off"; `governor`: of the measured CPUs, "a/b" where they differ; `huge_pages`:
    "always", "madvise" or "never". Each may be "unknown". `threading`: the variables that are set.

    Whether a runtime's threads spin while they wait is its own version's choice where no variable says otherwise.
    """

    smt: str
    boost: str
    governor: str
    huge_pages: str
    threading: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"threading": dict(self.threading)}


def read_conditions(
    cpus: Sequence[int] = (), root: Path = Path("/"), environment: Mapping[str, str] | None = None
) -> Conditions:
    """The conditions of these CPUs, of the first one where none is named. `root` is the folder that holds `sys`."""
    variables = os.environ if environment is None else environment
    chosen = re.search(r"\[(\w+)\]", _text(root / "sys/kernel/mm/transparent_hugepage/enabled"))
    return Conditions(
        smt=_SWITCH.get(_text(root / CPUS / "smt/active"), UNKNOWN),
        boost=_boost(root),
        governor=_governor(cpus or (0,), root),
        huge_pages=chosen[1] if chosen else UNKNOWN,
        threading={
            name: value
            for name, value in sorted(variables.items())
            if name.startswith(THREADING) and name not in OURS and value
        },
    )


_SWITCH = {"1": "on", "0": "off"}
_OPPOSITE = {"1": "off", "0": "on"}


def _boost(root: Path) -> str:
    own = _SWITCH.get(_text(root / CPUS / "cpufreq/boost"))
    return own or _OPPOSITE.get(_text(root / CPUS / "intel_pstate/no_turbo"), UNKNOWN)


def _governor(cpus: Sequence[int], root: Path) -> str:
    found = {_text(root / CPUS / f"cpu{cpu}/cpufreq/scaling_governor") or UNKNOWN for cpu in cpus}
    return "/".join(sorted(found))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
