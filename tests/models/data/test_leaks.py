from hypothesis import given, settings
from hypothesis import strategies as st

from mct.models.data.leaks import NEAR, Leak, _members, leaks, normalised

SAID = "where is the parcel with the two volumes that I paid for on Monday"


def test_texts_that_read_alike_are_the_same() -> None:
    assert list(leaks({"train": ["Where is it?!"], "test": ["where IS it"]})) == [
        Leak(("train", "test"), ("Where is it?!", "where IS it"), 1.0)
    ]


def test_one_word_more_in_a_long_text_is_nearly_the_same_and_another_text_is_not() -> None:
    (leak,) = leaks({"train": [SAID, "I want my money back"], "dev": [], "test": [f"{SAID} please", "is it in stock?"]})
    assert leak.texts == (SAID, f"{SAID} please")
    assert NEAR <= leak.overlap < 1


def test_what_is_said_twice_within_a_split_leaks_nothing() -> None:
    assert not list(leaks({"train": [SAID, SAID], "test": ["something else altogether"]}))


# Of three words only, so that overlaps of every size come up.
said = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=9).map(" ".join), max_size=12)


@settings(max_examples=200, deadline=None)
@given(said, said)
def test_the_quick_way_finds_what_comparing_all_with_all_finds(left: list[str], right: list[str]) -> None:
    found = {leak.texts for leak in leaks({"train": left, "test": right})}
    sets = {text: _members(normalised(text)) for text in {*left, *right}}
    overlap = {(a, b): len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a in left for b in right}
    assert found == {pair for pair, share in overlap.items() if share >= NEAR}
