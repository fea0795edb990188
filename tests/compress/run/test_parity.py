"""An export that is another model is refused: also where only long texts, or scores near one another, tell it apart."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from mct import MctError
from mct.compress.gguf import export_encoder as export_gguf
from mct.compress.onnx import export_decoder as export_onnx_lm
from mct.compress.onnx import export_encoder as export_onnx
from mct.compress.onnx.graphs import fused
from mct.compress.onnx.graphs.fused import build
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import read_artifact
from mct.compress.run.describe import parity_line
from mct.compress.run.execute import execute
from mct.compress.run.parity import Parity, measure_parity, require_parity, run_original
from mct.compress.run.parity_inputs import LM_INPUTS, LM_TOKENS, ask, ask_decoder
from mct.compress.run.resources import ParityTexts, Source
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.declared import read_object
from mct.models.tasks.tokens import Tokens
from mct.models.writing.folders import write_json
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable

TEXTS = (
    "Once upon a time there was a shop that sold nothing but manga, and its owner had read all of it twice.",
    "Where is my order? It was to arrive on Friday, and it is Monday now, and I have no message from you.",
)
WINDOW, TRAINED = 128, 1024
STRETCHED = {
    "rope_type": "llama3", "rope_theta": 3e8, "factor": 1.5, "low_freq_factor": 0.003, "high_freq_factor": 0.006,
    "original_max_position_embeddings": TRAINED,
}  # fmt: skip
PLAIN = {"rope_type": "default", "rope_theta": 3e8}


def decoder(folder: Path, model_type: str, positions: int, **settings: Any) -> Path:
    """A language model with random weights, a token a byte."""
    import transformers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE({piece: number for number, piece in enumerate(["<end>", *alphabet])}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        model_type, vocab_size=257, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.15, bos_token_id=0, eos_token_id=0, **settings,
        max_position_embeddings=positions,
    )  # fmt: skip
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=bytewise, eos_token="<end>", model_max_length=positions
    ).save_pretrained(folder)
    return folder


def altered(folder: Path, copy: Path, **changes: Any) -> Path:
    """The same weights with another configuration: what a mistaken exporter would read."""
    shutil.copytree(folder, copy)
    write_json(copy / "config.json", read_object(copy / "config.json") | changes)
    return copy


def parity_of(export: Any, form: str, folder: Path, exported: Path, draft: Path, requests: Any = TEXTS) -> Parity:
    """The checkpoint in `folder` beside what is exported from `exported`."""
    checkpoint = inspect(folder)
    draft.mkdir()
    product = export.run(Product(exported, ""), draft, {}, Resources(inspect(exported), None, probe_machine(), seed=0))
    executable = Executable(
        product.folder, product.model, checkpoint.task, len(checkpoint.labels), checkpoint.max_tokens, product.settings
    )
    return measure_parity(run_original(checkpoint, requests, 1), form, executable, 1)


@pytest.mark.parametrize(
    ("model_type", "positions", "right", "wrong", "reach"),
    [
        ("mistral", 512, {"sliding_window": WINDOW}, {"sliding_window": None}, WINDOW),
        ("llama", 2048, {"rope_parameters": STRETCHED}, {"rope_parameters": PLAIN}, TRAINED),
    ],
    ids=["no window", "not stretched"],
)
def test_an_export_that_is_wrong_on_long_texts_only_is_refused(
    tmp_path: Path, model_type: str, positions: int, right: dict[str, Any], wrong: dict[str, Any], reach: int
) -> None:
    folder = decoder(tmp_path / "checkpoint", model_type, positions, **right)
    honest = parity_of(export_onnx_lm, "onnx-fp32", folder, folder, tmp_path / "right")
    require_parity(honest, "onnx-fp32", folder)
    assert (honest.more["longest_input"], honest.more["reach"]) == (reach + LM_TOKENS, reach)
    mistaken = altered(folder, tmp_path / "mistaken", **wrong)
    found = parity_of(export_onnx_lm, "onnx-fp32", folder, mistaken, tmp_path / "wrong")
    with pytest.raises(MctError, match="not the same model"):
        require_parity(found, "onnx-fp32", folder)


def test_short_texts_alone_would_not_have_shown_it(tmp_path: Path) -> None:
    """What the test above is worth: the wrong export answers everything within its window as the original does."""
    from mct.targets.runtimes.table import open_session, original, runtime_for

    folder = decoder(tmp_path / "checkpoint", "mistral", 512, sliding_window=WINDOW)
    mistaken = altered(folder, tmp_path / "mistaken", sliding_window=None)
    asked = ask(inspect(folder), TEXTS).inputs[0]
    short, long = (Tokens((asked.ids * 3)[:most], [0] * most) for most in (LM_TOKENS, 2 * WINDOW))
    sides = [open_session(runtime_for("checkpoint"), original(inspect(each)), 1) for each in (folder, mistaken)]
    differences = [np.abs(np.subtract(*(side([tokens])["logits"] for side in sides))).max() for tokens in (short, long)]
    assert differences[0] < 1e-5 and differences[1] > 0.1


def test_a_language_model_is_asked_short_inputs_and_one_beyond_its_reach(tmp_path: Path) -> None:
    folder = decoder(tmp_path / "checkpoint", "mistral", 512, sliding_window=WINDOW)
    asked = ask_decoder(inspect(folder), [f"{number}: {TEXTS[0]}" for number in range(60)])
    *short, long = asked.inputs
    assert len(short) == LM_INPUTS and max(len(tokens.ids) for tokens in short) == LM_TOKENS
    assert len(long.ids) == WINDOW + LM_TOKENS and long.ids[:LM_TOKENS] == short[0].ids
    assert len(set(asked.groups)) == LM_INPUTS + 1
    whole = ask_decoder(inspect(altered(folder, tmp_path / "off", use_sliding_window=False)), TEXTS)
    assert (whole.reach, len(whole.inputs[-1].ids)) == (0, 512)


def test_a_text_continued_otherwise_is_refused_though_all_logits_are_equal(tmp_path: Path) -> None:
    """What a broken cache looks like; where the original chose by a hair either token is right."""
    folder = decoder(tmp_path / "checkpoint", "llama", 128)
    checkpoint = inspect(folder)
    (tmp_path / "draft").mkdir()
    reference = run_original(checkpoint, TEXTS, 1)
    given = Resources(checkpoint, None, probe_machine(), seed=0)
    product = export_onnx_lm.run(Product(folder, ""), tmp_path / "draft", {}, given)
    same = Executable(
        product.folder, product.model, checkpoint.task, len(checkpoint.labels), checkpoint.max_tokens, product.settings
    )
    first, *others = reference.continued
    parted = (*first.tokens[:3], (first.tokens[3] + 1) % 257, *first.tokens[4:])
    for margin, refused in ((9.0, True), (0.0, False)):
        margins = (*first.margins[:3], margin, *first.margins[4:])
        told = replace(reference, continued=(replace(first, tokens=parted, margins=margins), *others))
        found = measure_parity(told, "onnx-fp32", same, 1)
        assert found.max_delta < 1e-3 and found.more["continued_alike"] < 1
        assert found.more["continued_otherwise"] == float(refused)
        with pytest.raises(MctError, match="prompts are continued") if refused else nullcontext():
            require_parity(found, "onnx-fp32", folder)


def scorer(tiny_bert: Path, folder: Path) -> Path:
    """A cross-encoder whose scores differ by hundredths, as those between 0 and 1 do."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(tiny_bert, num_labels=1)
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        model.classifier.weight.mul_(0.1)
        model.classifier.bias.fill_(0.5)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_bert / name, folder)
    return folder


