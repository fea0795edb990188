import json
from collections import Counter
from pathlib import Path

import pytest

from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.classifiers.continual import PREVIOUS, SIZES, build
from mct.models.scenarios.shop.intents import INTENTS
from mct.models.scenarios.shop.months import generate, labels_by
from mct.models.scenarios.shop.texts.seasons import MONTHS, NEW_TITLES, SEASONAL_SHARES, SEASONAL_TEMPLATES
from mct.models.scenarios.table import find_scenario
from mct.models.tables import load
from mct.models.writing.folders import sha256


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("tiny", tmp_path_factory.mktemp("continual") / "tiny")


def test_the_row_builds_the_sizes_it_lists() -> None:
    row = find_scenario("continual-router")
    assert load(row.build) is build
    assert row.sizes == tuple(SIZES)


def test_the_folder_holds_this_months_model_and_last_months(tiny: Path) -> None:
    now, before = inspect(tiny), inspect(tiny / PREVIOUS)
    assert now.labels == labels_by("2026-02") == (*INTENTS, "lucky_bag", "gift_guide")
    assert before.labels == labels_by("2026-01")
    assert now.technique == "continual, full"
    assert sha256(tiny / "model.safetensors") != sha256(tiny / PREVIOUS / "model.safetensors")


def test_the_record_tells_what_each_update_kept_of_each_month(tiny: Path) -> None:
    after = json.loads((tiny / "recipe.json").read_text())["dev_accuracy"]
    assert list(after) == ["2026-01", "2026-02"]
    assert min(after["2026-02"].values()) > 0.3  # always the commonest intent: 0.18
    assert after["2026-02"]["2026-02"] > after["2026-01"]["2026-02"]


def test_a_month_has_its_own_titles_names_and_seasonal_requests() -> None:
    made = generate(0, 800, months=4)
    by_month = {month: [row for row in made["train"] if row["month"] == month] for month in MONTHS[:4]}
    for month, rows in by_month.items():
        assert len(rows) == 500
        said = " ".join(row["text"] for row in rows).lower()
        assert any(title.lower() in said for title in NEW_TITLES[month])
        assert ("koibox" in said) == (month >= "2026-02")
        true = Counter(row.get("clean_label", row["label"]) for row in rows)
        for label, shares in SEASONAL_SHARES.items():
            assert abs(true[label] - 500 * shares.get(month, 0)) < 1


def test_new_titles_and_seasonal_templates_are_dealt_to_all_splits() -> None:
    assert set(NEW_TITLES) == set(MONTHS)
    assert {len(titles) for titles in NEW_TITLES.values()} == {8}
    assert set(SEASONAL_TEMPLATES) == set(SEASONAL_SHARES)
    made = generate(0, 800, months=2)
    templates = {split: {row["template"] for row in rows} for split, rows in made.items()}
    assert not templates["train"] & templates["test"]
    assert {row["label"] for row in made["test"]} == set(labels_by("2026-02"))
