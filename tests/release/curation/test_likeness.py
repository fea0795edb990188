"""Which texts say the same: by hand, and against comparing all with all."""

import random

import pytest

from mct.release.curation.likeness import is_slip, likeness, meetings, repeats, standing_in

ORDER = "I ordered two volumes last week and they have not arrived yet"


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("order", "ordre", True), ("order", "orders", True), ("order", "ordr", True), ("order", "oder", True),
        ("card", "cash", False), ("can", "car", False), ("order", "older", True), ("volume7", "volume8", False),
        ("arrive", "arrival", False),
    ],
)  # fmt: skip
def test_a_slip_is_one_letter(one: str, other: str, wanted: bool) -> None:
    assert is_slip(one, other) == is_slip(other, one) == wanted


def test_a_rare_word_may_be_more_of_a_slip() -> None:
    assert not is_slip("the", "teh") and is_slip("the", "teh", rare=True)
    assert not is_slip("weeks", "ewkes") and is_slip("volumes", "vloumse", rare=True)
    assert not is_slip("volumes", "columns", rare=False)
    assert likeness("my card is lost now", "mycard is lost now") == pytest.approx(3 / 6)
    assert likeness("my card is lost now", "mycard is lost now", lambda word: word == "mycard") == 1


COPIES = {
    ORDER: "same",
    ORDER.upper() + " !!": "same",
    "Last week I ordered two volumes and they have not arrived yet": "reordered",
    ORDER.replace("volumes", "vloumes"): "near",
    ORDER + " please": "near",
}


@pytest.mark.parametrize(("changed", "how"), COPIES.items())
def test_a_copy_is_told_by_how_it_was_changed(changed: str, how: str) -> None:
    (found,) = meetings(["how much is shipping", changed], ["where is my parcel", ORDER])
    assert (found.place, found.of, found.how) == (1, 1, how)


def test_another_question_is_no_copy() -> None:
    assert not meetings(["How do I add cash to my account?"], ["How do I add the card to my account?"])
    assert not meetings(["order 12345 has not arrived here yet"], ["order 12346 has not arrived here yet"])


def test_a_repetition_names_the_first_that_says_so() -> None:
    found = repeats(["where is it", "a b c", "Where is it?", "WHERE IS IT", "???", "!!!", "???"])
    assert [(match.place, match.of) for match in found] == [(2, 0), (3, 0), (6, 4)]


def test_what_minhash_offers_is_what_comparing_all_finds(clean_rows: list[dict[str, str]]) -> None:
    """But for the few pairs that it misses, by how it works."""
    texts = [row["text"] for row in clean_rows[:250]]
    draw = random.Random(0)
    copies = []
    for text in texts[:120]:
        at = draw.randrange(1, len(text) - 1)
        copies.append(text[:at] + text[at + 1] + text[at] + text[at + 2 :])
    found = {match.place for match in meetings(copies, texts)}
    near = {place for place, copy in enumerate(copies) if any(likeness(copy, text) >= 0.9 for text in texts)}
    assert len(near - found) <= 0.05 * len(near)
    assert len(found) > 80


def test_nothing_stands_in_nothing() -> None:
    assert not standing_in([])("where is it") and not repeats([]) and not meetings([], ["a"])
    assert [match.how for match in repeats(["", "", "\ud800", "\ud800"])] == ["same", "same"]
