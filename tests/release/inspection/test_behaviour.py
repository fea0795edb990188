"""Behaviour tests as a person writes them: what is refused, which cases are made, and what fails."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.bench.jobs.run import ask, open_model
from mct.release.inspection.asking.opened import ready
from mct.release.inspection.behaviour.behave import run_suite
from mct.release.inspection.behaviour.cases import cases_of, with_typo
from mct.release.inspection.behaviour.tests_file import built_in_suites, read_suite

Specimens = Callable[[str], Any]

HEAD = '[[test]]\nname = "t"\n'
GOOD = HEAD + 'kind = "minimum"\nlabel = "order"\ntext = ["where is {thing}"]\n[slots]\nthing = ["a box", "a card"]\n'


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    def written(content: str) -> str:
        (tmp_path / "tests.toml").write_text(content, encoding="utf-8")
        return str(tmp_path / "tests.toml")

    return written


def test_a_file_becomes_cases_each_once_and_always_the_same(write: Callable[[str], str]) -> None:
    suite = read_suite(write(GOOD))
    cases = cases_of(suite, suite.tests[0], 0)
    assert {case.text for case in cases} == {"where is a box", "where is a card"} and len(cases) == 2
    assert cases == cases_of(suite, suite.tests[0], 0)


@pytest.mark.parametrize("name", built_in_suites())
def test_what_comes_with_mct_can_be_read_and_changes_what_it_says(name: str) -> None:
    suite = read_suite(name)
    for test in suite.tests:
        cases = cases_of(suite, test, 0)
        assert len(cases) >= 15, test.name
        assert all((case.becomes != "") == (test.kind != "minimum") for case in cases)
        assert all(case.becomes != case.text and "{" not in case.text + case.becomes for case in cases)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "test"),
        ("[[test]]\n", "name"),
        (GOOD.replace("minimum", "maximum"), "maximum"),
        (GOOD.replace('label = "order"', 'lable = "order"'), "lable"),
        (GOOD.replace('label = "order"\n', ""), "has a label"),
        (GOOD.replace("{thing}", "{thin}"), "{thin}"),
        (GOOD.replace('text = ["where is {thing}"]', "text = []"), "text"),
        (GOOD.replace('text = ["where is {thing}"]', "text = [1]"), "text"),
        (GOOD.replace('label = "order"', 'label = "order"\nmost_failures = 2'), "most_failures"),
        (GOOD.replace('label = "order"', 'label = "order"\nmost_failures = nan'), "finite"),
        (GOOD.replace('label = "order"', 'label = "order"\ncases = 0'), "cases"),
        (GOOD.replace('label = "order"', 'label = "order"\ncases = 99999999999'), "cases"),
        (GOOD.replace('label = "order"', 'label = "order"\nnever = "order"'), "never"),
        (GOOD.replace('label = "order"', 'label = "order"\ncandidates = ["a"]'), "one candidate"),
        (GOOD.replace('label = "order"', 'label = "order"\ncandidates = ["a", "b"]'), "none of its candidates"),
        (GOOD + "\n" + GOOD.partition("[slots]")[0], "two tests"),
        (HEAD + 'kind = "invariance"\ntext = ["a"]\nchange = "colour"\n', "colour"),
        (HEAD + 'kind = "invariance"\ntext = ["a"]\nchange = "typo"\nlabel = "x"\n', "not what the answer is"),
        (HEAD + 'kind = "invariance"\ntext = ["a"]\nchange = "added"\n', "what is added"),
        (HEAD + 'kind = "invariance"\ntext = ["a"]\nchange = "s"\n[slots]\ns = ["x"]\n', "one value"),
        (HEAD + 'kind = "invariance"\ntext = ["a"]\nchange = "s"\n[slots]\ns = ["x", "y"]\n', "does not have"),
        (HEAD + 'kind = "direction"\ntext = ["a", "b"]\nbecomes = ["c"]\nlabel = "x"\n', "1 that they become"),
        (HEAD + 'kind = "direction"\ntext = ["a"]\nbecomes = ["c"]\n', "asks one of"),
        (HEAD + 'kind = "direction"\ntext = ["a"]\nbecomes = ["c"]\nlabel = "x"\nrises = "y"\n', "asks one of"),
        ("x = [", "TOML"),
        ("\x00", "TOML"),
    ],
)
def test_what_cannot_be_run_as_written_is_refused(write: Callable[[str], str], content: str, says: str) -> None:
    with pytest.raises(MctError, match="(?s)" + says.replace("{", r"\{").replace("}", r"\}")) as refused:
        read_suite(write(content))
    assert refused.value.hint


def test_a_name_nobody_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(MctError) as refused:
        read_suite("intent-ruoter")
    assert "intent-router" in refused.value.hint


def test_a_typo_keeps_the_letters_and_the_ends_of_a_word() -> None:
    draw = random.Random(0)
    for _ in range(50):
        spoilt = with_typo("please send", draw)
        assert sorted(spoilt) == sorted("please send")
        assert (spoilt[0], spoilt[5], spoilt[7], spoilt[-1]) == ("p", "e", "s", "d")
    assert with_typo("a b 123", draw) == "a b 123"


TESTS = """
[slots]
word = ["order", "volume", "manga", "box"]
[[test]]
name = "never what it answers"
kind = "minimum"
never = "{answered}"
text = ["where is my order number 12"]
[[test]]
name = "always what it answers"
kind = "minimum"
label = "{answered}"
text = ["where is my order number 12"]
[[test]]
name = "the same with a word exchanged for itself in capitals"
kind = "invariance"
change = "case"
text = ["where is my {{word}}"]
[[test]]
name = "must change and does not"
kind = "direction"
must = "change"
text = ["where is my order"]
becomes = ["WHERE is my order"]
[[test]]
name = "rises and falls cannot both be so"
kind = "direction"
rises = "{answered}"
text = ["where is my order"]
becomes = ["let me talk to a human now"]
[[test]]
name = "rises and falls cannot both be so, the other"
kind = "direction"
falls = "{answered}"
text = ["where is my order"]
becomes = ["let me talk to a human now"]
"""


def test_a_model_passes_what_it_does_and_fails_what_it_does_not(
    write: Callable[[str], str], specimen: Specimens
) -> None:
    """The tokenizer knows no capitals, so these change nothing."""
    asked = ready(open_model(specimen("sequence-classification").folder))
    answered = ask(asked.model, "where is my order number 12")["answer"]
    found = run_suite(read_suite(write(TESTS.format(answered=answered))), asked)
    failed = [[bool(outcome.failed) for outcome in outcomes] for outcomes in found.values()]
    assert failed[:4] == [[True], [False], [False] * len(failed[2]), [True]]
    assert failed[4] != failed[5]
    assert found["never what it answers"][0].failed == f"answered {answered}"


@pytest.mark.parametrize(
    ("task", "more", "says"),
    [
        ("sequence-classification", 'label = "orders"', "orders"),
        ("sequence-classification", 'candidates = ["a", "b"]\nlabel = "a"', "not candidates"),
        ("pair-scoring", 'label = "order"', "needs candidates"),
    ],
)
def test_tests_that_do_not_fit_the_model_are_refused(
    write: Callable[[str], str], specimen: Specimens, task: str, more: str, says: str
) -> None:
    asked = ready(open_model(specimen(task).folder))
    with pytest.raises(MctError, match=says):
        run_suite(read_suite(write(f'{HEAD}kind = "minimum"\n{more}\ntext = ["where is my order"]\n')), asked)


@pytest.mark.parametrize("task", ["pair-scoring", "sentence-embedding", "reward", "causal-lm"])
def test_what_puts_candidates_in_order_answers_by_the_first(
    write: Callable[[str], str], specimen: Specimens, task: str
) -> None:
    asked = ready(open_model(specimen(task).folder))
    both = [
        f'[[test]]\nname = "{first}"\nkind = "minimum"\nlabel = "{first}"\n'
        f'candidates = ["an order", "in a box"]\ntext = ["where is it: "]\n'
        for first in ("an order", "in a box")
    ]
    found = run_suite(read_suite(write("".join(both))), asked)
    assert sorted(bool(outcome.failed) for (outcome,) in found.values()) == [False, True]
