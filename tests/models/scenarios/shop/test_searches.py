from collections import defaultdict
from itertools import groupby
from pathlib import Path

import pytest

from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.catalogue import catalogue
from mct.models.scenarios.shop.messages import SPLITS
from mct.models.scenarios.shop.searches import (
    ATTRACTION,
    SHARES,
    Searches,
    about,
    examined,
    generate,
    relevance,
    with_documents,
)
from mct.models.tasks.datasets import read_dataset
from mct.models.tasks.ranking import groups
from mct.models.tasks.table import find_task


@pytest.fixture(scope="module")
def searches() -> Searches:
    return generate(seed=0, queries=480)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(searches: Searches) -> None:
    assert generate(0, 480) == searches
    assert generate(1, 480).splits["test"] != searches.splits["test"]


def test_queries_of_every_sort_go_to_every_split_and_none_to_two(searches: Searches) -> None:
    queries = {split: {row["query"] for row in searches.splits[split]} for split in SPLITS}
    assert {split: len(found) for split, found in queries.items()} == {"train": 300, "dev": 60, "test": 120}
    for split in SPLITS:
        assert {row["asks_for"] for row in searches.splits[split]} == set(SHARES)
    templates = {split: {row["template"] for row in searches.splits[split]} for split in SPLITS}
    assert not templates["train"] & templates["test"] and not templates["dev"] & templates["test"]


def test_pages_are_those_of_the_querys_split(searches: Searches) -> None:
    split_of = {page.doc_id: page.split for page in (*catalogue().manga, *catalogue().help_pages)}
    for split in SPLITS:
        assert {split_of[row["doc_id"]] for row in searches.splits[split]} == {split}


def test_every_query_has_what_was_asked_for_among_what_is_useless(searches: Searches) -> None:
    for query in groups(with_documents(searches.splits["test"], searches.docs)):
        assert len(query["docs"]) == 20
        assert max(query["grades"]) > 0 and query["grades"].count(0.0) >= 10


def test_what_is_marked_for_older_readers_is_useless_to_a_younger_one(searches: Searches) -> None:
    marks = {series.doc_id: series.age for series in catalogue().manga}
    asked = [row for row in searches.splits["test"] if row["asks_for"] == "genre_for_age"]
    ages = [int(next(word for word in row["query"].replace(",", " ").split() if word.isdigit())) for row in asked]
    too_old = [row for row, age in zip(asked, ages, strict=True) if marks.get(row["doc_id"], 0) > age]
    assert too_old and all(row["grade"] == 0 and row["high_risk"] for row in too_old)


def test_clicks_favour_the_first_places_and_the_bias_comes_out_of_them() -> None:
    """At each place what is clicked on average over many rows is what grade and place say; divided, the grade alone."""
    rows = [row for row in generate(3, 800).splits["dev"] if row["grade"] == 3]
    by_place = defaultdict(list)
    for row in rows:
        by_place[row["position"]].append(row)
    first, fifth = (
        sum(row["clicks"] / row["shown"] for row in by_place[place]) / len(by_place[place]) for place in (1, 5)
    )
    assert first == pytest.approx(ATTRACTION[3], abs=0.05)
    assert fifth == pytest.approx(ATTRACTION[3] * examined(5), abs=0.05)
    assert sum(map(relevance, by_place[5])) / len(by_place[5]) == pytest.approx(ATTRACTION[3], abs=0.1)


def test_training_queries_are_graded_by_editors_or_by_clicks_as_a_whole(searches: Searches) -> None:
    by = {
        query: {row["graded_by"] for row in rows}
        for query, rows in groupby(searches.splits["train"], lambda row: row["query"])
    }
    assert {len(found) for found in by.values()} == {1}
    assert 0.2 < sum(found == {"editors"} for found in by.values()) / len(by) < 0.4
    assert {row["graded_by"] for split in ("dev", "test") for row in searches.splits[split]} == {"editors"}


@pytest.mark.parametrize("task", ["sentence-embedding", "pair-scoring"])
def test_written_it_is_what_both_tasks_read(task: str, searches: Searches, tmp_path: Path) -> None:
    write_data(tmp_path, searches.splits, about(0), searches.docs)
    for split in SPLITS:
        found = read_dataset(tmp_path / f"{split}.jsonl", find_task(task))
        assert list(found.rows) == with_documents(searches.splits[split], searches.docs)
