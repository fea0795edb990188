"""Searches in the shop: a query, the pages that were shown for it, how often each was clicked, and how good each is.

Grades follow from what is known of the catalogue (`_WISHES`): 3 is what was asked for, 0 is useless, or not for the
reader's age. The editors grade every query of dev and test and `EDITED` of the training queries; of the others there
are clicks alone, as in a shop.

Clicks have the bias of places: a page is looked at with a probability of 1 / place ** `EYES` and, once looked at,
clicked with `ATTRACTION[grade]` (the examination hypothesis; Richardson et al., "Predicting clicks", WWW 2007). The old
ranker that chose the places knew something of the grades, so clicks taken at face value repeat its mistakes. Dividing
a page's click rate by how likely its place is looked at takes the bias out (inverse propensity; Joachims et al.,
"Unbiased learning-to-rank with biased feedback", WSDM 2017). `relevance` does that, and grades from clicks rest on it.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mct.models.data.files import Row
from mct.models.data.leaks import normalised
from mct.models.scenarios.shop.card import About
from mct.models.scenarios.shop.catalogue import PARTS_DEAL, Catalogue, HelpPage, Manga, catalogue
from mct.models.scenarios.shop.messages import DEAL, SPLITS, Words, deal, deal_words, fill, with_typos
from mct.models.scenarios.shop.texts.catalogue_parts import GENRES
from mct.models.scenarios.shop.texts.searches import (
    ALIKE,
    AUTHOR,
    DARKER,
    GENRE_FOR_AGE,
    HELP,
    LIGHTER,
    LONGER,
    SHORTER,
    TEMPLATES,
    THEME,
    TITLE,
    WISHES,
)

SHARES = {TITLE: 0.2, AUTHOR: 0.1, ALIKE: 0.2, GENRE_FOR_AGE: 0.2, THEME: 0.15, HELP: 0.15}
HIGH_RISK_TOPICS = ("returns", "checkout", "order_tracking", "age_checks", "contact")
TYPO_SHARE = 0.15
EDITED = 0.3

EYES = 0.8
ATTRACTION = (0.03, 0.15, 0.4, 0.7)
_FEWEST_SHOWN, _MOST_SHOWN = 40, 200
_RANKER_NOISE = 1.5


@dataclass(frozen=True)
class Searches:
    """Rows of each split, one a query and page, those of a query together; and every page's text as `docs`."""

    splits: Mapping[str, tuple[Row, ...]]
    docs: tuple[Row, ...]


@dataclass(frozen=True)
class Wish:
    """A query in a customer's words, its template, and the grade it gives to each page that is of any use."""

    query: str
    template: str
    grades: Mapping[str, int]
    high_risk: bool = False


def examined(place: int) -> float:
    """How likely a page at `place` (from 1) is looked at."""
    return math.pow(place, -EYES)


def relevance(row: Row) -> float:
    """How likely who looks at the page clicks on it, 0 to 1, from the row's clicks with the bias of places out."""
    clicks, shown = float(row["clicks"]), float(row["shown"])
    return min(1.0, clicks / (shown * examined(row["position"])))


def generate(seed: int, queries: int, titles: int = 600, shown: int = 20) -> Searches:
    """`queries` over all splits (5/8, 1/8, 2/8), each with `shown` pages. Equal arguments, equal rows."""
    shop = catalogue(seed, titles)
    counts = {split: round(queries * DEAL.count(split) / len(DEAL)) for split in SPLITS}
    splits = {split: tuple(_split_rows(split, counts[split], shown, shop.of(split), seed)) for split in SPLITS}
    return Searches(splits, tuple({"doc_id": name, "doc": text} for name, text in shop.documents().items()))


