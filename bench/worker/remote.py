"""On another machine, what a worker's parent does here: `python -m mct.bench.worker.remote FOLDER THREADS MEMORY COLD`.

It starts the worker on its own stdin and stdout, which ssh leads to the coordinator, with the threads and the limit on
memory (MB, 0 for none) that the target sets; COLD names the folder of a model to be dropped from the page cache before,
or is "-". It takes no part in the protocol, but for the last line: how a worker ended that could not say it itself. The
worker ends with the connection, and with the folder (the keeper's, mct.targets.ssh.keeper) that it runs from.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

from mct.bench.worker.environment import forget_cached, thread_variables
from mct.targets.memory import MemoryLimit, limit_memory

WORKER = "mct.bench.worker.worker"
LOOK_S = 0.5
GRACE_S = 2.0


def main() -> None:
    """Start the worker, watch over it, tell how it ended."""
    folder, threads, memory_mb, cold = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    if cold != "-":
        for path in Path(cold).rglob("*"):
            if path.is_file():
                forget_cached(path)
    memory = limit_memory(memory_mb) if memory_mb else None
    command = [sys.executable, "-P", "-m", WORKER]
    worker = subprocess.Popen(
        command if memory is None else memory.command(command), env=os.environ | thread_variables(threads)
    )
    try:
        watch(worker, folder)
        said = how_it_ended(worker.returncode, memory)
        if said:
            os.write(1, json.dumps({"error": said, "hint": ""}).encode() + b"\n")
    finally:
        if memory is not None:
            memory.remove()
    sys.exit(0 if worker.returncode == 0 else 1)


def watch(worker: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the worker ends; it is ended `GRACE_S` after the connection did, or its folder went."""
    line = select.poll()
    line.register(0, select.POLLHUP | getattr(select, "POLLRDHUP", 0))
    deadline = float("inf")
    while worker.poll() is None and monotonic() < deadline:
        if deadline < float("inf"):
            worker_ends(worker, LOOK_S)
        elif line.poll(LOOK_S * 1e3) or not folder.is_dir():
            deadline = monotonic() + GRACE_S
    if worker.poll() is None:
        worker.kill()
    worker.wait()


def worker_ends(worker: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait so long at most."""
    try:
        worker.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def how_it_ended(code: int, memory: MemoryLimit | None) -> str:
    """What the coordinator could not see from there; "" for a worker that ended by itself."""
    if memory is not None and memory.exceeded():
        return memory.describe_end()
    return f"the worker was ended by {signal.Signals(-code).name}" if code < 0 else ""


if __name__ == "__main__":
    main()
