"""Spoil valid inputs by the thousand and see what mct makes of each: refuse it in one line, or take it rightly.

    python tests/mutate_inputs.py --count 10000        # all kinds in turn; --seed, --only KIND, --case N to repeat one

Every case is made from its number and the seed alone. Cases run in processes of their own, a few hundred to each, so
that one which crashes or hangs is found, told and passed over. Exit code 1 where anything but refusals and rightly
taken inputs was seen.
"""

import argparse
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from time import monotonic

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutation.kinds import KINDS
from mutation.specimens import write_specimens

from mct import MctError

PATIENCE_S = 60
MEMORY = 12 << 30
BAD = ("traceback", "wrongly taken", "wrongly refused", "crash", "hang")


def run_case(number: int, seed: int, specimens: Path, only: Sequence[str] = ()) -> dict[str, str]:
    """Spoil one specimen and read it: its kind, what was done to it, the outcome, and where it went wrong."""
    kinds = [kind for kind in KINDS if not only or kind.label in only]
    kind = kinds[number % len(kinds)]
    rng = Random(f"{seed} {number}")
    with tempfile.TemporaryDirectory(prefix="mct-spoilt-") as scratch:
        folder = Path(shutil.copytree(specimens / kind.folder, Path(scratch) / kind.folder))
        what, harmless = kind.spoil(rng, folder)
        fault = kind.judge(folder, specimens / kind.folder)
        found = {"case": str(number), "kind": kind.label, "what": what, "fault": fault or ""}
        try:
            kind.read(folder)
        except MctError as error:
            wrongly = harmless and fault is None
            return found | {"outcome": "wrongly refused" if wrongly else "refused", "where": error.message[:200]}
        except (Exception, SystemExit):
            return found | {"outcome": "traceback", "where": _place(traceback.format_exc())}
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return found | {"outcome": "traceback", "where": _place(traceback.format_exc())}
    return found | {"outcome": "wrongly taken" if fault else "taken", "where": ""}


def _place(trace: str) -> str:
    """The last line of ours in a traceback, and the error."""
    lines = trace.strip().splitlines()
    ours = [line.strip() for line in lines if "/mct/" in line and "File" in line]
    return f"{ours[-1] if ours else lines[-3].strip()} | {lines[-1][:160]}"


def work(first: int, last: int, seed: int, specimens: Path, only: Sequence[str]) -> None:
    """A worker: cases `first` up to `last`, each outcome a line of JSON on stdout."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for number in range(first, last):
        print(json.dumps(run_case(number, seed, specimens, only)), file=channel, flush=True)


def outcomes(first: int, last: int, seed: int, specimens: Path, only: Sequence[str]) -> Iterator[dict[str, str]]:
    """The outcomes of a range of cases, run by a process that is started again behind a case which ends or stops it."""
    while first < last:
        command = [sys.executable, __file__, "--work", str(first), str(last), "--seed", str(seed)]
        command += ["--specimens", str(specimens), *(f"--only={name}" for name in only)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_quiet())
        ended = "crash"
        try:
            for line in _lines(process):
                yield json.loads(line)
                first += 1
        except TimeoutError:
            ended = "hang"
        finally:
            if ended == "hang":
                process.kill()
            code = process.wait()
        if first < last:
            yield {
                "case": str(first),
                "kind": "",
                "what": "",
                "outcome": ended,
                "where": f"exit code {code}",
                "fault": "",
            }
            first += 1


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    assert process.stdout is not None
    unread, deadline = b"", monotonic() + 3 * PATIENCE_S  # the first case imports torch
    while True:
        if not select.select([process.stdout], [], [], max(0.0, deadline - monotonic()))[0]:
            raise TimeoutError
        chunk = os.read(process.stdout.fileno(), 1 << 16)
        if not chunk:
            return
        *lines, unread = (unread + chunk).split(b"\n")
        yield from lines
        deadline = monotonic() + PATIENCE_S


def _quiet() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "RUST_BACKTRACE": "0", "TOKENIZERS_PARALLELISM": "false"}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], metavar="KIND")
    parser.add_argument("--case", type=int, help="this case alone, in this process")
    parser.add_argument("--specimens", type=Path, help="a folder for the valid inputs, kept and used again")
    parser.add_argument("--json", type=Path, help="write every outcome to this file, one line each")
    parser.add_argument("--work", type=int, nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mct-specimens-") as scratch:
        specimens = asked.specimens or Path(scratch)
        if not (specimens / "limits").is_dir():
            specimens.mkdir(parents=True, exist_ok=True)
            write_specimens(specimens)
        if asked.work:
            work(*asked.work, asked.seed, specimens, asked.only)
            return 0
        if asked.case is not None:
            print(json.dumps(run_case(asked.case, asked.seed, specimens, asked.only), indent=2))
            return 0
        return report(list(told(outcomes(0, asked.count, asked.seed, specimens, asked.only), asked.json)))


def told(found: Iterator[dict[str, str]], path: Path | None) -> Iterator[dict[str, str]]:
    """The outcomes, each written to the file as it comes."""
    with (path or Path(os.devnull)).open("w") as file:
        for each in found:
            file.write(json.dumps(each) + "\n")
            file.flush()
            yield each


def report(found: Sequence[dict[str, str]]) -> int:
    """The counts by outcome and kind, and everything that should not be, on stdout; the exit code."""
    counts = Counter(each["outcome"] for each in found)
    print(f"{len(found)} inputs: " + ", ".join(f"{counts[name]} {name}" for name in ("refused", "taken", *BAD)))
    for kind in dict.fromkeys(kind.label for kind in KINDS):
        of = Counter(each["outcome"] for each in found if each["kind"] == kind)
        if of:
            print(f"  {kind:<45} " + ", ".join(f"{count} {name}" for name, count in sorted(of.items())))
    bad = [each for each in found if each["outcome"] in BAD]
    for (outcome, kind, where), count in Counter((e["outcome"], e["kind"], e["where"]) for e in bad).most_common():
        first = next(each for each in bad if (each["outcome"], each["kind"], each["where"]) == (outcome, kind, where))
        print(f"{count} x {outcome}: {kind}: {where}\n     case {first['case']}: {first['what']} ({first['fault']})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