def with_documents(rows: Sequence[Row], docs: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows with their documents' texts in `doc`, as a reader of the data files gets them."""
    texts = {doc["doc_id"]: doc["doc"] for doc in docs}
    return [{**row, "doc": texts[row["doc_id"]]} for row in rows]


def _split_rows(split: str, queries: int, shown: int, shop: Catalogue, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of new queries: the same words asked twice could want two things."""
    draw = random.Random(f"manga-searches/{seed}/{split}")
    words, pages, said = deal_words(split), list(shop.documents()), set[str]()
    sorts = draw.choices(list(SHARES), list(SHARES.values()), k=queries)
    for sort in sorts:
        wish = _WISHES[sort](shop, words, draw)
        while normalised(wish.query) in said or not wish.grades:
            wish = _WISHES[sort](shop, words, draw)
        said.add(normalised(wish.query))
        edited = split != "train" or draw.random() < EDITED
        facts = {"asks_for": sort, "template": wish.template, "high_risk": wish.high_risk}
        for row in _shown(wish, shown, pages, draw):
            yield row | {"grade": row["grade"] if edited else _grade_from_clicks(row)} | _graded_by(edited) | facts


def _graded_by(edited: bool) -> dict[str, str]:
    return {"graded_by": "editors" if edited else "clicks"}


def _grade_from_clicks(row: Row) -> int:
    """The grade whose attraction is nearest to the page's."""
    return min(range(len(ATTRACTION)), key=lambda grade: abs(ATTRACTION[grade] - relevance(row)))


def _shown(wish: Wish, count: int, pages: Sequence[str], draw: random.Random) -> list[dict[str, Any]]:
    """The pages that the old ranker showed: the best of the useful ones among others, in its order, with clicks."""
    useful = sorted(wish.grades, key=lambda name: (-wish.grades[name], draw.random()))[: count // 2]
    useless = [name for name in pages if not wish.grades.get(name)]
    found = [*useful, *draw.sample(useless, min(len(useless), count - len(useful)))]
    liked = {name: wish.grades.get(name, 0) + draw.gauss(0, _RANKER_NOISE) for name in found}
    ranked = sorted(found, key=lambda name: -liked[name])
    times = draw.randint(_FEWEST_SHOWN, _MOST_SHOWN)
    return [_row(wish, name, place, times, draw) for place, name in enumerate(ranked, start=1)]


def _row(wish: Wish, name: str, place: int, times: int, draw: random.Random) -> dict[str, Any]:
    grade = wish.grades.get(name, 0)
    clicked = examined(place) * ATTRACTION[grade]
    clicks = sum(draw.random() < clicked for _ in range(times))
    return {
        "query": wish.query, "doc_id": name, "grade": grade, "position": place, "shown": times, "clicks": clicks,
    }  # fmt: skip


def _say(sort: str, split: str, words: Words, draw: random.Random, **slots: object) -> tuple[str, str]:
    """A query of that sort in the words of the split, and its template's name."""
    lines = [line.strip() for line in TEMPLATES[sort].strip().splitlines()]
    number, template = draw.choice(deal(list(enumerate(lines)), split, PARTS_DEAL))
    for slot, value in slots.items():
        template = template.replace(f"{{{slot}}}", str(value))
    return _typed(fill(template, words, draw), draw), f"{sort}#{number}"


def _typed(text: str, draw: random.Random) -> str:
    return with_typos(text, draw) if draw.random() < TYPO_SHARE else text


def _for_title(shop: Catalogue, words: Words, draw: random.Random) -> Wish:
    """That series; others of its author are of some use."""
    wanted = draw.choice(shop.manga)
    slots = {"title": wanted.title, "author": wanted.author, "language": wanted.language}
    query, template = _say(TITLE, wanted.split, words, draw, **slots, volume=draw.randint(1, wanted.volumes))
    others = {series.doc_id: 1 for series in shop.manga if series.author == wanted.author}
    return Wish(query, template, others | {wanted.doc_id: 3})


def _for_author(shop: Catalogue, words: Words, draw: random.Random) -> Wish:
    author = draw.choice(shop.manga).author
    query, template = _say(AUTHOR, shop.manga[0].split, words, draw, author=author)
    return Wish(query, template, {series.doc_id: 3 for series in shop.manga if series.author == author})


def _alike(shop: Catalogue, words: Words, draw: random.Random) -> Wish:
    """Of the same genre and as wished: 3 where a theme is shared besides, else 2; 1 where the wish is not met."""
    known, wish = draw.choice(shop.manga), draw.choice(list(WISHES))
    than = draw.choice(WISHES[wish].split("|"))
    query, template = _say(ALIKE, known.split, words, draw, title=known.title, than=than)
    others = [series for series in shop.manga if series is not known and series.genres[0] == known.genres[0]]
    return Wish(query, template, {series.doc_id: _likeness(series, known, wish) for series in others})


def _likeness(series: Manga, known: Manga, wish: str) -> int:
    if not _MET[wish](series, known):
        return 1
    return 3 if set(series.themes) & set(known.themes) else 2


_MET: Mapping[str, Callable[[Manga, Manga], bool]] = {
    LIGHTER: lambda series, known: series.mood < known.mood,
    DARKER: lambda series, known: series.mood > known.mood,
    SHORTER: lambda series, known: series.volumes < known.volumes,
    LONGER: lambda series, known: series.volumes > known.volumes,
}


def _genre_for_age(shop: Catalogue, words: Words, draw: random.Random) -> Wish:
    """Of that genre and marked for that age or younger: 3 where the mark is near the age, 1 where it is beside it.

    What is marked for older readers is useless, however well it fits.
    """
    genre, age = draw.choice(GENRES).name, draw.randint(7, 17)
    query, template = _say(GENRE_FOR_AGE, shop.manga[0].split, words, draw, genre=genre, age=age)
    fit = [series for series in shop.manga if genre in series.genres and series.age <= age]
    grades = {series.doc_id: (3 if age - series.age <= 6 else 2) if series.genres[0] == genre else 1 for series in fit}
    return Wish(query, template, grades, high_risk=True)


def _for_theme(shop: Catalogue, words: Words, draw: random.Random) -> Wish:
    """Genre and theme 3, the theme alone or beside another main genre 2, the genre alone 1."""
    genre = draw.choice(GENRES)
    theme = draw.choice(genre.themes)
    query, template = _say(THEME, shop.manga[0].split, words, draw, genre=genre.name, theme=theme)
    graded = {series.doc_id: _on_theme(series, genre.name, theme) for series in shop.manga}
    return Wish(query, template, {name: grade for name, grade in graded.items() if grade})


def _on_theme(series: Manga, genre: str, theme: str) -> int:
    if theme in series.themes:
        return 3 if series.genres[0] == genre else 2
    return 1 if series.genres[0] == genre else 0


def _for_help(shop: Catalogue, words: Words, draw: random.Random) -> Wish:
    """The page that answers; pages of the same topic are of some use."""
    page = draw.choice(shop.help_pages)
    number, question = draw.choice(list(enumerate(page.questions)))
    asked = _typed(fill(question.template, words, draw), draw)
    query = draw.choice([asked, asked, f"{draw.choice(words.tags)} {asked}", f"{draw.choice(words.openers)} {asked}"])
    grades = {other.doc_id: 1 for other in shop.help_pages if other.topic == page.topic}
    return Wish(query, _template_of(page, number), grades | {page.doc_id: 3}, page.topic in HIGH_RISK_TOPICS)


def _template_of(page: HelpPage, number: int) -> str:
    return f"{page.doc_id}#{number}"


_WISHES: Mapping[str, Callable[[Catalogue, Words, random.Random], Wish]] = {
    TITLE: _for_title, AUTHOR: _for_author, ALIKE: _alike, GENRE_FOR_AGE: _genre_for_age, THEME: _for_theme,
    HELP: _for_help,
}  # fmt: skip


def about(seed: int) -> About:
    """What a data card says of the rows."""
    return About(
        title="Searches in the shop",
        rows="One row is a query and a page that was shown for it.",
        fields={
            "query": "what a customer typed",
            "doc_id": "the page, whose text is in docs.jsonl",
            "grade": "0, useless or not for the reader's age, to 3, what was asked for",
            "graded_by": "editors, or clicks: the grade nearest to the click rate with the bias of places taken out",
            "position": "the place at which the old ranker showed the page, from 1",
            "shown": "how often",
            "clicks": "how often it was clicked",
            "asks_for": "what sort of search it is",
            "template": "what the query was made from",
            "high_risk": "a reader's age, or help with returns, checkout, tracking, age checks or a complaint",
        },
        made=(
            "Titles, authors, help pages and templates were dealt to the splits; queries were made from them "
            "and graded by what the catalogue knows; half of the pages shown at most are of use. Clicks were drawn: "
            f"a page is looked at with 1 / place ** {EYES} and then clicked with {ATTRACTION} by its grade."
        ),
        seed=seed,
        wrong=(
            "Clicks favour the first places, on purpose; places come from a ranker that errs.",
            f"{1 - EDITED:.0%} of the training queries have grades from clicks alone, which are noisy.",
            f"{TYPO_SHARE:.0%} of the queries have typos.",
            "Queries come from templates and pages from parts: narrower than what people search and shops hold.",
        ),
        counted=("asks_for", "grade", "graded_by", "high_risk"),
        compared=("query",),
    )
