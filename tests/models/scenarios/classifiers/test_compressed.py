"""What the builders of classifiers leave goes through every ecosystem, and answers there as it did before."""

from pathlib import Path

import pytest

from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.classifiers import continual, multi_task
from mct.models.training.loop import Training

BARELY = Training(epochs=1, learning_rate=3e-3)
FORMATS = {"onnx": "fp32", "openvino": "fp32", "gguf": "f32"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of each kind of folder, hardly trained: parity does not hang on how well it learned."""
    out = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(multi_task.SIZES, "tiny", multi_task.Size(240, multi_task.from_scratch, BARELY))
        start = continual.Size(240, 2, continual.from_scratch, BARELY, BARELY, 40)
        patch.setitem(continual.SIZES, "tiny", start)
        modules = {"multi-task": multi_task, "continual-router": continual}
        return {name: module.build("tiny", out / name) for name, module in modules.items()}


@pytest.mark.parametrize("name", ["multi-task", "continual-router"])
def test_every_format_gives_the_checkpoints_answers(built: dict[str, Path], name: str, tmp_path: Path) -> None:
    """A sentiment classifier, a distilled router and one of scenario 12 are for mct what a continual one is."""
    folder = built[name]
    for kind, precision in FORMATS.items():
        plan = make_plan(inspect(folder), [kind], [precision])
        resources, requests = gather(plan, None, folder / "data" / "dev.jsonl", {}, seed=0)
        (artifact,) = execute(plan, resources, requests, tmp_path)
        assert read_artifact(artifact).parity["agreement"] == 1.0, kind
