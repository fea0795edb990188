"""Neurons and heads that matter least are left out: held against the change worked out by hand, and against models of
which half does nothing, whose answers must then stay to the last bit but rounding."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from mct import MctError
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.inputs import encode_requests
from mct.compress.run.resources import gather
from mct.compress.shrink.importance import importance, layer_pattern, most_important
from mct.compress.shrink.obstacles import head_sizes, neurons_kept
from mct.models.checkpoints.checkpoint import inspect
from mct.models.families.table import Family, families, find_family

TEXTS = (
    "where is my order",
    "let me talk to a human",
    "my card was declined",
    "is this for a child",
    "hi",
    "return it",
)
NEURONS = 96
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {},
    "distilbert": {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": NEURONS},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0},
}
DECODERS: dict[str, dict[str, Any]] = {"llama": {}, "qwen2": {}, "gemma3_text": {"head_dim": 16}}


def write(family: str, folder: Path, tokenizer: Path, change: Callable[[str, torch.Tensor], None], **more: Any) -> Path:
    """A small model of that family, every weight as `change` leaves it."""
    decoder = family in DECODERS
    sizes = {
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": NEURONS,
        "max_position_embeddings": 64, "initializer_range": 0.3, "num_labels": 3,
    }  # fmt: skip
    if decoder:
        sizes |= {"num_key_value_heads": 2, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    pieces = len(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"])
    config = AutoConfig.for_model(family, **(sizes | (DECODERS | ENCODERS)[family] | more), vocab_size=pieces)
    torch.manual_seed(0)
    model = (AutoModelForCausalLM if decoder else AutoModelForSequenceClassification).from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
            change(name, parameter)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder)
    return folder


def silence(family: str, part: str, channels: list[int]) -> Callable[[str, torch.Tensor], None]:
    """Lets the part read nothing from these channels."""
    row = find_family(family)
    assert row is not None
    pattern = layer_pattern(row, part)

    def change(name: str, parameter: torch.Tensor) -> None:
        if pattern.search(name) and parameter.dim() == 2:
            parameter[:, channels] = 0

    return change


def run(folder: Path, out: Path, name: str, keep: float, formats: list[str]) -> list[Path]:
    seen, asked = out.with_suffix(".seen.jsonl"), out.with_suffix(".asked.jsonl")
    for file, texts in ((seen, TEXTS[::2]), (asked, TEXTS[1::2])):
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    plan = make_plan(inspect(folder), formats, ["fp32"], recipe=Recipe((Step(name, options={"keep": keep}),)))
    resources, requests = gather(plan, seen, asked, {}, seed=0)
    return execute(plan, resources, requests, out)


@pytest.mark.parametrize(
    "family", [each for each in families() if "ffn_down" in each.parts], ids=lambda each: each.model_type
)
def test_the_table_names_the_parts_that_are_cut(family: Family) -> None:
    auto = AutoModelForCausalLM if family.decoder else AutoModelForSequenceClassification
    with torch.device("meta"):
        model = auto.from_config(AutoConfig.for_model(family.model_type, **{family.keys.layers: 2}))
    config = model.config.to_dict()
    width, neurons = config[family.keys.hidden], config[family.keys.feed_forward]
    shapes = {"ffn_gate": (neurons, width), "ffn_up": (neurons, width), "ffn_down": (width, neurons)}
    if family.says_head_width:
        sizes = head_sizes(config)
        heads, keys = sizes.queries * sizes.width, sizes.keys * sizes.width
        shapes |= {
            "query": (heads, width),
            "attention_output": (width, heads),
            "key": (keys, width),
            "value": (keys, width),
        }
    for part in shapes.keys() & family.parts.keys():
        weights = [each for name, each in model.named_parameters() if layer_pattern(family, part).search(name)]
        assert {tuple(each.shape) for each in weights if each.dim() == 2} == {shapes[part]}, part
        assert len([each for each in weights if each.dim() == 2]) == 2


def lineage(checkpoint: Path) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads((checkpoint / "mct-lineage.json").read_text())[-1]
    return entry


def opened(folder: Path, decoder: bool) -> Any:
    """The folder in transformers itself, which must find each weight in the shape that config.json says."""
    auto = AutoModelForCausalLM if decoder else AutoModelForSequenceClassification
    model, found = auto.from_pretrained(folder, output_loading_info=True)
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), found
    return model


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_without_neurons_that_nothing_reads_the_answers_stay(
    family: str, tiny_bert: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    decoder = family in DECODERS
    dead = list(range(1, NEURONS, 3))
    formats = ["checkpoint", *({"bert": ["onnx", "openvino", "gguf"], "llama": ["onnx", "gguf"]}.get(family, []))]
    tokenizer = tiny_llama if decoder else tiny_bert
    whole = write(family, tmp_path / "whole", tokenizer, silence(family, "ffn_down", dead))
    checkpoint, *artifacts = run(whole, tmp_path / "out", "narrow-ffn", 2 / 3, formats)
    said = lineage(checkpoint)
    assert (said["notes"]["neurons"], said["notes"]["of"]) == (64, NEURONS)
    assert said["notes"]["importance_kept"] == [1.0, 1.0]
    assert said["parity"]["parent"]["agreement"] == 1.0 and said["parity"]["parent"]["max_abs_delta"] < 1e-4
    assert all(read_artifact(each).parity["root"]["agreement"] == 1.0 for each in artifacts)
    assert (
        getattr(opened(checkpoint, decoder).config, "hidden_dim" if family == "distilbert" else "intermediate_size")
        == 64
    )
    assert inspect(checkpoint).parameters < inspect(whole).parameters


@pytest.mark.parametrize(
    ("family", "key_heads", "dead", "left"),
    [*((family, 2, (2, 3), (2, 1)) for family in DECODERS), ("llama", 1, (0, 2), (2, 1)), ("llama", 4, (0, 2), (2, 2))],
)
def test_without_heads_that_nothing_reads_the_answers_stay(
    family: str, key_heads: int, dead: tuple[int, ...], left: tuple[int, int], tiny_llama: Path, tmp_path: Path
) -> None:
    """A whole group of two, two of a group of four, two of heads that share nothing."""
    channels = [head * 16 + place for head in dead for place in range(16)]
    silent = silence(family, "attention_output", channels)
    whole = write(family, tmp_path / "whole", tiny_llama, silent, num_key_value_heads=key_heads)
    formats = ["checkpoint", *(["onnx", "gguf"] if (family, key_heads) == ("llama", 2) else [])]
    checkpoint, *artifacts = run(whole, tmp_path / "out", "prune-heads", left[0], formats)
    said = lineage(checkpoint)
    assert said["notes"]["kept"] == [[head for head in range(4) if head not in dead]] * 2
    assert said["parity"]["parent"]["agreement"] == 1.0 and said["parity"]["parent"]["max_abs_delta"] < 1e-4
    assert all(read_artifact(each).parity["root"]["agreement"] == 1.0 for each in artifacts)
    config = opened(checkpoint, decoder=True).config
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (*left, 16)


def test_importance_is_the_change_of_the_loss_without_each_neuron(tiny_bert: Path, tmp_path: Path) -> None:
    """Of neurons that add little, so that the first order is all there is: each is left out, and the loss taken."""

    def smaller(name: str, parameter: torch.Tensor) -> None:
        if name.endswith("layer.1.output.dense.weight"):
            parameter.mul_(1e-3)

    folder = write("bert", tmp_path / "whole", tiny_bert, smaller)
    for name, text in (("one", TEXTS[0]), ("other", TEXTS[1])):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": text}) + "\n")
    plan = make_plan(
        inspect(folder), ["checkpoint"], ["fp32"], recipe=Recipe((Step("narrow-ffn", options={"keep": 8}),))
    )
    resources, _ = gather(plan, tmp_path / "one.jsonl", tmp_path / "other.jsonl", {}, seed=0)
    family = find_family("bert")
    assert family is not None
    found = importance(resources, family, "ffn_down")[1]

    model = AutoModelForSequenceClassification.from_pretrained(folder).double().eval()
    (tokens,) = encode_requests(inspect(folder), [TEXTS[0]])
    down = model.bert.encoder.layer[1].output.dense.weight.data

    def log_shares() -> torch.Tensor:
        shares: torch.Tensor = torch.log_softmax(model(input_ids=torch.tensor([tokens.ids])).logits[0], -1)
        return shares

    with torch.inference_mode():
        whole, changes = log_shares(), []
        for neuron in range(NEURONS):
            column = down[:, neuron].clone()
            down[:, neuron] = 0
            changes.append(abs(float((log_shares() - whole)[whole.argmax()])))
            down[:, neuron] = column
    worked_out = torch.tensor(changes)
    assert torch.allclose(found, worked_out.float(), rtol=0.05, atol=float(worked_out.max()) * 0.01)


@pytest.mark.parametrize(
    ("width", "keep", "kept"),
    [(3072, 0.5, 1536), (3072, 0.33, 1024), (3072, 1e-6, 32), (100, 0.5, 50), (3072, 100, 100), (3072, 1.0, 0)],
)  # fmt: skip
def test_a_share_of_neurons_is_whole_blocks(width: int, keep: float, kept: int) -> None:
    assert neurons_kept(width, keep) == kept


def test_of_equal_ones_the_first_stay() -> None:
    assert most_important([torch.tensor([1.0, 2.0, 1.0, 2.0, 1.0])], 3) == [[0, 1, 3]]


@pytest.mark.parametrize(
    ("family", "name", "keep", "reason"),
    [
        ("bert", "narrow-ffn", 128, "of the 128 that a layer has"), ("bert", "narrow-ffn", 0, "`keep` is 0"),
        ("bert", "narrow-ffn", 1.5, "`keep` is 1.5"), ("bert", "prune-heads", 2, "cannot say how wide a head is"),
        ("llama", "prune-heads", 4, "fewer must stay"), ("llama", "prune-heads", 1, "whole groups of 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_the_plan(
    family: str, name: str, keep: float, reason: str, tiny_bert: Path, tiny_llama: Path
) -> None:
    folder = tiny_bert if family == "bert" else tiny_llama
    with pytest.raises(MctError, match=reason):
        make_plan(inspect(folder), ["onnx"], ["fp32"], recipe=Recipe((Step(name, options={"keep": keep}),)))


def test_transformers_takes_no_heads_that_do_not_divide_the_width(tiny_llama: Path, tmp_path: Path) -> None:
    whole = write("llama", tmp_path / "whole", tiny_llama, silence("llama", "query", []), num_key_value_heads=4)
    with pytest.raises(MctError, match="does not divide the width 64"):
        run(whole, tmp_path / "out", "prune-heads", 3, ["checkpoint"])
