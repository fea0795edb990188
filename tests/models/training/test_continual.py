from collections import Counter

import pytest
import torch

from mct import MctError
from mct.models.scenarios.classifiers.encoders import from_scratch
from mct.models.training.continual import rehearsed, widened

TEXTS = ["where is my parcel", "I want my money back", "a present for a friend"]


def test_a_wider_head_answers_what_it_knew_as_before_and_has_a_row_for_each_new_label() -> None:
    old = from_scratch(TEXTS, ("returns", "tracking"), seed=0)
    new = widened(old, ("returns", "tracking", "gift"), seed=1)
    inputs = old.tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        before, after = (each.model.train(False)(**inputs).logits for each in (old, new))
    assert after.shape == (3, 3)
    assert torch.equal(after[:, :2], before)
    assert new.model.config.id2label == {0: "returns", 1: "tracking", 2: "gift"}
    assert old.model.config.num_labels == 2


def test_a_label_that_would_be_lost_is_refused() -> None:
    old = from_scratch(TEXTS, ("returns", "tracking"), seed=0)
    with pytest.raises(MctError, match="not take them away"):
        widened(old, ("tracking", "returns", "gift"))


def test_the_rare_are_rehearsed_as_often_as_the_frequent() -> None:
    rows = [
        {"label": label, "text": str(number)}
        for label, count in (("a", 90), ("b", 40), ("c", 5))
        for number in range(count)
    ]
    chosen = rehearsed(rows, 45, seed=3)
    assert Counter(row["label"] for row in chosen) == {"a": 20, "b": 20, "c": 5}
    assert chosen == rehearsed(rows, 45, seed=3) != rehearsed(rows, 45, seed=4)
    assert rehearsed(rows, 0) == []
