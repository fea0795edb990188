"""Families from checkpoint to every format that holds them, as transformers writes them at a small size.

Each artifact has to give its checkpoint's answers before it is one, to short texts and to ones past every window.
Decoders in each format by themselves: tests/compress/onnx, openvino and gguf.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from mct import MctError
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.compress.shrink.drop_layers import shortened
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.declared import read_object
from mct.models.families.table import Family, families
from mct.models.writing.folders import write_json
from mct.targets.arithmetic import arithmetic_of
from mct.targets.machine import probe_machine

SIZES = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96,
    "max_position_embeddings": 64,
}  # fmt: skip
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
}  # fmt: skip
IN_GGUF = {"modernbert", "xlm-roberta"}
# In every kind of task, as the first of them in tests/compress/onnx/test_kinds.py, or as one of the same layers; the
# network below the transformer in tests/compress/students.
TRIED_ELSEWHERE = {"bert", "roberta", "distilbert", "camembert", "deberta", "mct_shallow"}
EVAL = Path(__file__).parents[1] / "messages_eval.csv"


def _write(family: str, folder: Path, tokenizer: Path, auto: Any, **more: Any) -> Path:
    """A model wide enough apart that its answers are no ties, norms and biases included."""
    torch.manual_seed(0)
    sizes = FAMILIES.get(family, {}) | more
    model = auto.from_config(AutoConfig.for_model(family, vocab_size=400, initializer_range=0.2, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder)
    return folder


def _parities(folder: Path, formats: list[str], out: Path, precision: str = "fp32") -> dict[str, Any]:
    plan = make_plan(inspect(folder), formats, [precision])
    made = execute(plan, *gather(plan, None, EVAL, {}, 0), out)
    return {each.name: read_object(each / "mct.json")["parity"] for each in made}


def test_every_encoder_of_the_table_is_tried() -> None:
    encoders = {family.model_type for family in families() if not family.decoder}
    assert encoders == set(FAMILIES) | TRIED_ELSEWHERE


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


@pytest.mark.skipif(not arithmetic_of(probe_machine()).bfloat16, reason="this CPU has no bfloat16")
def test_a_mask_of_float32_s_lowest_is_none_of_bfloat16_s_infinities(tiny_bert: Path, tmp_path: Path) -> None:
    """DeBERTa masks what a padding token looks at altogether, which was no number once that became minus infinity."""
    folder = _write("deberta-v2", tmp_path / "deberta", tiny_bert, AutoModelForSequenceClassification, num_labels=5)
    found = _parities(folder, ["openvino"], tmp_path / "out", "bf16")["openvino-bf16"]
    assert found["agreement"] >= 0.9 and found["max_abs_delta"] > 0.0


def test_a_tagger_of_modernbert_has_the_head_that_its_classifier_has(tiny_bert: Path, tmp_path: Path) -> None:
    tags = {"id2label": dict(enumerate(("O", "B-title", "I-title", "B-volume")))}
    folder = _write("modernbert", tmp_path / "tagger", tiny_bert, AutoModelForTokenClassification, **tags)
    found = _parities(folder, ["gguf"], tmp_path / "out")
    assert found["gguf-f32"]["agreement"] == 1.0 and found["gguf-f32"]["max_abs_delta"] <= 0.02


DECODERS = [family for family in families() if family.decoder]


@pytest.mark.parametrize("family", DECODERS, ids=lambda family: family.model_type)
def test_the_table_names_what_a_decoder_of_that_family_has(family: Family) -> None:
    """What the passes that drop layers and pieces go by."""
    config = AutoConfig.for_model(family.model_type, **{family.keys.layers: 2})
    with torch.device("meta"):
        names = {name: tuple(each.shape) for name, each in AutoModelForCausalLM.from_config(config).named_parameters()}
    tables = [f"{family.prefix}{family.words}", *([] if config.tie_word_embeddings else family.word_rows)]
    assert {names[table][0] for table in tables} == {config.vocab_size}
    for layer in range(2):
        assert any(name.startswith(f"{family.prefix}{family.layer(layer)}.") for name in names)


def test_lists_of_what_layers_do_follow_the_layers_that_stay() -> None:
    config = {"layer_types": ["a", "b", "c"], "no_rope_layers": [1, 0, 1], "num_hidden_layers": 3}
    assert shortened(config, "num_hidden_layers", [0, 2]) == {
        "layer_types": ["a", "c"], "no_rope_layers": [1, 1], "num_hidden_layers": 2
    }  # fmt: skip


@pytest.mark.parametrize(("family", "key"), [("gemma2", "layer_types"), ("smollm3", "no_rope_layers")])
def test_layers_that_hang_on_their_number_stay_where_config_json_does_not_list_them(
    family: str, key: str, tiny_llama: Path, tmp_path: Path
) -> None:
    """As configurations on the hub are, which are older than the list."""
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "head_dim": 16, "num_key_value_heads": 2}
    folder = _write(family, tmp_path / family, tiny_llama, AutoModelForCausalLM, **(SIZES | ends))
    recipe = Recipe((Step("drop-layers", options={"keep": [1]}),))
    assert make_plan(inspect(folder), ["onnx"], ["fp32"], recipe=recipe).routes
    config = read_object(folder / "config.json")
    write_json(folder / "config.json", {name: value for name, value in config.items() if name != key})
    with pytest.raises(MctError, match=r"hangs on its number, and .* does not list"):
        make_plan(inspect(folder), ["onnx"], ["fp32"], recipe=recipe)


def test_a_bloom_takes_as_much_as_it_was_trained_on(tiny_llama: Path, tmp_path: Path) -> None:
    """Its positions are distances and have no end; older configurations name a length."""
    sizes = {"hidden_size": 64, "n_layer": 1, "n_head": 4, "seq_length": 48}
    assert inspect(_write("bloom", tmp_path / "bloom", tiny_llama, AutoModelForCausalLM, **sizes)).max_tokens == 48
