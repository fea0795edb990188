import json
from pathlib import Path

import pytest

from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.classifiers.multi_task import HEADS, SIZES, build
from mct.models.scenarios.shop.everything import RISKS, TAGS, generate, risk_of, tags_of
from mct.models.scenarios.table import find_scenario
from mct.models.tables import load
from mct.models.tasks.datasets import check_labels, read_dataset
from mct.models.tasks.table import find_task
from mct.models.tasks.tagging import entities


def test_the_row_builds_the_sizes_it_lists() -> None:
    row = find_scenario("multi-task")
    assert load(row.build) is build
    assert row.sizes == tuple(SIZES)


def test_a_folder_with_four_heads_each_better_than_untrained(tmp_path: Path) -> None:
    folder = build("tiny", tmp_path / "tiny")
    found, recipe = inspect(folder), json.loads((folder / "recipe.json").read_text())
    assert (found.task, found.technique, found.heads) == ("multi-head", "multi-task", HEADS)
    for split in ("train", "dev", "test"):
        data = read_dataset(folder / "data" / f"{split}.jsonl", find_task("multi-head"))
        check_labels(data, found.task, found.heads)
    for metric, before in recipe["dev_before_training"].items():
        assert recipe["dev"][metric] > before + 0.03, metric


def test_every_word_has_a_tag_and_what_is_tagged_is_what_was_filled_in() -> None:
    rows = generate(0, 600)["train"]
    named = {name: set() for name in ("title", "volume", "order", "date", "price")}
    for row in rows:
        words = row["text"].split()
        assert len(words) == len(row["slots"])
        for kind, first, last in entities(row["slots"]):
            named[kind].add(" ".join(words[first : last + 1]).strip(".,?!"))
    assert all(any(letter.isdigit() for letter in order) for order in named["order"])
    assert all(price[0] in "$€£" for price in named["price"])
    assert {"Monday", "the weekend"} & named["date"]
    assert any(" " in title for title in named["title"])


def test_marks_become_tags_whatever_touches_them() -> None:
    begin, end = "\ue000", "\ue0ff"
    assert tags_of(f"is {begin}One Piece{end}, volume 3") == ["O", "B-title", "I-title", "O", "O"]
    assert tags_of(f"({begin}Pluto{end})") == ["B-title"]
    assert tags_of("nothing here") == ["O", "O"]


def test_risk_follows_from_intent_and_mood_together() -> None:
    assert risk_of("returns", "frustrated") == "high"
    assert risk_of("shipping", "frustrated") == risk_of("returns", "calm") == "watch"
    assert risk_of("shipping", "calm") == "low"
    rows = generate(0, 400)["train"]
    assert {row["risk"] for row in rows} == set(RISKS)
    assert {tag for row in rows for tag in row["slots"]} == set(TAGS)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_same_seed_the_same_rows(seed: int) -> None:
    assert generate(seed, 80) == generate(seed, 80) != generate(seed + 1, 80)
