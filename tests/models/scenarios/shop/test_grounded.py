from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.grounded import NOT_SAID, about, generate

MADE = generate(0, 1_600, 3)


def test_the_answer_stands_in_the_gold_document_and_in_no_distractor_of_a_fact_that_only_one_has():
    for row in (row for rows in MADE.values() for row in rows if row["kind"] == "series" and row["gold"]):
        (gold,) = row["gold"]
        assert row["answer"] in row["context"][gold]
        assert row["context"][gold].split(" by ")[0] in row["question"]


def test_where_no_document_answers_the_right_answer_says_so():
    without = [row for row in MADE["train"] if not row["gold"]]
    assert 0.08 < len(without) / len(MADE["train"]) < 0.2
    assert {row["answer"] for row in without} == {NOT_SAID}
    assert all(row["answer"] != NOT_SAID for row in MADE["train"] if row["gold"])


def test_splits_share_no_question_and_no_page(tmp_path):
    write_data(tmp_path, MADE, about(0, 3))  # which refuses a leak
    pages = {split: {page for row in rows for page in row["context"]} for split, rows in MADE.items()}
    assert not pages["train"] & pages["test"] and not pages["dev"] & pages["test"]


def test_same_seed_same_rows():
    assert generate(0, 1_600, 3) == MADE and generate(1, 80, 3) != generate(2, 80, 3)
