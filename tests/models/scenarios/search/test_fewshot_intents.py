"""Scenario 07: SetFit's folder, taught by a few examples of each label."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from setfit import SetFitModel

from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.files import read_data_file
from mct.models.scenarios.search.fewshot_intents import SIZES, build
from mct.models.scenarios.shop.fewshot import LABELS, SEASONAL, SHOTS
from mct.models.scenarios.shop.texts.seasonal import EXAMPLES
from mct.models.scenarios.table import find_scenario
from mct.models.tables import load

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def tiny(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("tiny", tmp_path_factory.mktemp("fewshot") / "tiny")


def test_the_row_builds_the_sizes_it_lists() -> None:
    row = find_scenario("fewshot-intents")
    assert load(row.build) is build
    assert row.sizes == tuple(SIZES)


def test_new_labels_have_fewer_examples_and_as_many_to_be_tested_on(tiny: Path) -> None:
    counts = {
        split: Counter(row["label"] for row in read_data_file(tiny / "data" / f"{split}.jsonl", {}).rows)
        for split in ("train", "test")
    }
    assert {label: counts["train"][label] for label in SEASONAL} == dict(EXAMPLES)
    assert {counts["train"][label] for label in set(LABELS) - set(SEASONAL)} == {SHOTS}
    assert set(counts["test"].values()) == {SIZES["tiny"].test} and set(counts["test"]) == set(LABELS)


def test_it_learned_is_told_for_what_it_is_and_comes_out_in_every_format(
    tiny: Path, compressed: Callable[..., Any]
) -> None:
    found = inspect(tiny)
    assert (found.technique, found.task, set(found.labels)) == ("setfit", "embedding-head", set(LABELS))
    dev = json.loads((tiny / "recipe.json").read_text())["dev"]
    assert dev["after"]["accuracy"] > dev["head_alone"]["accuracy"] > 1 / len(LABELS)
    artifacts = compressed(tiny)
    assert set(artifacts) == {"onnx", "openvino", "gguf"}
    assert all(artifact.parity.get("root", artifact.parity)["agreement"] == 1.0 for artifact in artifacts.values())


def test_setfit_opens_it(tiny: Path) -> None:
    model = SetFitModel.from_pretrained(str(tiny), device="cpu")
    assert set(model.predict(["where is my order", "a ticket for the signing"])) <= set(LABELS)


def test_same_arguments_same_bytes_and_nothing_on_stdout(
    tiny: Path,
    hashes: Callable[[Path], dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[float] = []
    built = build("tiny", tmp_path / "again", report=lambda stage, share: told.append(share))
    assert hashes(built) == hashes(tiny)
    assert capsys.readouterr().out == ""
    assert len(told) > 50 and told[-1] == 1.0
