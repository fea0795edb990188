"""Encoder families from checkpoint to every format that holds them, as transformers writes them at a small size.

Each artifact has to give its checkpoint's answers before it is one, to short texts and to ones past every window.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

from mct.compress.plan.plan import make_plan
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.declared import read_object

SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
BEHIND_PADDING = {"max_position_embeddings": 65, "pad_token_id": 0, "type_vocab_size": 1}

# What each family has that others do not: narrow embeddings, shared layers, relative positions, windows, no segments.
FAMILIES: dict[str, dict[str, Any]] = {
    "albert": SIZES | {"embedding_size": 32},
    "deberta-v2": SIZES
    | {
        "relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "share_att_key": True,
        "norm_rel_ebd": "layer_norm", "position_biased_input": False, "type_vocab_size": 0,
    },
    "modernbert": SIZES | {"local_attention": 16, "cls_token_id": 2, "sep_token_id": 3, "pad_token_id": 0},
    "electra": SIZES | {"embedding_size": 32},
    "mpnet": SIZES | {"max_position_embeddings": 66, "pad_token_id": 1},
    "xlm-roberta": SIZES | BEHIND_PADDING,
    "camembert": SIZES | BEHIND_PADDING,
}  # fmt: skip
IN_GGUF = {"modernbert", "xlm-roberta", "camembert"}
EVAL = Path(__file__).parents[1] / "messages_eval.csv"


def _write(family: str, folder: Path, tokenizer: Path, auto: Any, **more: Any) -> Path:
    """A model wide enough apart that its answers are no ties, norms and biases included."""
    torch.manual_seed(0)
    sizes = {"max_position_embeddings": 64} | FAMILIES[family] | more
    model = auto.from_config(AutoConfig.for_model(family, vocab_size=400, initializer_range=0.2, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder)
    return folder


def _parities(folder: Path, formats: list[str], out: Path) -> dict[str, Any]:
    plan = make_plan(inspect(folder), formats, ["fp32"])
    made = execute(plan, *gather(plan, None, EVAL, {}, 0), out)
    return {each.name: read_object(each / "mct.json")["parity"] for each in made}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_of_every_family_gives_its_answers_in_every_format_that_holds_it(
    family: str, tiny_bert: Path, tmp_path: Path
) -> None:
    folder = _write(family, tmp_path / family, tiny_bert, AutoModelForSequenceClassification, num_labels=5)
    formats = ["onnx", "openvino", *(["gguf"] if family in IN_GGUF else [])]
    found = _parities(folder, formats, tmp_path / "out")
    assert list(found) == ["onnx-fp32", "openvino-fp32", *(["gguf-f32"] if family in IN_GGUF else [])]
    for name, parity in found.items():
        assert parity["agreement"] == 1.0
        assert parity["max_abs_delta"] <= (0.02 if name == "gguf-f32" else 1e-3)


def test_a_tagger_of_modernbert_has_the_head_that_its_classifier_has(tiny_bert: Path, tmp_path: Path) -> None:
    tags = {"id2label": dict(enumerate(("O", "B-title", "I-title", "B-volume")))}
    folder = _write("modernbert", tmp_path / "tagger", tiny_bert, AutoModelForTokenClassification, **tags)
    found = _parities(folder, ["gguf"], tmp_path / "out")
    assert found["gguf-f32"]["agreement"] == 1.0 and found["gguf-f32"]["max_abs_delta"] <= 0.02
