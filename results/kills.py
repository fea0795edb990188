"""Kill mct while it writes: is anything lost, and is anything left once it has run again?

Run from anywhere: `python results/kills.py [--kills 200]`, some ten minutes of one CPU. `mct models build`,
`mct compress` and `mct bench` run again and again over what an earlier run of theirs left, with a user's files beside
it, and get SIGKILL, which no program can catch, at moments drawn from the time that a whole run takes. After every kill
the old or the new is there, whole, and no process is left. After every fifth, and at the end, the command runs to its
end, and then nothing else may lie there: no draft, no temporary file; and the user's files are as they were.

Each run is forked from this process, in which torch is loaded already, so that kills hit the work and not the imports;
all keep to one CPU, since threads that wait for one another on busy ones take many times as long. Writes kills.json
beside this file; exits with 1 where any of it does not hold.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers  # noqa: F401

from mct.bench.store.store import PARTIAL, list_results, read_result, read_samples, recompute
from mct.compress.run.artifact import read_artifact
from mct.compress.run.lineage import weights_digest
from mct.models.checkpoints.checkpoint import inspect
from mct.models.writing.folders import write_json
from mct.models.writing.ownership import require_replaceable
from mct.targets.machine import probe_machine

HERE = Path(__file__).resolve().parent
WHOLE_EVERY, GRACE_S, BENCH_S = 5, 5.0, 1.0
FORMS = ("onnx-int8", "gguf-q8_0")
USERS = ("notes.txt", ".router.part")
MARK = "MCT_KILLS"
"""In the environment of every program that a run starts, so that those it leaves behind are found."""


@dataclass(frozen=True)
class Attempt:
    """A command that writes into `places`, of which the first holds a user's files too: its words for a run's number.

    `look` says whether it found what the run of that number makes ("new") or an earlier one ("old"), and raises where
    something is neither. `expected` gives what may lie in its places once a run has come to its end.
    """

    name: str
    places: tuple[Path, ...]
    words: Callable[[int], list[object]]
    look: Callable[[int], str]
    expected: Callable[[], set[Path]]

    @property
    def users(self) -> list[Path]:
        """The user's files."""
        return [self.places[0] / name for name in USERS]


def main() -> int:
    """Kill, look, write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    kills = parser.parse_args().kills
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    machine = probe_machine()
    with tempfile.TemporaryDirectory() as scratch:
        commands = {attempt.name: try_it(attempt, share) for attempt, share in shares(Path(scratch), kills)}
    about = {"cpu": machine.cpu, "instruction_sets": machine.instruction_sets, "system": machine.system}
    write_json(HERE / "kills.json", {"kills": kills, "machine": about, "commands": commands})
    for name, found in commands.items():
        print("\n".join([name, *(f"{value!s:>12}  {what.replace('_', ' ')}" for what, value in found.items())]))
    bad = ("lost", "users_files_changed", "processes_left_behind", "left_over_after_a_whole_run")
    return int(any(found[what] for found in commands.values() for what in bad))


def shares(scratch: Path, kills: int) -> Iterator[tuple[Attempt, int]]:
    """The three commands, each made ready when its turn comes, and how many kills it gets."""
    yield building(scratch / "built"), kills // 3
    routers = [scratch / "routers" / str(seed) for seed in (0, 1)]
    for seed, router in enumerate(routers):
        run_whole("models", "build", "intent-router", "--size", "tiny", "--seed", seed, "-o", router)
    yield compressing(scratch / "compressed", routers), kills // 3
    yield benching(scratch / "benched", scratch / "compressed" / FORMS[0], routers[0]), kills - 2 * (kills // 3)


def building(folder: Path) -> Attempt:
    """`mct models build`, with another seed each time: the recipe says of which run a router is."""
    router = folder / "router"

    def look(number: int) -> str:
        require_replaceable(router)  # every file is as mct listed it when the folder was whole
        inspect(router)
        seed = json.loads((router / "recipe.json").read_text(encoding="utf-8"))["training"]["seed"]
        return "new" if seed == number else "old"

    def words(number: int) -> list[object]:
        return ["models", "build", "intent-router", "--size", "tiny", "--seed", number, "-o", router]

    return Attempt("models build", (folder,), words, look, lambda: {router})


def compressing(folder: Path, routers: list[Path]) -> Attempt:
    """`mct compress`, of two routers in turn: an artifact's lineage says of which one it is."""
    digests = [weights_digest(router) for router in routers]

    def look(number: int) -> str:
        for form in FORMS:
            require_replaceable(folder / form)
        of = [digests.index(read_artifact(folder / form).lineage[0]["sha256"]) for form in FORMS]
        return "one of each" if len(set(of)) > 1 else ("new" if of[0] == number % 2 else "old")

    def words(number: int) -> list[object]:
        return ["compress", routers[number % 2], "-o", folder, "--format", "onnx,gguf"]

    return Attempt("compress", (folder,), words, look, lambda: {folder / form for form in FORMS})


