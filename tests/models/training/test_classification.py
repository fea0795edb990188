import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_model
from mct.models.scenarios.classifiers.encoders import from_scratch
from mct.models.training.classification import (
    Classifier,
    Training,
    accuracy,
    finetune,
    load_base,
    predict,
    save,
)

LABELS = ("cold", "hot")
ROWS = [
    {"text": f"it is {word} {place}", "label": label}
    for place in ("here", "today", "in the room", "on the mountain and by the lake", "again", "tonight")
    for word, label in (("snowing", "cold"), ("freezing", "cold"), ("boiling", "hot"), ("burning", "hot"))
]
TRAINING = Training(epochs=12, learning_rate=3e-3, batch=8, max_tokens=32)


def start(seed: int = 0) -> Classifier:
    """An untrained BERT with these two labels."""
    return from_scratch([row["text"] for row in ROWS], LABELS, seed)


def test_learns_what_separates_the_labels_and_ends_ready_to_answer():
    classifier = start()
    finetune(classifier, ROWS, TRAINING)
    assert accuracy(classifier, ROWS) == 1.0
    assert predict(classifier, ["it is freezing out", "boiling", "it is snowing here"]) == ["cold", "hot", "cold"]
    assert not classifier.model.training


def test_same_seed_same_weights_another_seed_others():
    weights = []
    for seed in (5, 5, 6):
        classifier = start()
        finetune(classifier, ROWS, replace(TRAINING, epochs=2, seed=seed))
        weights.append(torch.cat([tensor.flatten() for tensor in classifier.model.state_dict().values()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_random_state_of_the_caller_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    finetune(start(), ROWS, replace(TRAINING, epochs=1))
    assert torch.rand(1) == expected


@pytest.mark.parametrize(("frozen", "unchanged"), [(True, True), (False, False)])
def test_frozen_embeddings_stay_as_they_came_and_are_thawed_afterwards(frozen, unchanged):
    classifier = start()
    before = classifier.model.get_input_embeddings().weight.detach().clone()
    finetune(classifier, ROWS, replace(TRAINING, epochs=1, frozen_embeddings=frozen))
    after = classifier.model.get_input_embeddings().weight
    assert torch.equal(before, after) is unchanged
    assert after.requires_grad


def test_progress_rises_to_one():
    shares = []
    finetune(start(), ROWS, replace(TRAINING, epochs=2), lambda stage, share: shares.append((stage, share)), "training")
    assert {stage for stage, _ in shares} == {"training"}
    values = [share for _, share in shares]
    assert values == sorted(values) and values[-1] == 1.0 and len(values) == 2 * len(ROWS) / TRAINING.batch


def test_saved_folder_is_a_checkpoint_that_transformers_and_mct_open(tmp_path):
    classifier = start()
    finetune(classifier, ROWS, TRAINING)
    classifier.tokenizer.backend_tokenizer.enable_padding(length=64)
    classifier.tokenizer.backend_tokenizer.enable_truncation(3)
    expected = predict(classifier, [row["text"] for row in ROWS])
    save(classifier, tmp_path)
    found = inspect(tmp_path)
    assert (found.labels, found.architecture, found.max_tokens) == (LABELS, "BertForSequenceClassification", 512)
    again = Classifier(load_model(found), AutoTokenizer.from_pretrained(tmp_path), LABELS)
    assert predict(again, [row["text"] for row in ROWS]) == expected
    assert len(again.tokenizer("it is freezing on the mountain")["input_ids"]) > 3
    assert all(os.stat(file).st_mode & 0o044 == 0o044 for file in tmp_path.iterdir())


def test_base_folder_gets_a_fresh_head_for_the_labels(tmp_path):
    save(start(), tmp_path)
    base = load_base(str(tmp_path), ("a", "b", "c"), seed=1)
    assert base.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert base.model.classifier.weight.shape[0] == 3
    again = load_base(str(tmp_path), ("a", "b", "c"), seed=1)
    assert torch.equal(base.model.classifier.weight, again.model.classifier.weight)


def test_unknown_label_is_named():
    with pytest.raises(MctError, match="'lukewarm'"):
        finetune(start(), [*ROWS, {"text": "so so", "label": "lukewarm"}], TRAINING)


def test_base_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path):
    with pytest.raises(MctError, match="cannot be loaded") as caught:
        load_base(str(tmp_path / "nothing"), LABELS)
    assert "config.json" in caught.value.hint
