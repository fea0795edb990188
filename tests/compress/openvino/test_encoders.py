"""OpenVINO: the model's own answers at fp32, close ones at INT8, prepared for the lengths of the user's texts."""

import dataclasses
import functools
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mct import MctError
from mct.compress.onnx import export_encoder as export_onnx
from mct.compress.openvino import export as export_openvino
from mct.compress.openvino import quantise as quantise_openvino
from mct.compress.openvino.length_buckets import MOST_BUCKETS, choose_buckets
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.calibration import MOST_TEXTS, calibration_inputs
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable, Session, open_session, runtime_for

TEXTS = ("hi", "Where is my order?", "I want to return volume 3, it arrived damaged", "manga " * 200)

Make = Callable[[str], Product]


@pytest.fixture(scope="module", params=("bert", "distilbert", "roberta"))
def checkpoint(request: pytest.FixtureRequest, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of each family with random weights, wide enough apart that answers are no ties."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    if request.param == "distilbert":
        sizes = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}
    torch.manual_seed(1)
    config = AutoConfig.for_model(
        request.param, vocab_size=2000, num_labels=5, initializer_range=0.2, max_position_embeddings=66, **sizes
    )
    folder = tmp_path_factory.mktemp("openvino") / request.param
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_bert / name, folder)
    return folder


