from pathlib import Path

import pytest
import torch

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load_heads import load_heads
from mct.models.scenarios.classifiers.encoders import from_scratch
from mct.models.tasks.table import Head
from mct.models.training.loop import Training
from mct.models.training.multi_task import MultiTask, head_scores, save_multi_task, train_heads, with_heads

HEADS = (
    Head("label", "label", ("cold", "hot")),
    Head("topics", "labels", ("here", "today")),
    Head("slots", "tags", ("O", "B-word", "I-word")),
)
ROWS = [
    {
        "text": f"{start} {word} {place}", "label": label, "topics": [place],
        "slots": [*["O"] * len(start.split()), "B-word", "O"],
    }
    for start in ("it is", "so", "we think it is", "oh, it is very")
    for label, words in (("cold", ("snowing", "freezing")), ("hot", ("boiling", "burning")))
    for word in words
    for place in ("here", "today")
]  # fmt: skip
TRAINING = Training(epochs=12, learning_rate=3e-3, batch=8, max_tokens=24)


def started() -> MultiTask:
    return with_heads(from_scratch([row["text"] for row in ROWS], ("cold", "hot"), seed=0), HEADS, seed=0)


@pytest.fixture(scope="module")
def learned() -> MultiTask:
    multi = started()
    train_heads(multi, ROWS, TRAINING)
    return multi


def test_every_head_learns_its_own(learned: MultiTask) -> None:
    assert min(head_scores(learned, ROWS).values()) > 0.9 > head_scores(started(), ROWS)["label accuracy"]


def test_what_is_saved_is_read_back_as_it_was(learned: MultiTask, tmp_path: Path) -> None:
    save_multi_task(learned, tmp_path)
    found = inspect(tmp_path)
    assert (found.task, found.technique, found.heads) == ("multi-head", "multi-task", HEADS)
    inputs = learned.tokenizer([ROWS[0]["text"]], return_tensors="pt")
    with torch.inference_mode():
        ours, theirs = learned.model(**inputs), load_heads(found)(**inputs)
    for name, logits in ours.items():
        assert torch.equal(logits, theirs[name])


def test_a_label_or_a_tag_too_many_is_refused() -> None:
    for wrong in ({"label": "mild"}, {"slots": ["O"]}, {"slots": ["B-other"] * len(ROWS[0]["slots"])}):
        with pytest.raises(MctError, match="cannot learn"):
            train_heads(started(), [ROWS[0] | wrong], TRAINING)
