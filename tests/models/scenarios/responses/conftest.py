"""What the tests of the response models share: one small Llama for all of them, and a way to compress what is built."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import Artifact, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect

ECOSYSTEMS = ("onnx", "openvino", "gguf")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache that the workers of this run share, and no other run: what is in it was made by this code."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
        yield


@pytest.fixture
def compressed(tmp_path: Path) -> Callable[..., dict[str, Artifact]]:
    """Compress a built folder at full precision, texts of its own dev split: the artifacts by format."""

    def compress(folder: Path, formats: tuple[str, ...] = ECOSYSTEMS) -> dict[str, Artifact]:
        texts = tmp_path / "texts.jsonl"
        with (folder / "data" / "dev.jsonl").open() as rows:
            texts.write_text("".join(line for line, _ in zip(rows, range(4), strict=False)))
        plan = make_plan(inspect(folder), list(formats), ["fp32"])
        resources, requests = gather(plan, None, texts, {}, seed=0)
        folders = execute(plan, resources, requests, tmp_path / "out")
        return {artifact.format: artifact for artifact in map(read_artifact, folders)}

    return compress
