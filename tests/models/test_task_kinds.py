"""What each task kind makes of rows, outputs and answers: values worked by hand."""

from math import log2
from pathlib import Path

import numpy as np
import pytest

from mct.models.examples import Kind, Part, find_kind
from mct.models.task_tags import entities
from mct.models.tasks import TASKS, Head
from mct.models.tokens import Tokens, open_tokenizer

LABELS = ("anger", "joy", "neutral")
TAGS = ("O", "B-title", "I-title", "B-volume")


@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_every_row_of_the_table_has_its_functions(task: str) -> None:
    assert isinstance(find_kind(task), Kind)


def test_a_label_is_the_highest_logit() -> None:
    kind = find_kind("sequence-classification")
    (example,) = kind.read([{"text": "so good", "label": "joy"}])
    answer = kind.decode({"logits": np.array([[0.1, 2.0, 1.9]])}, [], [Head("logits", "label", LABELS)])
    assert (example.request, answer) == ("so good", "joy")
    assert kind.score(example.truth, answer) == {"accuracy": Part(1.0, 1.0)}
    assert kind.score(example.truth, "anger") == {"accuracy": Part(0.0, 1.0)}


def test_labels_are_those_with_a_positive_logit_and_are_scored_by_f1_over_all_decisions() -> None:
    kind = find_kind("multi-label-classification")
    (example,) = kind.read([{"text": "hm", "labels": ["neutral", "anger"]}])
    answer = kind.decode({"logits": np.array([[0.1, 2.0, -1.0]])}, [], [Head("logits", "labels", LABELS)])
    assert answer == ["anger", "joy"]
    # one of two found is right, one of two true ones is found: 2 * 1 / (2 + 2)
    assert kind.score(example.truth, answer) == {"f1_micro": Part(2.0, 4.0), "exact_match": Part(0.0, 1.0)}


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O B-title I-title O B-title", [("title", 1, 2), ("title", 4, 4)]),
        ("B-title B-title I-title", [("title", 0, 0), ("title", 1, 2)]),
        ("B-title I-volume", [("title", 0, 0), ("volume", 1, 1)]),
        ("I-title I-title O", [("title", 0, 1)]),
        ("O O", []),
    ],
)
def test_entities_as_conll_counts_them(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert list(entities(tags.split())) == found


def test_tags_are_read_from_each_words_first_token_and_scored_by_whole_entities() -> None:
    kind = find_kind("token-classification")
    (example,) = kind.read([{"text": "buy one piece 3", "slots": "O B-title I-title B-volume"}])
    logits = np.full((1, 7, 4), -1.0)
    for place, tag in {1: 0, 2: 1, 4: 0, 5: 3}.items():  # "one" takes tokens 2 and 3
        logits[0, place, tag] = 1.0
    inputs = [Tokens([0] * 7, [0] * 7, (1, 2, 4, 5))]
    answer = kind.decode({"logits": logits}, inputs, [Head("logits", "tags", TAGS)])
    assert answer == ["O", "B-title", "O", "B-volume"]
    # the title ends too early: of two true and two found entities one is right
    assert kind.score(example.truth, answer) == {"f1_entities": Part(2.0, 4.0)}


def test_several_heads_answer_by_name_and_have_a_metric_each() -> None:
    kind = find_kind("multi-head")
    (example,) = kind.read([{"text": "order naruto", "label": "buy", "slots": ["O", "B-title"]}])
    heads = [Head("label", "label", ("buy", "return")), Head("slots", "tags", TAGS)]
    slots = np.zeros((1, 3, 4))
    slots[0, 1, 0] = slots[0, 2, 3] = 1.0
    outputs = {"label_logits": np.array([[2.0, 1.0]]), "slots_logits": slots}
    answer = kind.decode(outputs, [Tokens([0] * 3, [0] * 3, (1, 2))], heads)
    assert answer == {"label": "buy", "slots": ["O", "B-volume"]}
    assert kind.score(example.truth, answer) == {
        "all_heads_right": Part(0.0, 1.0),
        "label accuracy": Part(1.0, 1.0),
        "slots f1_entities": Part(0.0, 2.0),
    }
    assert tuple(kind.labels(example.truth)) == ("buy",)


ROWS = [
    {"query": "cooking", "doc": "a", "grade": 3},
    {"query": "ninja", "doc": "b", "grade": 0},
    {"query": "cooking", "doc": "c", "grade": 0},
    {"query": "cooking", "doc": "d", "grade": 1},
]


def test_pairs_are_gathered_by_query_and_scored_by_ndcg() -> None:
    kind = find_kind("pair-scoring")
    cooking, ninja = kind.read(ROWS)
    assert cooking.request == {"query": "cooking", "docs": ["a", "c", "d"]}
    assert cooking.truth == [3.0, 0.0, 1.0]
    # put in the order c, a, d: gains 0, 7, 1 at ranks 1, 2, 3; the ideal order a, d, c
    parts = kind.score(cooking.truth, [0.5, 0.9, 0.1])
    assert parts["ndcg_at_10"].got == pytest.approx((7 / log2(3) + 1 / 2) / (7 + 1 / log2(3)))
    assert parts["recall_at_10"] == Part(1.0, 1.0)
    assert kind.score(ninja.truth, [0.3])["ndcg_at_10"] == Part(0.0, 0.0), "nothing relevant: it counts in no mean"


def test_an_embedder_is_timed_on_the_query_and_scored_by_cosine() -> None:
    kind = find_kind("sentence-embedding")
    cooking, _ = kind.read(ROWS)
    assert cooking.request == "cooking"
    assert cooking.scored == {"query": "cooking", "docs": ["a", "c", "d"]}
    vectors = np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 5.0], [-2.0, 0.0]])
    cosines = kind.decode({"sentence_embedding": vectors}, [Tokens([], [])] * 4, [])
    assert cosines == pytest.approx([2**-0.5, 0.0, -1.0], abs=1e-6)


