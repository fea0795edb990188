"""Sessions: each runtime answers unpadded batches alike, needs no more than itself, and says what it cannot open."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mct import MctError
from mct.compress.onnx import export_decoder as export_onnx_lm
from mct.compress.onnx import export_encoder as export_onnx
from mct.compress.openvino import export as export_openvino
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import Tokens
from mct.targets.machine import probe_machine
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.table import Executable, Session, open_session, runtime_for

BATCH = (
    Tokens([2, 9, 3], [0, 0, 0]),
    Tokens([2, 11, 12, 13, 14, 15, 3], [0, 0, 0, 1, 1, 1, 1]),
    Tokens([2] + [21] * 61 + [3], [0] * 63),
)


@pytest.fixture(scope="module")
def executables(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Executable]:
    """One model for every runtime, by format."""
    resources = Resources(inspect(tiny_bert), None, probe_machine(), seed=0)
    onnx = export_onnx.run(Product(tiny_bert, ""), tmp_path_factory.mktemp("onnx"), {}, resources)
    openvino = export_openvino.run(onnx, tmp_path_factory.mktemp("openvino"), {}, resources)
    return {
        "checkpoint": _executable(Product(tiny_bert, "")),
        "onnx": _executable(onnx),
        "openvino": _executable(openvino),
    }


def _executable(product: Product) -> Executable:
    return Executable(product.folder, product.model, "sequence-classification", 3, 64, product.settings)


def _open(executables: dict[str, Executable], form: str) -> Session:
    return open_session(runtime_for(form), executables[form], threads=1)


@pytest.mark.parametrize("form", ["checkpoint", "onnx", "openvino"])
def test_a_batch_answers_as_its_inputs_one_by_one(executables: dict[str, Executable], form: str) -> None:
    session = _open(executables, form)
    together = session(BATCH)["logits"]
    assert together.shape == (3, 3) and together.dtype == np.float32
    alone = np.concatenate([session([one])["logits"] for one in BATCH])
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_runtimes_agree_with_the_original(executables: dict[str, Executable], form: str) -> None:
    original = _open(executables, "checkpoint")(BATCH)["logits"]
    np.testing.assert_allclose(_open(executables, form)(BATCH)["logits"], original, atol=1e-3)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_an_answer_is_not_overwritten_by_the_next_call(executables: dict[str, Executable], form: str) -> None:
    session = _open(executables, form)
    first = session([BATCH[1]])["logits"]
    kept = first.copy()
    session([Tokens([2, 30, 31, 32, 33, 34, 3], [0] * 7)])
    np.testing.assert_array_equal(first, kept)


def test_segments_reach_the_model(executables: dict[str, Executable]) -> None:
    session = _open(executables, "onnx")
    flat = BATCH[1]._replace(type_ids=[0] * 7)
    assert np.abs(session([flat])["logits"] - session([BATCH[1]])["logits"]).max() > 1e-3


def test_openvino_answers_alike_in_every_bucket(executables: dict[str, Executable]) -> None:
    """The same input padded to 7, 20 and 40 tokens, and beyond the last bucket."""
    base = executables["openvino"]
    answers = []
    for buckets in ([7], [20], [40], [3]):
        executable = Executable(base.folder, base.model, base.task, 3, 64, {"pad_id": 0, "buckets": buckets})
        answers.append(open_session(runtime_for("openvino"), executable, 1)([BATCH[1]])["logits"])
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-4)


def test_padding_stands_right_with_mask_zero() -> None:
    arrays = padded(BATCH[:2], ["input_ids", "attention_mask", "token_type_ids"], pad_id=1, length=8)
    assert arrays["input_ids"].tolist() == [[2, 9, 3, 1, 1, 1, 1, 1], [2, 11, 12, 13, 14, 15, 3, 1]]
    assert arrays["attention_mask"].tolist() == [[1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 0]]
    assert arrays["token_type_ids"].tolist() == [[0] * 8, [0, 0, 0, 1, 1, 1, 1, 0]]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int64)}


@pytest.mark.parametrize(("form", "model"), [("onnx", "model.onnx"), ("openvino", "openvino_model.xml")])
def test_a_damaged_model_is_one_line_and_a_hint(tmp_path: Path, form: str, model: str) -> None:
    (tmp_path / model).write_bytes(b"no model at all")
    executable = Executable(tmp_path, model, "sequence-classification", 3, 64)
    with pytest.raises(MctError, match="cannot open") as caught:
        open_session(runtime_for(form), executable, 1)
    assert "\n" not in caught.value.message and caught.value.hint


@pytest.mark.parametrize("runtime", ["run_onnxruntime", "run_openvino"])
def test_running_an_artifact_imports_neither_torch_nor_transformers(runtime: str) -> None:
    heavy = "{'torch', 'transformers', 'onnx'}"
    code = f"import sys, mct.targets.runtimes.{runtime}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("pad_id", [None, -1])
@pytest.mark.parametrize("form", ["checkpoint", "onnx"])
def test_a_reward_model_without_a_padding_id_scores_a_batch_as_its_inputs_one_by_one(
    form: str, pad_id: int | None, tiny_bert: Path, tmp_path: Path
) -> None:
    """It scores the last token, and transformers refuses to guess which that is behind padding."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=32, max_position_embeddings=64, num_labels=1, pad_token_id=pad_id, initializer_range=0.3,
    )  # fmt: skip
    (folder := tmp_path / "reward").mkdir()
    LlamaForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_bert / name, folder)
    product = Product(folder, "")
    if form == "onnx":
        (tmp_path / "draft").mkdir()
        product = export_onnx_lm.run(
            product, tmp_path / "draft", {}, Resources(inspect(folder), None, probe_machine(), seed=0)
        )
    session = open_session(
        runtime_for(form), Executable(product.folder, product.model, "reward", 1, 64, product.settings), threads=1
    )
    together = session(BATCH)["logits"]
    alone = np.concatenate([session([one])["logits"] for one in BATCH])
    assert together.shape == (3, 1) and np.ptp(alone) > 0.01
    np.testing.assert_allclose(together, alone, atol=1e-4)
