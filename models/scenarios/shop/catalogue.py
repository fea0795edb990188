"""The shop's catalogue and help pages, invented: what queries find, grounded answers rest on and dialogues talk about.

Everything that a title is made of (words of the title, names, settings, parts of its blurb) is dealt to the splits
before any title is made, and so are the pages of every help topic: a model is asked about books and rules that it was
not trained on. The deal does not depend on the seed. The trade-off is that of all generated text: the catalogue is
narrower than a real one, so scores compare models, and say little about a shop.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from mct.models.scenarios.shop.messages import DEAL, SPLITS, deal
from mct.models.scenarios.shop.texts.catalogue_parts import (
    ADJECTIVES,
    EDITORIAL_TAGS,
    FAMILY_NAMES,
    GENRES,
    GIVEN_NAMES,
    IMPRINTS,
    LANGUAGES,
    MOODS,
    PLACES,
    SETTINGS,
    TITLE_FORMS,
    TWISTS,
    Genre,
)
from mct.models.scenarios.shop.texts.help_pages import HELP_PAGES

# Parts of titles and blurbs: the small splits need more of them than of rows, or their books would all read alike.
PARTS_DEAL = ("train", "test", "train", "dev")
TITLES_PER_AUTHOR = 4
SHORT_SERIES, LONG_SERIES = 3, 20
BEGINNERS_MOOD = 2


@dataclass(frozen=True)
class Manga:
    """One series. `genres` has its main genre first, `age` is 0 for all ages, `mood` goes from 1, light, to 5, dark."""

    doc_id: str
    split: str
    title: str
    author: str
    genres: tuple[str, ...]
    age: int
    mood: int
    volumes: int
    finished: bool
    year: int
    imprint: str
    language: str
    price_cents: int
    blurb: str
    themes: tuple[str, ...]
    tags: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def age_mark(self) -> str:
        """As the shop prints it: "all ages", "13+"."""
        return f"{self.age}+" if self.age else "all ages"

    @property
    def price(self) -> str:
        """Of one volume: "9.90"."""
        return f"{self.price_cents // 100}.{self.price_cents % 100:02d}"

    @property
    def text(self) -> str:
        """Its page in the shop, in one paragraph, what is searched for most often first: models cut texts off."""
        notes = f" Content notes: {', '.join(self.warnings)}." if self.warnings else ""
        return (
            f"{self.title} by {self.author}. {self.genres[0].capitalize()}{_also(self.genres[1:])}, {self.age_mark}. "
            f"Themes: {', '.join(self.themes)}. {_extent(self)}. {self.blurb} {', '.join(self.tags).capitalize()}. "
            f"{self.language}, {self.imprint}, since {self.year}, {self.price} a volume.{notes}"
        )


@dataclass(frozen=True)
class Question:
    """What a customer asks that one help page answers: a template with [a|b] choices, and the answer."""

    template: str
    answer: str


@dataclass(frozen=True)
class HelpPage:
    """One page of the shop's rules."""

    doc_id: str
    split: str
    topic: str
    heading: str
    body: str
    questions: tuple[Question, ...]

    @property
    def text(self) -> str:
        """Heading and body."""
        return f"{self.heading}. {self.body}"


@dataclass(frozen=True)
class Catalogue:
    """Series and help pages of all splits."""

    manga: tuple[Manga, ...]
    help_pages: tuple[HelpPage, ...]

    def of(self, split: str) -> "Catalogue":
        """What belongs to one split."""
        return Catalogue(
            tuple(series for series in self.manga if series.split == split),
            tuple(page for page in self.help_pages if page.split == split),
        )

    def documents(self) -> dict[str, str]:
        """Every page's text by its doc_id."""
        pages: tuple[Manga | HelpPage, ...] = (*self.manga, *self.help_pages)
        return {page.doc_id: page.text for page in pages}


@dataclass(frozen=True)
class _Parts:
    """What the titles of one split are made of; those of a genre by its name."""

    nouns: Mapping[str, Sequence[str]]
    heroes: Mapping[str, Sequence[str]]
    troubles: Mapping[str, Sequence[str]]
    adjectives: Sequence[str]
    places: Sequence[str]
    given_names: Sequence[str]
    family_names: Sequence[str]
    settings: Sequence[str]
    twists: Sequence[str]


def catalogue(seed: int = 0, titles: int = 600) -> Catalogue:
    """Make `titles` series (5/8 train, 1/8 dev, 2/8 test) and all help pages. Equal arguments, equal catalogue."""
    splits = [DEAL[number % len(DEAL)] for number in range(titles)]
    made = {split: iter(_series_of(split, splits.count(split), seed)) for split in SPLITS}
    manga = [replace(next(made[split]), doc_id=f"manga-{number:04d}") for number, split in enumerate(splits)]
    return Catalogue(tuple(manga), tuple(page for topic, block in HELP_PAGES.items() for page in _pages(topic, block)))


