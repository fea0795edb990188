"""An artifact of mct, or a checkpoint, by mct's own runtime code in one process: what `mct bench` times."""

from pathlib import Path

from peer import Peer

from mct.bench.samples.subject import identify
from mct.bench.worker.predict import open_predictor
from mct.targets.runtimes.table import runtime_for


def open_artifact(folder: Path, threads: int) -> Peer:
    """Any folder that `mct bench` takes."""
    subject = identify(folder)
    opened = open_predictor(runtime_for(subject.format), subject.executable, subject.heads, threads)
    return Peer(opened.timed, opened.scored)
