"""A worker of this machine's own: this Python, this environment, the threads pinned before anything is imported."""

from __future__ import annotations

import os
import sys

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ALONE = "OPENBLAS_NUM_THREADS"
"""numpy's products, which follow a runtime's: with a pool of threads of its own it takes the runtime's CPUs away."""
WORKER = "mct.bench.worker.worker"


def command_here(threads: int) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment."""
    return [sys.executable, "-P", "-m", WORKER], worker_environment(threads)


def worker_environment(threads: int) -> dict[str, str]:
    """The parent's environment and import path, with every runtime told the same number of threads."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, **thread_variables(threads), "PYTHONPATH": path}


def thread_variables(threads: int) -> dict[str, str]:
    """What makes a process compute on so many threads, and the same way every time."""
    return {
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        ALONE: "1",
        "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }
