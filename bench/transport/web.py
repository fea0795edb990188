"""Artifacts in onnxruntime-web: in Node, or in a page of a headless Chromium, both on this machine.

A worker is `mct.bench.web.worker`, which starts Node or a browser afresh and speaks the protocol for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mct import MctError
from mct.bench.samples.measurement import Failure
from mct.bench.samples.subject import Subject
from mct.bench.transport.here import worker_environment
from mct.bench.transport.site import Command, Site, Wanted
from mct.bench.web.engine import files_of
from mct.bench.web.packages import require_packages
from mct.bench.web.weighing import weigh
from mct.bench.worker.facts import facts_here
from mct.models.progress import Report
from mct.targets.programs import Program, find_chromium, find_node
from mct.targets.target import WEBGPU, Target

WORKER = "mct.bench.web.worker"
TASKS = (
    "sequence-classification", "multi-label-classification", "token-classification", "multi-head", "embedding-head",
    "sentence-embedding", "pair-scoring", "reward",
)  # fmt: skip
"""Those that tasks.mjs knows to ask and to read."""
PROVIDERS = {"cpu": "wasm", WEBGPU: "webgpu"}


@contextmanager
def open_node(target: Target, subjects: Sequence[Subject], report: Report) -> Iterator[Site]:
    """Node, with the packages. MctError where either is not here, or cannot run what the runtime is built with."""
    if target.device == WEBGPU:
        raise MctError(f"target {target.name} is a {WEBGPU} device, and Node has none", 'say transport = "browser"')
    yield _site(target, "node", find_node().require(), {})


@contextmanager
def open_browser(target: Target, subjects: Sequence[Subject], report: Report) -> Iterator[Site]:
    """A headless Chromium, with the packages. MctError where either is not here, or lacks what the runtime needs."""
    program, weighed = find_chromium().require(), {}
    require_packages()
    for subject in subjects:
        if obstacle(subject) is None:
            report(f"weighing what a page fetches of {subject.name}", 0.0)
            weighed[subject.digest] = weigh(files_of(subject.executable, PROVIDERS[target.device]))
    yield _site(target, "browser", program, weighed)


def _site(target: Target, host: str, program: Program, weighed: Mapping[str, Any]) -> Site:
    """`weighed`: what a page fetches, by the digests of the subjects."""
    engine = {program.name: str(program.version), **require_packages()}
    facts = replace(facts_here(), engine=engine)

    def command(wanted: Wanted) -> Command:
        downloads = weighed.get(wanted.subject.digest, {})
        web = {"host": host, "provider": PROVIDERS[target.device], "downloads": downloads}
        argv = [sys.executable, "-P", "-m", WORKER]
        return Command(argv, worker_environment(wanted.setting.threads), {"parent": os.getpid(), "web": web})

    return Site(lambda: facts, command, obstacle)


def obstacle(subject: Subject) -> Failure | None:
    """Why onnxruntime-web cannot run it; None where it can."""
    settings: Mapping[str, object] = subject.executable.settings
    if subject.format != "onnx":
        return Failure("onnxruntime-web runs ONNX files alone", "make it with --format onnx")
    if subject.executable.network == "causal-lm":
        return Failure(
            "a language model writes with a cache that mct does not keep in JavaScript",
            "bench it on another target; transformers.js opens the same folder",
        )
    if subject.task not in TASKS:
        return Failure(f"mct has no JavaScript that asks and reads {subject.task}", "bench it on another target")
    if settings.get("adapters"):
        return Failure(
            "onnxruntime-web takes no adapters beside a model", "merge the adapter: leave --keep-adapter out"
        )
    return None
