import json
from collections import Counter
from pathlib import Path

import pytest

from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.classifiers.sentiment import SIZES, build
from mct.models.scenarios.shop.sentiment import NOISE_RATE, RARE, SHARES, generate
from mct.models.scenarios.shop.texts.moods import MOODS, TAILS, TEMPLATES
from mct.models.scenarios.table import find_scenario
from mct.models.tables import load
from mct.models.tasks.datasets import check_labels, read_dataset
from mct.models.tasks.table import find_task


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("tiny", tmp_path_factory.mktemp("sentiment") / "tiny")


def test_the_row_builds_the_sizes_it_lists() -> None:
    row = find_scenario("sentiment")
    assert load(row.build) is build
    assert row.sizes == tuple(SIZES)


def test_the_folder_is_a_classifier_of_moods_with_its_data(tiny: Path) -> None:
    found = inspect(tiny)
    assert found.labels == MOODS
    assert (found.task, found.technique) == ("sequence-classification", "full")
    for split in ("train", "dev", "test"):
        check_labels(read_dataset(tiny / "data" / f"{split}.jsonl", find_task(found.task)), found.task, found.heads)
    assert json.loads((tiny / "data" / "card.json").read_text())["splits"]["train"] == 1_000


def test_it_learned_to_tell_moods(tiny: Path) -> None:
    """The mean recall of a model that always says the same is a fifth."""
    recall = json.loads((tiny / "recipe.json").read_text())["dev"]["recall"]
    assert sum(recall.values()) / len(MOODS) > 0.27


def test_frustrated_is_rare_as_in_life_and_as_frequent_in_test_as_asked() -> None:
    made = generate(0, 1_600, rare=150)
    true = {split: Counter(row.get("clean_label", row["label"]) for row in rows) for split, rows in made.items()}
    assert true["dev"][RARE] == round(200 * SHARES[RARE])
    assert true["test"][RARE] == 150
    noisy = sum("clean_label" in row for row in made["train"])
    assert noisy == round(len(made["train"]) * NOISE_RATE)


def test_every_mood_but_a_calm_one_has_its_templates_and_tails() -> None:
    assert {mood for mood, _ in TEMPLATES} == set(MOODS) - {"calm"}
    assert set(TAILS) == set(MOODS) == set(SHARES)


def test_the_last_turn_of_a_dialogue_tells_the_mood() -> None:
    dialogues = [row for row in generate(0, 800)["train"] if row["setting"] == "dialogue"]
    assert dialogues
    for row in dialogues:
        assert [line.partition(":")[0] for line in row["text"].splitlines()] == ["Customer", "Shop", "Customer"]


def test_the_same_seed_the_same_rows_in_another_order_of_calls() -> None:
    assert generate(1, 200) == generate(1, 200) != generate(2, 200)
