"""Scenario 02: an adapter, or a whole bi-encoder, as sentence-transformers leaves it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.search.embedding_adapter import SIZES, VARIANTS, build
from mct.models.scenarios.table import find_scenario
from mct.models.tables import load

pytestmark = pytest.mark.filterwarnings("ignore")
TECHNIQUE = {"lora": "lora, contrastive", "full": "contrastive"}


@pytest.fixture(scope="module")
def built(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    room = tmp_path_factory.mktemp("embedding-adapter")
    return {variant: build("tiny", room / variant, variant=variant) for variant in VARIANTS}


def test_the_row_builds_the_sizes_and_variants_it_lists() -> None:
    row = find_scenario("embedding-adapter")
    assert load(row.build) is build
    assert (row.sizes, row.variants) == (tuple(SIZES), VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_learned_is_told_for_what_it_is_and_comes_out_in_every_format(
    variant: str, built: dict[str, Path], compressed: Callable[..., Any]
) -> None:
    folder = built[variant]
    found = inspect(folder)
    assert (found.technique, found.task) == (TECHNIQUE[variant], "sentence-embedding")
    dev = json.loads((folder / "recipe.json").read_text())["dev"]
    assert dev["after"]["ndcg_at_10"] > dev["before"]["ndcg_at_10"] + 0.02
    artifacts = compressed(folder)
    assert set(artifacts) == {"onnx", "openvino", "gguf"}
    for artifact in artifacts.values():
        assert artifact.technique == TECHNIQUE[variant]
        assert artifact.parity.get("root", artifact.parity)["agreement"] == 1.0


def test_peft_opens_the_adapter_as_it_stands(built: dict[str, Path]) -> None:
    folder = built["lora"]
    base = AutoModel.from_pretrained(
        folder / json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    )
    adapted = PeftModel.from_pretrained(base, str(folder))
    trained = [weights for name, weights in adapted.named_parameters() if "lora_B" in name]
    assert len(trained) == 12 and all(weights.abs().max() > 0 for weights in trained)


def test_sentence_transformers_opens_the_whole_one(built: dict[str, Path]) -> None:
    vector = SentenceTransformer(str(built["full"]), device="cpu").encode("where is my order")
    assert abs(float(vector @ vector) - 1) < 1e-5


def test_same_arguments_same_bytes(
    built: dict[str, Path], hashes: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    assert hashes(build("tiny", tmp_path / "again")) == hashes(built["lora"])


def test_what_is_not_there_is_refused_with_what_is(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="unknown size 'tinny'"):
        build("tinny", tmp_path / "a")
    with pytest.raises(MctError, match="unknown variant 'dora'") as refused:
        build("tiny", tmp_path / "b", variant="dora")
    assert "lora" in refused.value.hint
