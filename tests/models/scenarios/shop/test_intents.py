import json
import subprocess
import sys
from collections import Counter
from itertools import combinations

import pytest

from mct.models.data.leaks import normalised
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.high_risk import FURTHER_AMBIGUOUS, FURTHER_TEMPLATES, HIGH_RISK_INTENTS
from mct.models.scenarios.shop.intents import (
    AMBIGUOUS_SHARE,
    CEILING,
    CONFUSED_WITH,
    INTENTS,
    NOISE_RATE,
    PRODUCTION_SHARES,
    IntentData,
    about,
    generate,
)
from mct.models.scenarios.shop.messages import SPLITS, deal, deal_words
from mct.models.scenarios.shop.phrases import AMBIGUOUS, TEMPLATES
from mct.models.scenarios.shop.texts.fillers import ASIDES, CLOSERS, LISTS, OPENERS, TAGS, TITLES
from mct.models.tasks.datasets import read_dataset
from mct.models.tasks.table import find_task


@pytest.fixture(scope="module")
def data() -> IntentData:
    return generate(seed=7, production=8_000, synthetic=800)


def production(rows):
    return [row for row in rows if row["source"] == "production"]


def true_label(row):
    return row.get("clean_label", row["label"])


def test_ten_intents_of_which_the_five_of_the_scenario_are_high_risk(data):
    assert len(INTENTS) == 10
    flagged = {row["label"] for row in data.train if row["high_risk"]}
    assert flagged == set(HIGH_RISK_INTENTS)
    assert set(TEMPLATES) == set(CONFUSED_WITH) == set(INTENTS)
    for split in SPLITS:
        assert {row["label"] for row in getattr(data, split)} == set(INTENTS)


def test_rows_are_dealt_out_as_asked(data):
    assert (len(production(data.train)), len(data.dev), len(data.test)) == (5_000, 1_000, 2_000)
    assert len(data.train) == 5_800
    assert all(row["source"] == "production" for row in data.dev + data.test)


