"""A stored matrix as a report: each format made by its own file, as those of runs are."""

from collections.abc import Sequence
from pathlib import Path

from mct import MctError
from mct.bench.matrix.stored import read_matrix
from mct.models.tables import load, unknown

FORMATS = {
    "markdown": ("mct.bench.matrix.table:matrix_markdown", ""),
    "html": ("mct.bench.matrix.page:matrix_page", "report"),
    "png": ("mct.bench.matrix.page:matrix_png", "report"),
    "json": ("mct.bench.matrix.table:matrix_json", ""),
}


def render_matrix(paths: Sequence[Path], kind: str) -> str | bytes:
    """The matrix as that format. MctError where there is more than one file, or no such format of a matrix."""
    if len(paths) > 1:
        raise MctError("a matrix is reported alone", "name one matrix, or results of single targets")
    if kind not in FORMATS:
        raise unknown("report format of a matrix", kind, FORMATS)
    made: str | bytes = load(*FORMATS[kind])(read_matrix(paths[0]))
    return made
