"""A runtime that ends the process: the artifact's failure, told by its signal, and nobody else's."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from mct.bench.measure.launch import WorkerDied, start_worker
from mct.bench.samples.subject import identify
from mct.bench.transport.site import Setting
from mct.compress.gguf import export_encoder as export_gguf
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.artifact import Artifact, seal
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset, read_examples
from mct.targets.machine import probe_machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals are told as Linux tells them")


@pytest.fixture
def setting(dataset: Dataset) -> Setting:
    examples = read_examples(dataset, "sequence-classification", ())
    return Setting(examples, threads=1, affinity=(min(os.sched_getaffinity(0)),), seed=0)


def _gguf_artifact(checkpoint: Path, folder: Path, damage: tuple[bytes, bytes]) -> Path:
    """A sealed artifact of the checkpoint, once `damage` was done to its model file."""
    folder.mkdir()
    found = inspect(checkpoint)
    product = export_gguf.run(Product(checkpoint, ""), folder, {}, Resources(found, None, probe_machine(), 0))
    model = (folder / product.model).read_bytes()
    assert model.count(damage[0]) == 1
    (folder / product.model).write_bytes(model.replace(*damage))
    shutil.copy(checkpoint / "tokenizer.json", folder)
    artifact = Artifact(
        "gguf", "f32", "llama.cpp", found.task, found.labels, "none", found.max_tokens, product.model,
        product.settings, (), {}, {}, found.heads,
    )  # fmt: skip
    seal(artifact, folder)
    return folder


def _in_file(text: str) -> bytes:
    """A text as GGUF writes it: its length in bytes, then itself."""
    return len(text.encode()).to_bytes(8, "little") + text.encode()


def test_an_abort_inside_llama_cpp_is_its_artifacts_failure(
    tiny_bert: Path, tiny_artifact: Path, tmp_path: Path, setting: Setting
) -> None:
    """Two tokens of equal text: an assertion of llama.cpp fails while it reads the vocabulary, and it aborts."""
    same = _gguf_artifact(tiny_bert, tmp_path / "gguf-f32", (_in_file("▁a"), _in_file("▁i")))
    with pytest.raises(WorkerDied) as death:
        start_worker(identify(same), setting, 0)
    assert death.value.failure.message == "the worker was ended by SIGABRT"
    assert "GGML_ASSERT(id_to_token.size() == token_to_id.size()) failed" in death.value.failure.stderr[-1]
    other = start_worker(identify(tiny_artifact), setting, 0)
    assert len(other.run(10, cap_s=10.0, position=0).end_to_end_ns) == 10
    other.close()


def test_without_damage_the_same_artifact_runs(tiny_bert: Path, tmp_path: Path, setting: Setting) -> None:
    worker = start_worker(identify(_gguf_artifact(tiny_bert, tmp_path / "gguf-f32", (b"GGUF", b"GGUF"))), setting, 0)
    assert worker.start.first_call_ms > 0
    worker.close()
