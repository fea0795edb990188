"""What readers say of the catalogue's series, with stars: short texts that go with how much they liked it.

A review's sentences are dealt to the splits, as its series is.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mct.models.scenarios.shop.catalogue import PARTS_DEAL, Catalogue, Manga
from mct.models.scenarios.shop.messages import deal

STARS = {5: 0.38, 4: 0.29, 3: 0.15, 2: 0.09, 1: 0.09}
_MOST_VOLUMES_READ = 6


@dataclass(frozen=True)
class Review:
    """One reader's opinion of a series; `bought_here` where the shop knows that they own it."""

    doc_id: str
    split: str
    stars: int
    text: str
    bought_here: bool


def _lines(block: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in block.strip().splitlines())


# What is said of a book by those who gave it so many stars. {theme}, {genre}, {title}, {volume} are of the series.
VERDICTS: dict[int, tuple[str, ...]] = {
    5: _lines("""
        Could not put {title} down.
        The best {genre} series I have read in years.
        I cried twice and laughed more often than that.
        I bought a second set for my sister.
        Volume {volume} is perfect from the first page to the last.
        Nobody writes about {theme} like this.
        An instant favourite.
        Read it in one night, then again the next day.
        I keep pushing {title} on all my friends.
        Worth every coin.
        If you care about {theme}, this is yours.
        My new yardstick for {genre}.
    """),
    4: _lines("""
        A strong series with one slow volume.
        Very good, though the ending of volume {volume} felt rushed.
        I liked how it treats {theme}.
        Solid {genre}, lovely art.
        Nearly great, the middle drags a bit.
        It took me two chapters, then I was in.
        Better than the cover lets on.
        Good fun, and {theme} is handled with care.
        A pleasant surprise, I will read on.
        Great characters, a few clichés.
        Well worth reading if you like {genre}.
        Only the lettering kept me from the full score.
    """),
    3: _lines("""
        It is fine.
        Some good ideas about {theme}, some filler.
        I liked the art more than the story.
        Average {genre}, nothing new.
        Started well and lost me around volume {volume}.
        Not sure whether I will go on.
        Good for a train ride.
        My brother loved it, I was lukewarm.
        Half of it works.
        You have read this before, but it is not bad.
        Fans of {theme} may get more from it.
        Neither hot nor cold.
    """),
    2: _lines("""
        I expected more from the blurb.
        Too many characters and none of them stays with you.
        {title} wastes a good start.
        The translation reads stiff.
        Volume {volume} repeats volume one.
        For a {genre} series it is oddly dull.
        The print is so dark that I could not make out the panels.
        I skipped pages.
        {theme} is promised and hardly there.
        The jokes fall flat.
        Gave up before the end.
        Pretty, and empty.
    """),
    1: _lines("""
        A waste of paper.
        I want those hours back.
        {title} is the worst {genre} I own.
        Pages fell out of volume {volume} on the first day.
        Nothing makes sense after the second chapter.
        It treats {theme} like a joke.
        Returned it.
        I do not understand the praise at all.
        Ugly, loud and mean.
        The story just stops.
        Do not buy this for a child, the mark is far too low.
        Not one likeable person in it.
    """),
}


def reviews(shop: Catalogue, seed: int = 0, per_series: int = 3) -> tuple[Review, ...]:
    """`per_series` reviews of each series, in the catalogue's order. Equal arguments, equal reviews."""
    draw = random.Random(f"manga-reviews/{seed}")
    return tuple(_review(series, draw) for series in shop.manga for _ in range(per_series))


def _review(series: Manga, draw: random.Random) -> Review:
    stars = draw.choices(list(STARS), list(STARS.values()))[0]
    said: Sequence[str] = draw.sample(deal(VERDICTS[stars], series.split, PARTS_DEAL), draw.choice([1, 2, 2]))
    text = " ".join(said).format(
        title=series.title,
        genre=series.genres[0],
        theme=draw.choice(series.themes),
        volume=draw.randint(1, min(series.volumes, _MOST_VOLUMES_READ)),
    )
    return Review(series.doc_id, series.split, stars, text[0].upper() + text[1:], draw.random() < 0.7)
