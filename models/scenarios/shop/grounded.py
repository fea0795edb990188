"""Questions that the shop's pages answer, each with documents of which few are the right one: what RAFT trains on.

A row has `question`, `context` (documents in random order), `gold` (the indices of those that answer it) and `answer`,
in the words of the gold document. In one row of seven no document answers, and the right answer says so. Documents and
questions are dealt to the splits: dev and test ask in new words about books and rules that training never saw.

Zhang et al. 2024, "RAFT: Adapting Language Model to Domain Specific RAG", arXiv:2403.10131.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mct.models.data.files import Row
from mct.models.scenarios.shop.card import About
from mct.models.scenarios.shop.catalogue import Catalogue, HelpPage, Manga, catalogue
from mct.models.scenarios.shop.messages import DEAL, SPLITS, Words, deal, fill
from mct.models.scenarios.shop.texts.facts import FACTS

NOT_SAID = "our pages do not say"
UNANSWERED = 1 / 7
ABOUT_SERIES = 0.7
_NO_WORDS = Words({}, {}, {}, (), (), (), (), ())


@dataclass(frozen=True)
class _Asked:
    """A question, its answer, the document that holds it, and others that are near to that."""

    question: str
    answer: str
    document: str
    others: Sequence[str]
    template: str
    kind: str
    genre: str = ""


def generate(seed: int, rows: int, documents: int) -> dict[str, list[Row]]:
    """So many rows over all splits (5/8 train, 1/8 dev, 2/8 test), each with so many `documents`, two or more.

    The same arguments give the same rows in every process.
    """
    whole = catalogue(seed)
    made = {}
    for split in SPLITS:
        draw, shop = random.Random(f"manga-grounded/{seed}/{split}"), whole.of(split)
        made[split] = [_row(shop, split, documents, draw) for _ in range(rows * DEAL.count(split) // len(DEAL))]
    return made


def about(seed: int, documents: int) -> About:
    """The words of the data card of what `generate` made with this seed."""
    return About(
        title="Questions to the shop's pages, with distractors",
        rows=f"A row is one question with {documents} documents, of which one holds the answer, or none.",
        fields={
            "question": "what is asked",
            "context": "the documents that are given with it, in random order",
            "gold": "the indices of the documents that hold the answer; empty where none does",
            "answer": f'the answer, in the words of the document; "{NOT_SAID}" where no document holds it',
            "kind": '"series" or "help": what the question is about',
            "template": "what the question was made from: rows of one template belong together",
            "genre": "of the series asked about",
            "prompt": "question and documents in the form that the model is taught",
            "text": "the prompt with its answer",
        },
        made="Questions are asked about series and help pages of the invented catalogue. Distractors are pages of the "
        "same genre, author or topic where there are any. Pages and wordings are dealt to the splits before any row.",
        seed=seed,
        wrong=[
            f"{UNANSWERED:.0%} of the rows have no document that answers, on purpose.",
            "Answers are fragments of the page, and never need two documents.",
        ],
        counted=("kind", "genre"),
        compared=("question",),
    )


def page_of(series: Manga) -> str:
    """What is known of a series, without what it tells: short enough for several in one prompt."""
    count = f"{series.volumes} volume{'s' if series.volumes > 1 else ''}"
    return (
        f"{series.title} by {series.author}. {series.genres[0].capitalize()}, {series.age_mark}. {count}, "
        f"{series.imprint}, since {series.year}, {series.price} a volume."
    )


def _row(shop: Catalogue, split: str, documents: int, draw: random.Random) -> Row:
    asked = _about_series(shop, split, draw) if draw.random() < ABOUT_SERIES else _about_rules(shop, draw)
    answered = draw.random() >= UNANSWERED
    others = draw.sample(asked.others, min(len(asked.others), documents - answered))
    context = draw.sample([*others, *([asked.document] if answered else [])], len(others) + answered)
    genre = {"genre": asked.genre} if asked.genre else {}
    return {
        "question": asked.question,
        "context": context,
        "gold": [context.index(asked.document)] if answered else [],
        "answer": asked.answer if answered else NOT_SAID,
        "kind": asked.kind,
        "template": asked.template,
    } | genre


def _about_series(shop: Catalogue, split: str, draw: random.Random) -> _Asked:
    series, fact = draw.choice(shop.manga), draw.choice(list(FACTS))
    ways = [line.strip() for line in FACTS[fact].strip().splitlines()]
    place = draw.choice(deal(range(len(ways)), split))
    near = [other for other in shop.manga if other != series and _is_near(other, series)]
    return _Asked(
        ways[place].format(title=series.title), _fact(series, fact), page_of(series), [page_of(each) for each in near],
        f"{fact}#{place}", "series", series.genres[0],
    )  # fmt: skip


def _is_near(other: Manga, series: Manga) -> bool:
    return other.genres[0] == series.genres[0] or other.author == series.author


def _fact(series: Manga, fact: str) -> str:
    return {
        "volumes": f"{series.volumes} volume{'s' if series.volumes > 1 else ''}",
        "author": series.author,
        "age": series.age_mark,
        "price": f"{series.price} a volume",
        "imprint": series.imprint,
        "year": f"since {series.year}",
    }[fact]


def _about_rules(shop: Catalogue, draw: random.Random) -> _Asked:
    page = draw.choice(shop.help_pages)
    number, question = draw.choice(list(enumerate(page.questions)))
    others = sorted((each for each in shop.help_pages if each != page), key=lambda each: _distance(each, page))
    return _Asked(
        fill(question.template, _NO_WORDS, draw) + "?", question.answer, page.text,
        [each.text for each in others[:4]], f"{page.doc_id}#{number}", "help",
    )  # fmt: skip


def _distance(other: HelpPage, page: HelpPage) -> tuple[bool, str]:
    """Pages of the same topic come first."""
    return other.topic != page.topic, other.doc_id