def test_a_reward_model_prefers_the_chosen_answer() -> None:
    kind = find_kind("reward")
    (example,) = kind.read([{"prompt": "p", "chosen": "yes", "rejected": "no"}])
    assert example.scored["answers"] == ["yes", "no"]
    rewards = kind.decode({"logits": np.array([[0.25], [-1.0]])}, [], [])
    assert kind.score(example.truth, rewards) == {"preference_accuracy": Part(1.0, 1.0)}
    assert kind.score(example.truth, [0.5, 0.5]) == {"preference_accuracy": Part(0.5, 1.0)}


def test_a_language_model_is_scored_by_the_tokens_it_foresees() -> None:
    kind = find_kind("causal-lm")
    # after token 0 it gives token 1 the odds 3 : 1 against token 0, after token 1 it prefers token 1 though 0 comes
    logits = np.log(np.array([[[1.0, 3.0], [1.0, 4.0], [1.0, 1.0]]]))
    answer = kind.decode({"logits": logits}, [Tokens([0, 1, 0], [0] * 3)], [])
    assert answer["tokens"] == 2 and answer["right"] == 1
    assert answer["nll"] == pytest.approx(-np.log(3 / 4) - np.log(1 / 5), abs=1e-4)
    assert kind.score(None, answer) == {"next_token_accuracy": Part(1.0, 2.0)}


def test_a_prompt_is_the_first_half_of_the_text_unless_the_row_has_one() -> None:
    kind = find_kind("causal-lm")
    whole, given = kind.read([{"text": "once upon a time"}, {"text": "x y", "prompt": "say"}])
    assert (whole.request, whole.scored) == ("once upon", "once upon a time")
    assert given.request == "say"


def test_words_know_their_first_token(tiny_bert: Path) -> None:
    tokenize = open_tokenizer(tiny_bert, 512)
    text = "Where's  my order?"
    tokens = tokenize.with_words(text)
    pieces = [tokenize.tokenizer.id_to_token(tokens.ids[place]) for place in tokens.words]
    assert len(tokens.words) == len(text.split())
    assert all(
        word.lower().startswith(piece.removeprefix("##")) for word, piece in zip(text.split(), pieces, strict=True)
    )


def test_a_word_cut_off_by_truncation_has_no_token(tiny_bert: Path) -> None:
    tokens = open_tokenizer(tiny_bert, 4).with_words("one two three four five six seven eight nine")
    assert tokens.words[-1] == -1
    assert max(tokens.words) < 4
