"""What a contrastive batch may hold: a page counts as wrong for a query only where it is."""

from mct.models.training.contrastive import Triplet, batches, triplets
from mct.models.training.loop import Training


def test_no_page_of_a_batch_is_of_use_to_a_query_that_has_another() -> None:
    found = [
        Triplet("horror", "crypt", "oven", frozenset({"crypt", "well"})),
        Triplet("a well", "well", "cake", frozenset({"well"})),
        Triplet("cooking", "oven", "crypt", frozenset({"oven"})),
        Triplet("sports", "court", "rose", frozenset({"court"})),
    ]
    for batch in batches(found, Training(epochs=3, batch=4)):
        for each in batch:
            others = {page for other in batch if other is not each for page in (other.positive, other.negative)}
            assert not each.useful & others
    asked = [each.query for batch in batches(found, Training(epochs=1, batch=4)) for each in batch]
    assert sorted(asked) == ["a well", "cooking", "horror", "sports"]


def test_the_best_pages_of_a_query_answer_it_and_the_useless_ones_do_not() -> None:
    grades = {"best": 3, "good": 2, "poor": 1, "useless": 0}
    rows = [{"query": "ramen", "doc": doc, "grade": grade} for doc, grade in grades.items()]
    rows += [{"query": "all fit", "doc": "best", "grade": 3}]
    found = triplets(rows, per_query=2, useful_from=2, seed=0)
    assert [(each.positive, each.negative) for each in found] == [("best", "useless"), ("good", "useless")]
    assert found[0].useful == {"best", "good", "poor"}
    assert len(triplets(rows, per_query=1, useful_from=1, seed=0)) == 1
