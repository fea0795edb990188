import re

import pytest

from mct.models.scenarios.shop.catalogue import Catalogue, catalogue
from mct.models.scenarios.shop.messages import SPLITS
from mct.models.scenarios.shop.reviews import STARS, VERDICTS, reviews
from mct.models.scenarios.shop.texts.catalogue_parts import GENRES, MOODS
from mct.models.scenarios.shop.texts.fillers import AUTHORS, TITLES


@pytest.fixture(scope="module")
def shop() -> Catalogue:
    return catalogue()


def test_the_same_seed_gives_the_same_catalogue_and_another_seed_another(shop: Catalogue) -> None:
    assert catalogue() == shop
    assert catalogue(seed=1).manga != shop.manga
    assert catalogue(seed=1).help_pages == shop.help_pages


def test_titles_go_to_the_splits_in_the_shares_of_all_data(shop: Catalogue) -> None:
    assert {split: len(shop.of(split).manga) for split in SPLITS} == {"train": 375, "dev": 75, "test": 150}
    assert len({series.title for series in shop.manga}) == len(shop.documents()) - len(shop.help_pages) == 600
    for split in SPLITS:
        assert {series.genres[0] for series in shop.of(split).manga} == {genre.name for genre in GENRES}


def test_every_split_has_pages_of_every_help_topic(shop: Catalogue) -> None:
    topics = {page.topic for page in shop.help_pages}
    assert len(shop.help_pages) == 8 * len(topics) == 64
    for split in SPLITS:
        assert {page.topic for page in shop.of(split).help_pages} == topics
    assert all(len(page.questions) == 3 for page in shop.help_pages)


def test_neither_authors_nor_words_of_titles_nor_blurbs_are_in_two_splits(shop: Catalogue) -> None:
    nouns = {noun for genre in GENRES for noun in genre.nouns}
    assert len(nouns) == sum(len(genre.nouns) for genre in GENRES), "a noun of two genres hints at neither"
    for first, second in (("train", "dev"), ("train", "test"), ("dev", "test")):
        one, other = shop.of(first).manga, shop.of(second).manga
        assert not {series.author for series in one} & {series.author for series in other}
        assert not {noun for noun in nouns if _in_titles(noun, one)} & {
            noun for noun in nouns if _in_titles(noun, other)
        }
        sentences = [{part for series in split for part in _sentences(series.blurb)} for split in (one, other)]
        assert not sentences[0] & sentences[1]


def test_invented_titles_and_authors_are_not_those_that_exist(shop: Catalogue) -> None:
    assert not {series.title for series in shop.manga} & set(TITLES)
    assert not {series.author for series in shop.manga} & set(AUTHORS)


def test_dark_books_are_not_for_children(shop: Catalogue) -> None:
    assert all(series.age >= 13 for series in shop.manga if series.mood >= 4 and series.genres[0] == "horror")
    assert any(series.age == 18 for series in shop.manga)
    assert all(series.age > 0 for series in shop.manga if series.warnings)


def test_a_page_says_what_is_known_of_a_series(shop: Catalogue) -> None:
    series = shop.manga[0]
    for known in (series.title, series.author, series.age_mark, series.blurb, series.price, *series.themes):
        assert known in series.text


def test_reviews_have_the_stars_that_their_words_give(shop: Catalogue) -> None:
    found = reviews(shop, per_series=4)
    assert found == reviews(shop, per_series=4)
    assert {review.stars for review in found} == set(STARS)
    assert len({verdict for verdicts in VERDICTS.values() for verdict in verdicts}) == 60
    assert all("{" not in review.text for review in found)


def _in_titles(noun: str, manga: tuple) -> bool:  # type: ignore[type-arg]
    return any(re.search(rf"\b{noun}\b", series.title) for series in manga)


def _sentences(blurb: str) -> list[str]:
    """Without the last one, which only names the mood."""
    moods = {mood.capitalize() for words in MOODS.values() for mood in words}
    return [part for part in re.split(r"(?<=[.]) ", blurb) if part.rstrip(".") not in moods]