@pytest.mark.parametrize(
    ("export", "form", "once"), [(export_gguf, "gguf-f32", 3e-2), (export_onnx, "onnx-fp32", 1e-3)]
)
def test_what_is_small_for_logits_is_not_small_for_scores_near_one_another(
    tiny_bert: Path, tmp_path: Path, export: Any, form: str, once: float
) -> None:
    folder = scorer(tiny_bert, tmp_path / "scorer")
    requests = [{"query": query, "docs": ["berserk", "one piece box", "my order", "returns", "hi"]} for query in TEXTS]
    require_parity(parity_of(export, form, folder, folder, tmp_path / "right", requests), form, folder)
    epsilon = {"gguf-f32": 0.01, "onnx-fp32": 3e-4}[form]
    mistaken = altered(folder, tmp_path / "mistaken", layer_norm_eps=epsilon)
    found = parity_of(export, form, folder, mistaken, tmp_path / "wrong", requests)
    assert found.max_abs_delta < once and found.agreement == 1.0, "by a bound for logits it would pass"
    with pytest.raises(MctError, match="not the same model"):
        require_parity(found, form, folder)


def test_a_fused_graph_that_only_small_scores_tell_from_the_model_is_not_taken(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off by less than a thousandth, where scores differ by hundredths."""

    def mistaken(*words: Any) -> onnx.ModelProto:
        graph = build(*words)
        for attribute in (each for node in graph.graph.node for each in node.attribute if each.name == "epsilon"):
            attribute.f = 3e-4
        return graph

    folder = scorer(tiny_bert, tmp_path / "scorer")
    monkeypatch.setattr(fused, "build", mistaken)
    (draft := tmp_path / "draft").mkdir()
    product = export_onnx.run(Product(folder, ""), draft, {}, Resources(inspect(folder), None, probe_machine(), seed=0))
    assert product.notes["graph"] == "exported" and "the fused graph differs" in product.notes["why"]


def test_one_score_alone_is_judged_by_its_value(tiny_bert: Path, tmp_path: Path) -> None:
    folder = scorer(tiny_bert, tmp_path / "scorer")
    found = parity_of(
        export_onnx, "onnx-fp32", folder, folder, tmp_path / "right", [{"query": TEXTS[0], "docs": ["berserk"]}]
    )
    assert (found.agreement, found.decisions, found.inputs) == (None, 0, 1)
    assert json.loads(json.dumps(found.as_json()))["agreement"] is None
    require_parity(found, "onnx-fp32", folder)


def test_an_artifact_of_which_nothing_was_decided_is_written_read_and_says_so(tiny_bert: Path, tmp_path: Path) -> None:
    folder = scorer(tiny_bert, tmp_path / "scorer")
    plan = make_plan(inspect(folder), ["onnx"], ["fp32"])
    texts = ParityTexts(({"query": TEXTS[0], "docs": ["berserk"]},), Source("one.jsonl", "0" * 64, 1, left_out=2))
    resources = Resources(inspect(folder), None, probe_machine(), seed=0)
    (made,) = execute(plan, resources, texts, tmp_path / "out")
    assert parity_line(read_artifact(made).parity).startswith(
        "nothing to decide between on 1 text of one.jsonl (2 calibration rows left out), max |difference|"
    )


def test_an_original_that_gives_no_numbers_is_not_blamed_on_the_export(tiny_bert: Path, tmp_path: Path) -> None:
    import transformers

    model = transformers.AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    with torch.no_grad():
        model.classifier.bias.fill_(torch.nan)
    folder = shutil.copytree(tiny_bert, tmp_path / "broken")
    model.save_pretrained(folder)
    with pytest.raises(MctError, match="itself gives NaN"):
        run_original(inspect(folder), TEXTS, 1)