@pytest.fixture(scope="module")
def make(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The product of each form, made once."""

    @functools.cache
    def product(form: str) -> Product:
        draft, resources = tmp_path_factory.mktemp(form), _resources(checkpoint)
        if form == "onnx-fp32":
            return export_onnx.run(Product(checkpoint, ""), draft, {}, resources)
        if form == "openvino-fp32":
            return export_openvino.run(product("onnx-fp32"), draft, {}, resources)
        return quantise_openvino.run(product("openvino-fp32"), draft, {}, resources)

    return product


def _resources(folder: Path) -> Resources:
    texts = [" ".join(words) for words in itertools.permutations(("order", "return", "Berserk", "hi", "Osaka"), 3)]
    rows = tuple({"text": text, "label": "LABEL_0"} for text in [*texts, *TEXTS[:-1], "where is my order " * 6])
    return Resources(inspect(folder), Dataset("texts.jsonl", rows, "0" * 64), probe_machine(), seed=3)


def _open(folder: Path, product: Product | None = None) -> Session:
    found = inspect(folder)
    where = (product.folder, product.model, product.settings) if product else (folder, "", {})
    executable = Executable(where[0], where[1], found.task, len(found.labels), found.max_tokens, where[2])
    return open_session(runtime_for("openvino" if product else "checkpoint"), executable, 1)


def _inputs(folder: Path) -> list[Tokens]:
    encode = open_tokenizer(folder, inspect(folder).max_tokens)
    return [encode(text) for text in TEXTS]


def _logits(session: Session, inputs: list[Tokens]) -> np.ndarray:
    return np.concatenate([session([one])["logits"] for one in inputs])


def test_fp32_gives_the_models_own_answers_at_every_length(checkpoint: Path, make: Make) -> None:
    inputs = _inputs(checkpoint)
    original = _logits(_open(checkpoint), inputs)
    session = _open(checkpoint, make("openvino-fp32"))
    exported = _logits(session, inputs)
    assert max(make("openvino-fp32").settings["buckets"]) < len(inputs[-1].ids) == inspect(checkpoint).max_tokens
    assert np.abs(exported - original).max() <= 1e-3
    assert (exported.argmax(axis=1) == original.argmax(axis=1)).all()
    np.testing.assert_array_equal(session(inputs)["logits"], exported)


def test_int8_stays_close(checkpoint: Path, make: Make) -> None:
    inputs = _inputs(checkpoint)[:-1]
    original = _logits(_open(checkpoint), inputs)
    quantised = _logits(_open(checkpoint, make("openvino-int8")), inputs)
    assert np.abs(quantised - original).max() <= 0.2 * np.ptp(original)
    files = {path.name for path in make("openvino-int8").folder.iterdir()}
    assert files == {"openvino_model.xml", "openvino_model.bin"}


def test_int8_has_the_same_bytes_again_and_says_what_it_was_calibrated_on(
    checkpoint: Path, make: Make, tmp_path: Path
) -> None:
    again = quantise_openvino.run(make("openvino-fp32"), tmp_path, {}, _resources(checkpoint))
    for name in ("openvino_model.xml", "openvino_model.bin"):
        assert (again.folder / name).read_bytes() == (make("openvino-int8").folder / name).read_bytes()
    assert again.notes["calibration_texts"] == 64
    assert again.notes["calibration_sha256"] == "0" * 64
    assert again.notes["calibration_tokens"]["p100"] == again.settings["buckets"][-1]


def test_files_name_nothing_of_this_machine(checkpoint: Path, make: Make) -> None:
    for form in ("openvino-fp32", "openvino-int8"):
        text = (make(form).folder / "openvino_model.xml").read_text(encoding="utf-8")
        assert str(checkpoint.parent) not in text and str(make("onnx-fp32").folder) not in text


def test_optimum_opens_the_finished_folder_and_agrees(checkpoint: Path, make: Make, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    optimum = pytest.importorskip("optimum.intel", reason="optimum-intel is not installed")
    shutil.copytree(make("openvino-fp32").folder, tmp_path, dirs_exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(checkpoint / name, tmp_path)
    opened = optimum.OVModelForSequenceClassification.from_pretrained(
        tmp_path, ov_config={"INFERENCE_PRECISION_HINT": "f32"}
    )
    one = _inputs(checkpoint)[2]
    given = {"input_ids": torch.tensor([one.ids]), "attention_mask": torch.ones(1, len(one.ids), dtype=torch.int64)}
    theirs = opened(**given, token_type_ids=torch.tensor([one.type_ids])).logits.numpy()
    np.testing.assert_allclose(theirs, _logits(_open(checkpoint), [one]), atol=1e-3)
    assert opened.config.id2label == {number: f"LABEL_{number}" for number in range(5)}


def test_int8_without_texts_asks_for_them(checkpoint: Path, make: Make, tmp_path: Path) -> None:
    resources = dataclasses.replace(_resources(checkpoint), calibration=None)
    with pytest.raises(MctError, match="calibrate") as caught:
        quantise_openvino.run(make("openvino-fp32"), tmp_path, {}, resources)
    assert "--data FILE" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_calibration_texts_are_spread_over_length_and_chosen_by_the_seed(tiny_bert: Path) -> None:
    rows = tuple({"text": "order " * (1 + number % 50) + str(number)} for number in range(2000))
    resources = dataclasses.replace(_resources(tiny_bert), calibration=Dataset("many", rows, ""))
    chosen = calibration_inputs(resources)
    lengths = [len(tokens.ids) for tokens in chosen]
    encode = open_tokenizer(tiny_bert, 64)
    every = sorted(len(encode(row["text"]).ids) for row in rows)
    assert len(chosen) == MOST_TEXTS
    for share in (0, 10, 50, 90, 100):
        assert abs(np.percentile(lengths, share) - np.percentile(every, share)) <= 1
    assert chosen == calibration_inputs(resources)
    assert chosen != calibration_inputs(dataclasses.replace(resources, seed=4))


def test_without_texts_the_default_lengths_stay_below_what_the_model_takes(tiny_bert: Path) -> None:
    from mct.compress.openvino.length_buckets import buckets_for

    buckets = buckets_for(dataclasses.replace(_resources(tiny_bert), calibration=None))
    assert buckets and list(buckets) == sorted(buckets) and buckets[-1] < inspect(tiny_bert).max_tokens
    assert len(buckets_for(_resources(tiny_bert))) <= MOST_BUCKETS


@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.integers(1, 4))
def test_no_other_lengths_would_pad_less(lengths: list[int], most: int) -> None:
    def padded(buckets: tuple[int, ...]) -> int:
        return sum(min(bucket for bucket in buckets if bucket >= length) for length in lengths)

    sizes = sorted(set(lengths))
    others = itertools.combinations(sizes[:-1], min(most, len(sizes)) - 1)
    chosen = choose_buckets(lengths, most)
    assert list(chosen) == sorted(set(chosen)) and chosen[-1] == max(lengths)
    assert padded(chosen) == min(padded((*other, sizes[-1])) for other in others)
