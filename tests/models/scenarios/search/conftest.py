"""What the tests of the models around search share: a way to compress what is built."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import Artifact, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.files import Row
from mct.models.tasks.datasets import read_dataset
from mct.models.tasks.table import find_task
from mct.models.writing.folders import sha256


@pytest.fixture(scope="module")
def one_thread() -> None:
    """The bytes of what is built are promised for one number of threads, and a runtime in between sets its own."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_thread_again(one_thread: None) -> None:
    torch.set_num_threads(1)


@pytest.fixture
def compressed(tmp_path: Path) -> Callable[..., dict[str, Artifact]]:
    """Compress a folder at full precision to a format of each ecosystem: the artifacts by format.

    Parity is checked on the rows given, or on some of the built folder's own.
    """

    def compress(folder: Path, rows: Sequence[Row] = ()) -> dict[str, Artifact]:
        checkpoint = inspect(folder)
        rows = rows or read_dataset(folder / "data" / "dev.jsonl", find_task(checkpoint.task)).rows[:4]
        texts = tmp_path / "texts.jsonl"
        texts.write_text("".join(json.dumps(row) + "\n" for row in rows))
        plan = make_plan(checkpoint, ["onnx", "openvino", "gguf"], ["fp32"])
        resources, requests = gather(plan, None, texts, {}, seed=0)
        folders = execute(plan, resources, requests, tmp_path / "out")
        return {artifact.format: artifact for artifact in map(read_artifact, folders)}

    return compress


@pytest.fixture(scope="session")
def hashes() -> Callable[[Path], dict[str, str]]:
    """The SHA-256 of every file below a folder."""

    def of(folder: Path) -> dict[str, str]:
        return {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}

    return of
