"""Which tokens make up which word."""

from pathlib import Path

from mct.models.tasks.tokens import open_tokenizer
from mct.release.inspection.asking.words import MOST_WORDS, cut_answer, cut_pair, cut_text


def test_every_token_but_the_special_ones_belongs_to_a_word(tiny_bert: Path) -> None:
    tokenize = open_tokenizer(tiny_bert, 64)
    cut = cut_text(tokenize, "Where is  my order?")
    assert cut.words == ("Where", "is", "my", "order?")
    owned = sorted(place for places in cut.places for place in places)
    assert owned == list(range(1, len(cut.tokens.ids) - 1))


def test_a_word_left_out_leaves_the_rest_as_it_was(tiny_bert: Path) -> None:
    tokenize = open_tokenizer(tiny_bert, 64)
    cut = cut_text(tokenize, "where is my order")
    assert cut.without(1).ids == tokenize("where my order").ids
    masked = cut.masked(1, 4)
    assert len(masked.ids) == len(cut.tokens.ids) and masked.words == cut.tokens.words
    assert [masked.ids[place] for place in cut.places[1]] == [4] * len(cut.places[1])


def test_text_without_spaces_is_cut_by_characters(tiny_bert: Path) -> None:
    assert cut_text(open_tokenizer(tiny_bert, 64), "鬼滅の刃 order").words == ("鬼滅", "の刃", "order")


def test_a_long_text_is_cut_into_windows(tiny_llama: Path) -> None:
    cut = cut_text(open_tokenizer(tiny_llama, 2000), " ".join(["or"] * 100))
    assert len(cut.words) == MOST_WORDS
    owned = [place for places in cut.places for place in places]
    assert sorted(owned) == list(range(1, len(cut.tokens.ids))) and len(set(owned)) == len(owned)


def test_what_truncation_took_is_no_word(tiny_bert: Path) -> None:
    cut = cut_text(open_tokenizer(tiny_bert, 5), "where is my order please")
    assert 0 < len(cut.words) < 5 and all(max(places) < 4 for places in cut.places)


def test_a_pair_has_the_words_of_both(tiny_bert: Path) -> None:
    cut = cut_pair(open_tokenizer(tiny_bert, 64), "my order", "is here")
    assert cut.words == ("my", "order", "is", "here")
    assert [place for places in cut.places for place in places] == sorted(
        place for places in cut.places for place in places
    )


def test_what_is_foreseen_is_no_word_and_an_answer_follows_its_prompt(tiny_llama: Path) -> None:
    tokenize = open_tokenizer(tiny_llama, 128)
    cut = cut_text(tokenize, "order or in", keep_last=True)
    assert all(len(cut.tokens.ids) - 1 not in places for places in cut.places)
    told = cut_answer(tokenize, "order ", "in")
    assert 0 < told.tokens.given < len(told.tokens.ids)
