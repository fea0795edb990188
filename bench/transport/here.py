"""A worker of this machine's own: this Python, this environment, the threads pinned before anything is imported."""

from __future__ import annotations

import os
import sys

from mct.bench.worker.environment import thread_variables

WORKER = "mct.bench.worker.worker"


def command_here(threads: int) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment."""
    return [sys.executable, "-P", "-m", WORKER], worker_environment(threads)


def worker_environment(threads: int) -> dict[str, str]:
    """The parent's environment and import path, with every runtime told the same number of threads."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, **thread_variables(threads), "PYTHONPATH": path}
