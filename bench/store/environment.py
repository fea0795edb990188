"""Where a number was measured: everything that decides whether two latencies may be compared.

Compared are the machine and what is set on it, threads and pinning, Python and the libraries that do the work. Only
noted are the version of mct, which times the same work by the same clock in every version of one schema, the commit of
the folder it was run in, artifact, data and seed.

Read from /proc, /sys, git and package metadata; no library is imported for it.
"""

import hashlib
import json
import os
import subprocess
from dataclasses import asdict
from functools import cache
from typing import Any

from mct import __version__
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.subject import Subject
from mct.bench.worker.facts import ABSENT, ALWAYS, Facts, facts_here
from mct.models.tasks.datasets import Dataset
from mct.targets.conditions import read_conditions
from mct.targets.devices.gpus import device_name, find_gpus, is_cuda
from mct.targets.runtimes.table import runtime_for
from mct.targets.target import CPU

COMMIT_VARIABLES = ("GITHUB_SHA", "CI_COMMIT_SHA")
GIT = ("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
PATIENCE_S = 5.0


def fingerprint(
    subject: Subject,
    dataset: Dataset,
    plan: BenchPlan,
    facts: Facts | None = None,
) -> dict[str, Any]:
    """The environment of one subject's numbers, as result.schema.json has it.

    `fingerprint` in it is equal where latencies may be compared. `made_for` is there where the subject says which
    machine it was made for.
    """
    facts, named = facts or facts_here(), (*ALWAYS, runtime_for(subject.format).distribution)
    same = asdict(facts.machine) | {
        "python": facts.python,
        "threads": plan.threads,
        "affinity": list(plan.affinity),
        **({"memory_limit_mb": plan.memory_mb} if plan.memory_mb else {}),
        **_gpu_of(subject.executable.device),
        "libraries": facts.engine or {name: facts.libraries.get(name, ABSENT) for name in named},
        **(facts.conditions or read_conditions(plan.affinity)).as_json(),
    }
    same["instruction_sets"] = list(same["instruction_sets"])
    digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
    return {"fingerprint": digest[:12]} | same | {
        "mct": __version__,
        "commit": _commit(),
        "artifact_digest": subject.digest,
        "data_sha256": dataset.sha256,
        "seed": plan.seed,
        **({"made_for": dict(subject.made_for)} if subject.made_for else {}),
    }  # fmt: skip


def _gpu_of(device: str) -> dict[str, Any]:
    """The GPU that computes, and its driver; nothing for a CPU."""
    if not is_cuda(device):
        return {} if device == CPU else {"gpu": {"name": device}}
    found = next((gpu for gpu in find_gpus() if device_name(gpu) == device), None)
    return {"gpu": {"name": device} if found is None else asdict(found)}


@cache
def _commit() -> str | None:
    """The commit of the folder this was run in, as CI says it or git does ("-dirty" where files differ); else None."""
    said = next((value for name in COMMIT_VARIABLES if (value := os.environ.get(name))), None)
    if said is not None:
        return said
    try:
        done = subprocess.run(GIT, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
