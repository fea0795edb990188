"""What a process is given before it starts, so that it computes on so many threads and the same way every time."""

import os
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ALONE = "OPENBLAS_NUM_THREADS"
"""numpy's products, which follow a runtime's: with a pool of threads of its own it takes the runtime's CPUs away."""


def thread_variables(threads: int) -> dict[str, str]:
    """Every runtime told the same number of threads; OpenMP and friends read it once, on import."""
    return {
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        ALONE: "1",
        "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }


def forget_cached(path: Path) -> None:
    """Ask the kernel to drop a file's pages, so that the next load reads it from disk."""
    if not hasattr(os, "posix_fadvise"):
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
