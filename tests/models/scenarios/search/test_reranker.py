"""Scenario 03: a cross-encoder taught by clicks, as sentence-transformers leaves it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import CrossEncoder

from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.files import read_data_file
from mct.models.scenarios.search.reranker import SIZES, build
from mct.models.scenarios.table import find_scenario
from mct.models.tables import load

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def tiny(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("tiny", tmp_path_factory.mktemp("reranker") / "tiny")


def test_the_row_builds_the_sizes_it_lists() -> None:
    row = find_scenario("reranker")
    assert load(row.build) is build
    assert row.sizes == tuple(SIZES)


def test_it_learned_is_told_for_what_it_is_and_comes_out_in_every_format(
    tiny: Path, compressed: Callable[..., Any]
) -> None:
    found = inspect(tiny)
    assert (found.technique, found.task) == ("cross-encoder", "pair-scoring")
    dev = json.loads((tiny / "recipe.json").read_text())["dev"]
    assert dev["after"]["ndcg_at_10"] > dev["before"]["ndcg_at_10"] + 0.02
    artifacts = compressed(tiny)
    assert set(artifacts) == {"onnx", "openvino", "gguf"}
    assert all(artifact.parity.get("root", artifact.parity)["agreement"] == 1.0 for artifact in artifacts.values())


def test_sentence_transformers_opens_it_with_its_scores_between_0_and_1(tiny: Path) -> None:
    rows = read_data_file(tiny / "data" / "docs.jsonl", {}).rows[:3]
    scores = CrossEncoder(str(tiny), device="cpu").predict([("a cooking manga", row["doc"]) for row in rows])
    assert all(0 < score < 1 for score in scores)


def test_same_arguments_same_bytes(tiny: Path, hashes: Callable[[Path], dict[str, str]], tmp_path: Path) -> None:
    assert hashes(build("tiny", tmp_path / "again")) == hashes(tiny)
