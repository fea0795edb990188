import json
import subprocess
import sys
from pathlib import Path

import pytest

from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.dialogues import ASSISTANT, CUSTOMER, about, answer_of, generate
from mct.models.scenarios.shop.intents import INTENTS
from mct.models.scenarios.shop.texts.replies import STYLES


@pytest.fixture(scope="module")
def made():
    return generate(0, 2_000, tuple(STYLES))


def test_a_dialogue_is_turns_and_ends_with_the_answer(made):
    for row in (row for rows in made.values() for row in rows):
        assert row["prompt"].startswith(f"{CUSTOMER} ") and row["prompt"].endswith(f"\n{ASSISTANT}")
        assert row["text"].count(ASSISTANT) == row["turns"]
        assert answer_of(row).startswith(" ") and "\n" not in answer_of(row)
        assert not {"{", "[", "|"} & set(row["text"])


def test_every_intent_and_style_is_there_and_an_answer_takes_up_what_was_named(made):
    assert {row["intent"] for row in made["train"]} == set(INTENTS)
    assert {row["style"] for row in made["test"]} == set(STYLES)
    named = [row for row in made["dev"] if row["intent"] == "order_tracking" and "#" in row["prompt"].splitlines()[-2]]
    taken_up = [row for row in named if "#" in answer_of(row)]
    assert len(taken_up) > 0.7 * len(named) > 0


def test_splits_share_no_request_and_the_card_says_so(made, tmp_path):
    write_data(tmp_path, made, about(0, tuple(STYLES)))
    assert json.loads((tmp_path / "card.json").read_text())["leak_check"]["same_text"] == 0
    templates = {split: {row["template"] for row in rows} for split, rows in made.items()}
    assert not templates["train"] & templates["test"] and not templates["train"] & templates["dev"]


def test_the_same_in_every_process_and_another_by_another_seed(made):
    code = "import json; from mct.models.scenarios.shop.dialogues import STYLES, generate"
    code += "; print(json.dumps(generate(0, 2_000, tuple(STYLES))))"
    root = Path(__file__).parents[4]
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert json.loads(again.stdout) == made
    assert generate(1, 100) != generate(2, 100)