def _series_of(split: str, count: int, seed: int) -> list[Manga]:
    draw = random.Random(f"manga-catalogue/{seed}/{split}")
    parts = _deal_parts(split)
    names = [f"{given} {family}" for given, family in product(parts.given_names, parts.family_names)]
    authors = draw.sample(names, min(len(names), -(-count // TITLES_PER_AUTHOR)))
    made: dict[str, Manga] = {}
    while len(made) < count:
        series = _series(GENRES[len(made) % len(GENRES)], split, parts, draw.choice(authors), draw)
        made.setdefault(series.title, series)
    return draw.sample(list(made.values()), count)


def _deal_parts(split: str) -> _Parts:
    def dealt(entries: Sequence[str]) -> list[str]:
        return deal(entries, split, PARTS_DEAL)

    return _Parts(
        nouns={genre.name: dealt(genre.nouns) for genre in GENRES},
        heroes={genre.name: dealt(genre.heroes) for genre in GENRES},
        troubles={genre.name: dealt(genre.troubles) for genre in GENRES},
        adjectives=dealt(ADJECTIVES),
        places=dealt(PLACES),
        given_names=dealt(GIVEN_NAMES),
        family_names=dealt(FAMILY_NAMES),
        settings=dealt(SETTINGS),
        twists=dealt(TWISTS),
    )


def _series(genre: Genre, split: str, parts: _Parts, author: str, draw: random.Random) -> Manga:
    mood = draw.randint(*genre.mood)
    lightest, darkest = genre.mood
    age = genre.ages[2 * (mood - lightest) // (darkest - lightest) + draw.choice([0, 0, 1])]
    volumes = min(draw.randint(1, 12) * draw.choice([1, 1, 1, 3]), 36)
    second = draw.choice([other.name for other in GENRES if other != genre and other.mood[0] <= mood <= other.mood[1]])
    return Manga(
        doc_id="",
        split=split,
        title=_title(genre, parts, draw),
        author=author,
        genres=(genre.name, second) if draw.random() < 0.3 else (genre.name,),
        age=age,
        mood=mood,
        volumes=volumes,
        finished=draw.random() < 0.6,
        year=draw.randint(1994, 2025),
        imprint=draw.choice(IMPRINTS),
        language=draw.choices(list(LANGUAGES), list(LANGUAGES.values()))[0],
        price_cents=draw.randrange(690, 1690, 100),
        blurb=_blurb(genre, mood, parts, draw),
        themes=tuple(draw.sample(genre.themes, 3)),
        tags=_tags(mood, volumes, draw),
        warnings=genre.warnings[: 1 + (mood == darkest)] if mood > (lightest + darkest) / 2 and age else (),
    )


def _title(genre: Genre, parts: _Parts, draw: random.Random) -> str:
    return draw.choice(TITLE_FORMS).format(
        adjective=draw.choice(parts.adjectives),
        noun=draw.choice(parts.nouns[genre.name]),
        place=draw.choice(parts.places),
        name=draw.choice(parts.given_names),
    )


def _blurb(genre: Genre, mood: int, parts: _Parts, draw: random.Random) -> str:
    hero, trouble = draw.choice(parts.heroes[genre.name]), draw.choice(parts.troubles[genre.name])
    setting, feel = draw.choice(parts.settings), draw.choice(MOODS[mood])
    story = draw.choice([
        f"{hero} faces {trouble} {setting}.",
        f"{setting}, {hero} is drawn into {trouble}.",
        f"It begins with {trouble}: {hero}, {setting}, has to choose a side.",
    ])  # fmt: skip
    return f"{story[0].upper()}{story[1:]} {draw.choice(parts.twists)} {feel.capitalize()}."


def _tags(mood: int, volumes: int, draw: random.Random) -> tuple[str, ...]:
    """What the editors say of it: two drawn, and what follows from its length and mood."""
    tags = draw.sample(EDITORIAL_TAGS, 2)
    tags += ["short series"] if volumes <= SHORT_SERIES else ["long runner"] if volumes >= LONG_SERIES else []
    return (*tags, *(["beginner friendly"] if mood <= BEGINNERS_MOOD and volumes < LONG_SERIES else []))


def _also(genres: Sequence[str]) -> str:
    return f" with {genres[0]}" if genres else ""


def _extent(series: Manga) -> str:
    count = f"{series.volumes} volume{'s' if series.volumes > 1 else ''}"
    return f"{count}, {'complete' if series.finished else 'ongoing'}"


def _pages(topic: str, block: str) -> list[HelpPage]:
    pages = [page.strip() for page in re.split(r"^\s*# ", block, flags=re.MULTILINE)[1:]]
    return [_page(topic, number, page) for number, page in enumerate(pages)]


def _page(topic: str, number: int, page: str) -> HelpPage:
    heading, body, *asked = (line.strip() for line in page.splitlines())
    questions = [line.removeprefix("? ").split(" = ") for line in asked]
    return HelpPage(
        doc_id=f"help-{topic}-{number}",
        split=DEAL[number % len(DEAL)],
        topic=topic,
        heading=heading,
        body=body,
        questions=tuple(Question(template, answer) for template, answer in questions),
    )
