import json
from pathlib import Path

import pytest

from mct.models.data.files import read_data_file
from mct.models.scenarios.shop.card import About, LeakError, write_data
from mct.models.writing.folders import sha256

ABOUT = About(
    title="Two moods",
    rows="A row is a message.",
    fields={"text": "the message", "label": "its mood", "tags": "what it is about"},
    made="By hand.",
    seed=3,
    wrong=["too few"],
    counted=("label", "tags"),
)
SPLITS = {
    "train": [
        {"text": "all is well", "label": "calm", "tags": ["a", "b"]},
        {"text": "this is the third time", "label": "cross", "tags": ["a"]},
    ],
    "test": [{"text": "thanks a lot", "label": "calm"}],
}


def test_the_card_counts_by_split_and_names_each_file_by_its_hash(tmp_path: Path) -> None:
    write_data(tmp_path, SPLITS, ABOUT, docs=[{"id": "d1", "text": "a page"}])
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["counts"]["label"] == {"train": {"calm": 1, "cross": 1}, "test": {"calm": 1}}
    assert card["counts"]["tags"] == {"train": {"a": 2, "b": 1}, "test": {}}
    assert card["files"] == {name: sha256(tmp_path / name) for name in ("train.jsonl", "test.jsonl", "docs.jsonl")}
    assert list(read_data_file(tmp_path / "train.jsonl", {}).rows) == SPLITS["train"]
    page = (tmp_path / "card.md").read_text()
    assert "| calm | 1 | 1 |" in page
    assert "- `tags`: what it is about" in page
    assert "- too few" in page
    assert card["files"]["docs.jsonl"] in page


def test_a_text_in_two_splits_writes_nothing(tmp_path: Path) -> None:
    leaking = SPLITS | {"dev": [{"text": "All is well!", "label": "cross"}]}
    with pytest.raises(LeakError, match="train and dev share 100%"):
        write_data(tmp_path, leaking, ABOUT)
    assert not list(tmp_path.iterdir())


def test_a_field_that_nobody_explains_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mood"):
        write_data(tmp_path, {"train": [{"text": "hello there", "mood": "calm"}]}, ABOUT)
