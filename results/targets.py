"""One router on every target: this machine whole and in part, a small edge box, and another machine over ssh.

Run from the repository root: `python results/targets.py CHECKPOINT --data TEST.jsonl`. It compresses the checkpoint
(what lies in .cache/targets already is used again), starts an sshd of its own on loopback, benches everything on each
of TARGETS, and writes targets.json, targets.md and targets.png beside this file. `--render` makes the table again.

`edge-512mb` is there to fail what needs more: the checkpoint itself, run by torch.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import ssh_server

from mct import MctError
from mct.bench.matrix.page import matrix_png
from mct.bench.matrix.stored import Matrix, read_matrix
from mct.bench.matrix.table import matrix_table
from mct.models.data.declared import declared
from mct.models.writing.folders import write_atomically, write_bytes_atomically
from mct.targets.target import load_targets

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WORK = ROOT / ".cache" / "targets"
TARGETS = ("cpu", "cpu-1", "edge-512mb", "node", "browser", "loopback")
"""`loopback` is this machine over ssh; those that this version has no table for are left out."""
FORMATS = ("onnx", "openvino", "gguf")
PRECISIONS = "int8"
OVER_SSH = """[loopback]
device = "cpu"
about = "this machine over ssh to loopback"
transport = "ssh"
host = "box"
python = "{python}"
threads = 1
"""


def main() -> None:
    """Compress, bench on each, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?")
    parser.add_argument("--data", type=Path, help="evaluation set")
    parser.add_argument("--train", type=Path, help="texts to calibrate on, where none lie with it")
    parser.add_argument("--budgets", type=Path, default=HERE / "banking77.toml")
    parser.add_argument("--budget", default="banking77")
    parser.add_argument("--targets", default=",".join(known_targets()))
    parser.add_argument("--max-seconds", type=float, default=40.0)
    parser.add_argument("--render", action="store_true", help="write the table again from targets.json")
    asked = parser.parse_args()
    if not asked.render:
        if asked.checkpoint is None or asked.data is None:
            raise SystemExit("name the checkpoint and --data")
        measure(asked)
    matrix = read_matrix(HERE / "targets.json")
    write_atomically(HERE / "targets.md", markdown(json.loads((HERE / "targets.json").read_text(encoding="utf-8"))))
    write_bytes_atomically(HERE / "targets.png", matrix_png(matrix))


def known_targets() -> list[str]:
    """Those of TARGETS that there are."""
    return [name for name in TARGETS if name == "loopback" or name in load_targets()]


def measure(asked: argparse.Namespace) -> None:
    """Everything that takes time; leaves targets.json."""
    if ssh_server.SSHD is None:
        raise MctError(ssh_server.WHY_NOT, "then run this again")
    out = WORK / asked.checkpoint.resolve().name
    if not out.is_dir():
        train = ("--data", asked.train) if asked.train else ()
        _mct(
            "compress", asked.checkpoint, "-o", out, "--format", ",".join(FORMATS), "--precision", PRECISIONS,
            "--eval", asked.data, *train,
        )  # fmt: skip
    artifacts = sorted(path for path in out.iterdir() if (path / "mct.json").is_file())
    with tempfile.TemporaryDirectory(prefix="mct-sshd-") as folder:
        server = ssh_server.start_server(Path(folder))
        try:
            os.environ["MCT_SSH_CONFIG"] = str(server.config)
            own = Path(folder) / "targets.toml"
            own.write_text(OVER_SSH.format(python=sys.executable), encoding="utf-8")
            _mct(
                "bench", asked.checkpoint, *artifacts, "--baseline", asked.checkpoint, "--data", asked.data,
                "--target", asked.targets, "--targets", own, "--budgets", asked.budgets, "--budget", asked.budget,
                "--max-seconds", asked.max_seconds, "--results", WORK / "results", "--json", HERE / "targets.json",
            )  # fmt: skip
        finally:
            server.stop()


def _mct(*words: object) -> None:
    """The command line; its exit code may be a verdict."""
    done = subprocess.run([sys.executable, "-m", "mct.cli", *map(str, words)], cwd=ROOT, check=False)
    if done.returncode not in {0, 1, 3}:
        raise SystemExit(done.returncode)


def markdown(found: dict[str, object]) -> str:
    """The table of what was found."""
    matrix = declared(found, Matrix, "targets.json")
    head = "`python results/targets.py CHECKPOINT --data TEST.jsonl`; the picture is targets.png."
    return f"# One router on every target\n\n{head}\n\n{matrix_table(matrix)}"


if __name__ == "__main__":
    main()
