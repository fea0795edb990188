from collections import Counter

from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.preferences import about, generate
from mct.models.scenarios.shop.texts.flaws import FLAWS

MADE = generate(0, 1_600)


def test_every_pair_differs_in_what_it_says_why():
    for row in (row for rows in MADE.values() for row in rows):
        assert row["chosen"] != row["rejected"] and row["text"] == row["prompt"] + row["chosen"]
        assert not {"{", "[", "\n"} & set(row["chosen"] + row["rejected"])
    assert set(Counter(row["why"] for row in MADE["test"])) == set(FLAWS)


def test_length_alone_does_not_tell_the_better_answer():
    longer = [len(row["rejected"]) > len(row["chosen"]) for row in MADE["test"]]
    assert 0.3 < sum(longer) / len(longer) < 0.8


def test_splits_share_no_request_and_no_flaw(tmp_path):
    write_data(tmp_path, MADE, about(0))  # which refuses a leak
    rude = [line.strip() for line in FLAWS["polite"].strip().splitlines()]
    said = {split: {line for row in rows for line in rude if line in row["rejected"]} for split, rows in MADE.items()}
    assert all(said.values()) and not said["train"] & said["test"] and not said["train"] & said["dev"]


def test_same_seed_same_rows():
    assert generate(0, 1_600) == MADE and generate(1, 80) != generate(2, 80)