def test_no_text_is_in_two_splits(data):
    texts = {split: {normalised(row["text"]) for row in getattr(data, split)} for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        assert not texts[one] & texts[other]


def test_data_of_two_seeds_do_not_leak_templates_into_one_another(data):
    other = generate(seed=8, production=4_000, synthetic=0)
    trained = {row["template"] for row in data.train}
    assert not trained & {row["template"] for row in other.test}


def test_no_template_is_in_two_splits(data):
    used = {split: {row["template"] for row in getattr(data, split)} for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        assert not used[one] & used[other]
    tables = (TEMPLATES, AMBIGUOUS, FURTHER_TEMPLATES, FURTHER_AMBIGUOUS)
    blocks = [block for table in tables for block in table.values()]
    lines = [normalised(line) for block in blocks for line in block.strip().splitlines()]
    assert len(lines) == len(set(lines)), "a template written twice could be dealt to two splits"
    assert all(len(block.strip().splitlines()) % 8 == 0 for block in blocks), "subjects stand in blocks of eight"


def test_the_test_set_has_as_many_high_risk_messages_as_asked_and_is_else_as_production_is():
    rows = generate(seed=7, production=8_000, synthetic=0, high_risk=500).test
    clear = [row for row in rows if row["style"] != "ambiguous"]
    counts = Counter(map(true_label, clear))
    plain = Counter(true_label(row) for row in generate(7, 8_000, 0).test if row["style"] != "ambiguous")
    assert all(counts[intent] == max(500, plain[intent]) for intent in HIGH_RISK_INTENTS)
    assert all(counts[intent] == plain[intent] for intent in set(INTENTS) - set(HIGH_RISK_INTENTS))
    assert len(rows) - len(clear) == pytest.approx(AMBIGUOUS_SHARE * len(rows), abs=1)
    assert sum("clean_label" in row for row in rows) == round(NOISE_RATE * len(rows))


def test_no_text_counts_twice_in_dev_or_test(data):
    for rows in (data.dev, data.test):
        assert len({normalised(row["text"]) for row in rows}) == len(rows)


def test_more_high_risk_messages_are_more_phrasings():
    """From a dozen templates, more rows would be the same few phrasings once more."""
    rows = generate(seed=7, production=400, synthetic=0, high_risk=300).test
    for intent in HIGH_RISK_INTENTS:
        used = {row["template"] for row in rows if row["template"].startswith(f"{intent}#")}
        assert len(used) >= 60, intent


@pytest.mark.parametrize("entries", [*LISTS.values(), OPENERS, CLOSERS, ASIDES, TAGS], ids=lambda entries: entries[0])
def test_no_filler_is_in_two_splits_and_every_split_has_some(entries):
    dealt = {split: {normalised(entry) for entry in deal(entries, split)} for split in SPLITS}
    assert sum(map(len, dealt.values())) == len(entries)
    assert set.union(*dealt.values()) == {normalised(entry) for entry in entries}
    assert all(dealt.values())


def test_titles_of_the_test_set_do_not_occur_in_training_texts(data):
    """Also not as part of something else: no title is part of another, nor of any other filler."""
    for title in deal(TITLES, "test"):
        words = f" {normalised(title)} "
        assert not [row["text"] for row in data.train if words in f" {normalised(row['text'])} "], title
        assert any(words in f" {normalised(row['text'])} " for row in data.test), title


def test_order_numbers_are_of_one_split_only():
    remainders = [set(deal_words(split).remainders) for split in SPLITS]
    assert set.union(*remainders) == set(range(8))
    assert sum(map(len, remainders)) == 8


def test_label_noise_is_at_its_rate_in_every_split_and_goes_to_neighbours(data):
    for split in SPLITS:
        rows = production(getattr(data, split))
        noisy = [row for row in rows if "clean_label" in row]
        assert len(noisy) == round(NOISE_RATE * len(rows))
        assert all(row["label"] in CONFUSED_WITH[row["clean_label"]] for row in noisy)
    assert not any("clean_label" in row for row in data.train if row["source"] == "synthetic")


def test_ceiling_is_what_an_all_knowing_model_scores():
    """It answers with the intent that a text was made for and, where two can claim it, with the likelier one."""
    rows = generate(seed=1, production=24_000, synthetic=0).train
    likelier = {
        row["template"]: row["template"].split("/")[0] if row["style"] == "ambiguous" else true_label(row)
        for row in rows
    }
    right = sum(likelier[row["template"]] == row["label"] for row in rows) / len(rows)
    assert right == pytest.approx(CEILING, abs=0.004)
    assert pytest.approx(0.98 * (1 - 0.03 * 0.3)) == CEILING


def test_intents_are_imbalanced_as_in_production(data):
    counts = Counter(true_label(row) for row in production(data.train) if row["style"] != "ambiguous")
    total = sum(counts.values())
    for intent, share in PRODUCTION_SHARES.items():
        assert counts[intent] / total == pytest.approx(share, abs=0.001)
    synthetic = Counter(row["label"] for row in data.train if row["source"] == "synthetic")
    assert set(synthetic.values()) == {80}


def test_messages_vary_in_style_and_have_typos_numbers_and_japanese(data):
    styles = Counter(row["style"] for row in data.train)
    assert set(styles) == {"plain", "terse", "chatty", "multi", "ambiguous"}
    assert styles["ambiguous"] == round(AMBIGUOUS_SHARE * 5_000)
    lengths = sorted(len(row["text"].split()) for row in data.train)
    assert lengths[len(lengths) // 20] <= 7 and lengths[-len(lengths) // 20] >= 20
    texts = " ".join(row["text"] for row in data.train)
    assert "MA-" in texts and any("ぁ" <= letter <= "ヿ" for letter in texts)


def test_most_texts_are_distinct(data):
    texts = [normalised(row["text"]) for row in data.train]
    assert len(set(texts)) / len(texts) > 0.94


def test_no_placeholder_is_left_in_a_text(data):
    assert not [row["text"] for split in SPLITS for row in getattr(data, split) if set("{}[]|") & set(row["text"])]


def test_same_seed_same_rows_in_another_process_and_another_seed_other_rows():
    program = (
        "import hashlib, json; from mct.models.scenarios.shop.intents import generate;"
        "print(hashlib.sha256(json.dumps(generate(3, 800, 80).train).encode()).hexdigest())"
    )
    runs = {subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(runs) == 1
    assert generate(3, 800, 80) == generate(3, 800, 80) != generate(4, 800, 80)


def test_written_data_is_read_back_by_the_projects_own_reader(data, tmp_path):
    write_data(tmp_path, data.splits, about(seed=7))
    rows = read_dataset(tmp_path / "test.jsonl", find_task("sequence-classification")).rows
    assert json.dumps(list(rows)) == json.dumps(list(data.test))
