"""What the tests of the response models share: one small Llama for all of them, and a way to compress what is built."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import Artifact, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.files import Row

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
    """Compress a folder at full precision, asked `rows`, or some of its own dev split: the artifacts by format."""

    def compress(
        folder: Path, formats: tuple[str, ...] = ECOSYSTEMS, rows: Sequence[Row] = (), told: Told = NOTHING
    ) -> dict[str, Artifact]:
        texts = tmp_path / "texts.jsonl"
        lines = [json.dumps(row) for row in rows] or (folder / "data" / "dev.jsonl").read_text().splitlines()[:4]
        texts.write_text("\n".join(lines))
        plan = make_plan(inspect(folder, told), list(formats), ["fp32"])
        resources, requests = gather(plan, None, texts, {}, seed=0)
        folders = execute(plan, resources, requests, tmp_path / "out")
        return {artifact.format: artifact for artifact in map(read_artifact, folders)}

    return compress