def benching(folder: Path, artifact: Path, router: Path) -> Attempt:
    """`mct bench`: every result follows from its samples again, every cut-off recording can be read up to its end."""
    store, known = folder / "results", set[Path]()

    def look(number: int) -> str:
        results = set(list_results(store))
        if not known <= results:
            raise ValueError("a result is lost")
        for path in results - known:
            if recompute(store / read_result(path)["samples"]) != read_result(path):
                raise ValueError(f"{path.name} does not follow from its samples")
        for path in recordings():
            read_samples(path)
        new = results - known
        known.update(new)
        return "new" if new else "old"

    def recordings() -> set[Path]:
        return {path for path in store.glob(f"*{PARTIAL}") if path.stat().st_size}

    def expected() -> set[Path]:
        whole = {path.with_name(name) for path in known for name in (path.name, f"{path.stem}.samples.jsonl.gz")}
        return {store, *whole, *recordings()}

    data = router / "data" / "dev.jsonl"
    words = ["bench", artifact, "--data", data, "--results", store, "--max-seconds", BENCH_S]
    return Attempt("bench", (folder, store), lambda number: words, look, expected)


def try_it(attempt: Attempt, kills: int) -> dict[str, Any]:
    """Kill a command so many times, at moments of its own seed; what was found, counted."""
    rng = random.Random(attempt.name)
    temporary = attempt.places[0].with_name(f"temporary of {attempt.name}")
    for folder in (attempt.places[0], temporary):
        folder.mkdir()
    os.environ["TMPDIR"] = str(temporary)
    for file in attempt.users:
        file.write_text(file.name, encoding="utf-8")
    whole_s = run_whole(*attempt.words(0))
    attempt.look(0)
    found, left, lost, orphans, runs = Counter[str](), Counter[str](), 0, 0, iter(range(1, 10 * kills))
    for kill in range(1, kills + 1):
        number = next(runs)
        orphans += run_killed(rng.uniform(0.0, whole_s), *attempt.words(number))
        try:
            found[attempt.look(number)] += 1
        except Exception as error:  # whatever is wrong with what lies there is what this looks for
            print(f"{attempt.name}, kill {kill}: {error}", file=sys.stderr)
            lost += 1
        if kill % WHOLE_EVERY == 0 or kill == kills:
            number = next(runs)
            run_whole(*attempt.words(number))
            attempt.look(number)
            left.update(left_over(attempt, temporary))
            print(f"{attempt.name}: killed {kill} times of {kills}", file=sys.stderr)
    return {
        "kills": kills,
        "seconds_of_a_whole_run": round(whole_s, 1),
        "found_after_the_kill": dict(sorted(found.items())),
        "lost": lost,
        "users_files_changed": sum(file.read_text(encoding="utf-8") != file.name for file in attempt.users),
        "processes_left_behind": orphans,
        "left_over_after_a_whole_run": dict(left),
    }


def left_over(attempt: Attempt, temporary: Path) -> list[str]:
    """The names of what lies in a command's places, or among temporary files, and should not."""
    found = {path for place in (*attempt.places, temporary) for path in place.iterdir()}
    return [path.name for path in found - attempt.expected() - set(attempt.users)]


def run_whole(*words: object) -> float:
    """Run a command to its end; gives the seconds it took."""
    began = time.monotonic()
    _, status = os.waitpid(started(*words), 0)
    if status:
        raise SystemExit(f"mct {' '.join(map(str, words))} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - began


def run_killed(after_s: float, *words: object) -> int:
    """Kill a command `after_s` seconds after its start; gives how many of its processes live on all the same."""
    child = started(*words)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    deadline = time.monotonic() + GRACE_S
    while any(alive(child)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(list(alive(child)))


def started(*words: object) -> int:
    """The command line in a process of its own, forked from this one; its number."""
    if child := os.fork():
        return child
    from mct.cli import main as mct

    code = 1
    try:
        os.setsid()
        os.environ[MARK] = "yes"
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        sys.argv = ["mct", *map(str, words)]
        mct()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)


def alive(session: int) -> Iterator[int]:
    """The processes of a run that live, zombies not among them."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, own_session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
            marked = f"{MARK}=yes".encode() in (process / "environ").read_bytes()
            if state not in "ZX" and (marked or int(own_session) == session):
                yield int(process.name)


if __name__ == "__main__":
    sys.exit(main())
