"""Which CPUs a measured process gets, and which are left for whoever measures it.

Two CPUs that share a core (SMT siblings) do the work of hardly more than one. So threads go to cores of their own as
long as there are any, and the one who measures goes where nothing is measured, if anywhere. Reads /sys only; where the
machine does not show its cores, every CPU counts as one.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


def allowed_cpus() -> list[int]:
    """The CPUs that this process may run on; empty where the system does not tell them apart."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def choose_cpus(allowed: Sequence[int], threads: int, root: Path = Path("/")) -> tuple[int, ...]:
    """So many of the allowed CPUs, lowest first: one of each core, then their siblings. `root` holds `sys`."""
    return tuple(sorted(ranked_cpus(allowed, root)[:threads]))


def ranked_cpus(allowed: Sequence[int], root: Path = Path("/")) -> tuple[int, ...]:
    """The allowed CPUs in the order in which threads get them: one of each core, then their siblings."""
    ranked: list[tuple[int, int]] = []
    used: dict[tuple[int, ...], int] = {}
    for cpu in sorted(allowed):
        core = siblings(cpu, root)
        ranked.append((used.get(core, 0), cpu))
        used[core] = used.get(core, 0) + 1
    return tuple(cpu for _, cpu in sorted(ranked))


def siblings(cpu: int, root: Path = Path("/")) -> tuple[int, ...]:
    """The CPUs that share this one's core, itself among them; itself alone where the machine does not say."""
    path = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    try:
        return tuple(cpu_list(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return (cpu,)


def cpu_list(text: str) -> list[int]:
    """The numbers of a list as the kernel writes it: "0-2,8" is 0, 1, 2 and 8. ValueError for anything else."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def spare_cpus(measured: Iterable[int], allowed: Iterable[int], root: Path = Path("/")) -> set[int]:
    """Those of the allowed CPUs on which nothing is measured: on other cores if there are any; empty if all are."""
    busy = set(measured)
    spare = set(allowed) - busy
    return {cpu for cpu in spare if busy.isdisjoint(siblings(cpu, root))} or spare


@contextmanager
def kept_off(measured: Sequence[int]) -> Iterator[None]:
    """This thread runs on none of the measured CPUs meanwhile, where there are others; processes it starts do too.

    A worker moves itself to the CPUs that it is told.
    """
    allowed = allowed_cpus()
    spare = spare_cpus(measured, allowed) if measured else set()
    if not spare:
        yield
        return
    os.sched_setaffinity(0, spare)
    try:
        yield
    finally:
        with suppress(OSError):  # taken away from us meanwhile: what is left is left
            os.sched_setaffinity(0, allowed)
