from dataclasses import replace

import pytest
import torch

from mct import MctError
from mct.models.scenarios.classifiers.encoders import from_scratch
from mct.models.training.classification import Classifier, Training, finetune, logits_of
from mct.models.training.distil import distil, with_layers

LABELS = ("cold", "hot")
PLACES = ("here", "today", "in the room", "on the mountain", "again", "tonight", "by the lake", "at home")
WORDS = {"cold": ("snowing", "freezing", "icy"), "hot": ("boiling", "burning", "scorching")}
ROWS = [
    {"text": f"it is {word} {place}", "label": label}
    for place in PLACES
    for label, words in WORDS.items()
    for word in words
]
TEXTS = [row["text"] for row in ROWS]
TRAINING = Training(epochs=12, learning_rate=3e-3, batch=16, max_tokens=16)


@pytest.fixture(scope="module")
def teacher() -> Classifier:
    classifier = from_scratch(TEXTS, LABELS, seed=0)
    finetune(classifier, ROWS, TRAINING)
    return classifier


def distance(student: Classifier, teacher: Classifier) -> float:
    return float((logits_of(student, TEXTS) - logits_of(teacher, TEXTS)).abs().mean())


def test_a_student_is_some_of_the_layers_and_the_teacher_stays_whole(teacher: Classifier) -> None:
    student = with_layers(teacher, [1])
    ours, theirs = student.model.state_dict(), teacher.model.state_dict()
    assert student.model.config.num_hidden_layers == 1
    assert teacher.model.config.num_hidden_layers == 2
    for name, weights in ours.items():
        assert torch.equal(weights, theirs[name.replace("layer.0.", "layer.1.")])


def test_the_student_comes_nearer_to_the_teachers_logits_without_a_label(teacher: Classifier) -> None:
    student = with_layers(teacher, [0])
    before = distance(student, teacher)
    distil(student, teacher, [{"text": text} for text in TEXTS], TRAINING)
    assert distance(student, teacher) < before / 2


def test_the_same_seed_the_same_student(teacher: Classifier) -> None:
    rows = [*ROWS[:8], {"text": "it is icy again and again"}]
    made = []
    for seed in (1, 1, 2):
        student = with_layers(teacher, [0])
        distil(student, teacher, rows, replace(TRAINING, epochs=2, batch=4, seed=seed))
        made.append(logits_of(student, TEXTS))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_other_labels_are_refused(teacher: Classifier) -> None:
    with pytest.raises(MctError, match="the same labels"):
        distil(from_scratch(TEXTS, ("hot", "cold"), seed=0), teacher, ROWS, TRAINING)
