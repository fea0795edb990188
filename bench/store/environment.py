"""Where a number was measured: everything that decides whether two latencies may be compared.

Read from /proc, /sys and package metadata; no library is imported for it.
"""

import hashlib
import json
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mct import __version__
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.subject import Subject
from mct.models.tasks.datasets import Dataset
from mct.targets.machine import Machine, probe_machine
from mct.targets.runtimes.table import installed_version, runtime_for

ALWAYS = ("numpy", "tokenizers")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def fingerprint(subject: Subject, dataset: Dataset, plan: BenchPlan, machine: Machine | None = None) -> dict[str, Any]:
    """The environment of one subject's numbers, as result.schema.json has it.

    `fingerprint` in it is equal where latencies may be compared: same machine, threads, pinning and library versions.
    `made_for` is there where the subject says which machine it was made for.
    """
    runtime = runtime_for(subject.format)
    libraries = {"mct": __version__} | {name: _version(name) for name in ALWAYS}
    same = asdict(machine or probe_machine()) | {
        "python": platform.python_version(),
        "threads": plan.threads,
        "affinity": list(plan.affinity),
        "libraries": libraries | {runtime.distribution: installed_version(runtime) or "absent"},
        "governor": _governor(),
    }
    same["instruction_sets"] = list(same["instruction_sets"])
    digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
    return {"fingerprint": digest[:12]} | same | {
        "artifact_digest": subject.digest,
        "data_sha256": dataset.sha256,
        "seed": plan.seed,
        **({"made_for": dict(subject.made_for)} if subject.made_for else {}),
    }  # fmt: skip


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def _governor() -> str | None:
    """The clock governor, None where the machine does not show it."""
    try:
        return GOVERNOR.read_text(encoding="utf-8").strip()
    except OSError:
        return None
