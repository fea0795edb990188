"""Every kind of encoder in OpenVINO: the original's own outputs by name, at every precision, opened by others."""

import dataclasses
import functools
import itertools
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from mct import MctError
from mct.compress.onnx import export_encoder as export_onnx
from mct.compress.openvino import export as export_openvino
from mct.compress.openvino import export_reward as export_openvino_reward
from mct.compress.openvino import half as openvino_half
from mct.compress.openvino import quantise as quantise_openvino
from mct.compress.openvino import quantise_accurate as quantise_openvino_accurate
from mct.compress.openvino.head import head_products
from mct.compress.plan.passes import ENCODERS, Product, Resources
from mct.compress.plan.plan import supported
from mct.compress.run.parity import Parity, Reference, measure_parity, require_parity, run_original
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.examples import find_kind
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokens
from mct.targets.arithmetic import arithmetic_of
from mct.targets.machine import described_machine, probe_machine
from mct.targets.runtimes.table import Executable, Session, open_session, runtime_for

LABELS = ("returns", "checkout", "escalation")
TAGS = ("O", "B-title", "I-title", "B-volume")
WORDS = ("order", "return", "Berserk", "damaged", "Osaka", "shipping")
TEXTS = tuple(" ".join(words[: 1 + place % 5]) for place, words in enumerate(itertools.permutations(WORDS, 5)))[::17]
SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
NAMED = {"id2label": dict(enumerate(LABELS)), "label2id": {label: place for place, label in enumerate(LABELS)}}


def bert(name: str, folder: Path, **more: Any) -> None:
    """A BERT of two layers with random weights, under one of transformers' heads."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=300, max_position_embeddings=64, initializer_range=0.3, **SIZES, **more
    )  # fmt: skip
    getattr(transformers, name)(config).save_pretrained(folder)


def several_labels(folder: Path) -> None:
    bert("BertForSequenceClassification", folder, problem_type="multi_label_classification", **NAMED)


def tags(folder: Path) -> None:
    bert("BertForTokenClassification", folder, id2label=dict(enumerate(TAGS)))


def pairs(folder: Path) -> None:
    bert("BertForSequenceClassification", folder, num_labels=1)


def several_heads(folder: Path) -> None:
    import torch

    from mct.models.checkpoints.load_heads import save_heads

    bert("BertModel", folder)
    heads = (Head("label", "label", LABELS), Head("slots", "tags", TAGS))
    save_heads(folder, heads, {head.name: torch.nn.Linear(64, len(head.labels)) for head in heads})


def embedder(folder: Path) -> None:
    """As sentence-transformers writes it: mean pooling, then length 1."""
    bert("BertModel", folder)
    kinds = ("models.Transformer", "models.Pooling", "models.Normalize")
    paths = ("", "1_Pooling", "2_Normalize")
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.{kind}"}
        for place, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64, "do_lower_case": False}))
    for path in paths[1:]:
        (folder / path).mkdir()
    pooling = {"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


def reward(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, max_position_embeddings=64, initializer_range=0.3, num_labels=1, num_key_value_heads=2,
        pad_token_id=0, **SIZES,
    )  # fmt: skip
    LlamaForSequenceClassification(config).save_pretrained(folder)


KINDS: dict[str, Callable[[Path], None]] = {
    "multi-label-classification": several_labels,
    "token-classification": tags,
    "pair-scoring": pairs,
    "multi-head": several_heads,
    "sentence-embedding": embedder,
    "reward": reward,
}

Make = Callable[[str, str], Product]


@pytest.fixture(scope="module")
def checkpoints(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The checkpoint of a task kind, written once."""

    @functools.cache
    def write(task: str) -> Path:
        folder = tmp_path_factory.mktemp("kinds") / task
        KINDS[task](folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tiny_bert / name, folder)
        assert inspect(folder).task == task
        return folder

    return write


def resources(folder: Path) -> Resources:
    """Every text is a document, of the query that the first of each four is."""
    following = (*TEXTS[1:], TEXTS[0])
    rows = tuple(
        {
            "text": text,
            "query": TEXTS[place - place % 4],
            "doc": other,
            "prompt": text,
            "chosen": other,
            "rejected": text,
        }
        for place, (text, other) in enumerate(zip(TEXTS, following, strict=True))
    )
    return Resources(inspect(folder), Dataset("texts.jsonl", rows, "0" * 64), probe_machine(), seed=3)


@pytest.fixture(scope="module")
def make(checkpoints: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The product of each task and form, made once."""

    @functools.cache
    def product(task: str, form: str) -> Product:
        draft, given = tmp_path_factory.mktemp(f"{task}-{form}"), resources(checkpoints(task))
        start = Product(checkpoints(task), "")
        if form == "onnx":
            return export_onnx.run(start, draft, {}, given)
        if form == "fp32" and task == "reward":
            return export_openvino_reward.run(start, draft, {}, given)
        source = product(task, "onnx" if form == "fp32" else "fp32")
        return _PASSES[form](source, draft, {}, given)

    return product


_PASSES: Mapping[str, Callable[..., Product]] = {
    "fp32": export_openvino.run,
    "fp16": openvino_half.run,
    "bf16": openvino_half.run_bfloat16,
    "int8": quantise_openvino.run,
    "int8-accurate": quantise_openvino_accurate.run,
}


@functools.cache
def reference(folder: Path) -> Reference:
    found = inspect(folder)
    return run_original(found, find_kind(found.task).texts(resources(folder).calibration.rows[:40]), 1)  # type: ignore[union-attr]


def executable(folder: Path, product: Product) -> Executable:
    found = inspect(folder)
    return Executable(product.folder, product.model, found.task, len(found.labels), found.max_tokens, product.settings)


def opened(folder: Path, product: Product) -> Session:
    return open_session(runtime_for("openvino"), executable(folder, product), 1)


def parity(folder: Path, product: Product, form: str) -> Parity:
    return measure_parity(reference(folder), f"openvino-{form}", executable(folder, product), 1)


@pytest.mark.parametrize("task", KINDS)
def test_fp32_gives_the_originals_outputs_whatever_the_padding(
    task: str, checkpoints: Callable[[str], Path], make: Make
) -> None:
    folder = checkpoints(task)
    found = parity(folder, make(task, "fp32"), "fp32")
    require_parity(found, "openvino-fp32", folder)
    assert found.max_abs_delta <= 1e-3 and found.agreement == 1.0
    lengths = {len(tokens.ids) for tokens in reference(folder).asked.inputs}
    assert lengths - set(make(task, "fp32").settings["buckets"]), "some inputs must be padded for this to say anything"
    (one, *_), before = reference(folder).asked.inputs, reference(folder).outputs[0]
    answer = opened(folder, make(task, "fp32"))([one])
    assert {name: value.shape for name, value in answer.items()} == {
        name: value.shape for name, value in before.items()
    }


@pytest.mark.parametrize("task", KINDS)
def test_fewer_bits_stay_close_and_get_smaller(task: str, checkpoints: Callable[[str], Path], make: Make) -> None:
    folder = checkpoints(task)
    spread = float(np.ptp([value.max() for answer in reference(folder).outputs for value in answer.values()]))
    for form, share in {"fp16": 0.01, "int8": 0.1}.items():
        assert parity(folder, make(task, form), form).mean_abs_delta <= share * spread, form
    sizes = {form: (make(task, form).folder / "openvino_model.bin").stat().st_size for form in ("fp32", "fp16", "int8")}
    assert sizes["fp32"] > 1.9 * sizes["fp16"] and sizes["fp32"] > 1.9 * sizes["int8"]


def test_answers_of_a_batch_are_those_of_its_inputs(checkpoints: Callable[[str], Path], make: Make) -> None:
    folder = checkpoints("multi-head")
    session, inputs = opened(folder, make("multi-head", "fp32")), reference(folder).asked.inputs[-3:]
    together = session(inputs)
    longest = max(len(tokens.ids) for tokens in inputs)
    assert together["label_logits"].shape == (3, 3) and together["slots_logits"].shape == (3, longest, 4)
    for row, tokens in enumerate(inputs):
        alone = session([tokens])
        np.testing.assert_array_equal(together["label_logits"][row], alone["label_logits"][0])
        np.testing.assert_array_equal(together["slots_logits"][row, : len(tokens.ids)], alone["slots_logits"][0])
        assert not together["slots_logits"][row, len(tokens.ids) :].any()


def test_outputs_are_found_by_name_whatever_their_order(tmp_path: Path) -> None:
    graph = _two_outputs()
    ov.save_model(graph, tmp_path / "openvino_model.xml", compress_to_fp16=False)
    tokens = Tokens([4, 2, 7], [0, 0, 0])
    settings = {"buckets": [8]}
    for task, name, shape in (
        ("sentence-embedding", "sentence_embedding", (1, 5)),
        ("multi-head", "a_logits", (1, 3, 5)),
    ):
        session = open_session(
            runtime_for("openvino"), Executable(tmp_path, "openvino_model.xml", task, 0, 64, settings), 1
        )
        answer = session([tokens])
        assert {key: value.shape for key, value in answer.items()} == {name: shape}
    np.testing.assert_allclose(answer["a_logits"][0, :, 0], [8.0, 4.0, 14.0])


def _two_outputs() -> ov.Model:
    """Token ids to 2·id for every token ("a_logits") and to their sum over the text ("sentence_embedding"), 5 wide."""
    from openvino import opset13 as ops

    ids = ops.parameter([-1, -1], np.int64, name="input_ids")
    ids.output(0).set_names({"input_ids"})
    table = ops.constant(np.repeat(2.0 * np.arange(10, dtype=np.float32)[:, None], 5, axis=1))
    hidden = ops.gather(table, ids, ops.constant(0))
    pooled = ops.reduce_sum(hidden, ops.constant(1))
    hidden.output(0).set_names({"a_logits"})
    pooled.output(0).set_names({"sentence_embedding"})
    return ov.Model([hidden, pooled], [ids], "two")


def test_only_what_stands_behind_the_trunk_stays_out_of_int8(make: Make) -> None:
    kept = {
        task: len(head_products(ov.Core().read_model(make(task, "fp32").folder / "openvino_model.xml")))
        for task in KINDS
    }
    assert kept == {
        "multi-label-classification": 2, "token-classification": 1, "pair-scoring": 2, "multi-head": 2,
        "sentence-embedding": 0, "reward": 1,
    }  # fmt: skip


def with_outliers(folder: Path) -> None:
    """Several labels, the second layer's attention with constants that change nothing but the range of what is stored.

    A channel of each head's queries meets keys of 0, one of its values an output weight of 0: at fp32 nothing of them
    is left, and at eight bits nothing is left of their neighbours.
    """
    from safetensors.torch import load_file, save_file

    several_labels(folder)
    weights = load_file(folder / "model.safetensors")
    attention = "bert.encoder.layer.1.attention"
    for channel in range(0, 64, 16):
        for part, constant in {"query": 3000.0, "key": 0.0, "value": 3000.0}.items():
            weights[f"{attention}.self.{part}.weight"][channel] = 0
            weights[f"{attention}.self.{part}.bias"][channel] = constant
        weights[f"{attention}.output.dense.weight"][:, channel] = 0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_accurate_int8_gives_back_what_changes_answers_and_says_so(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two blocks rather than six: the same steps in a third of the time. Made for seven bits, so the same anywhere."""
    monkeypatch.setattr(quantise_openvino_accurate, "MOST_BLOCKS", 2)
    folder, drafts = tmp_path / "checkpoint", {name: tmp_path / name for name in ("onnx", "fp32", "accurate")}
    with_outliers(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_bert / name, folder)
    for draft in drafts.values():
        draft.mkdir()
    given = dataclasses.replace(resources(folder), machine=described_machine("x86_64", ("avx2", "fma")))
    onnx = export_onnx.run(Product(folder, ""), drafts["onnx"], {}, given)
    fp32 = export_openvino.run(onnx, drafts["fp32"], {}, given)
    found = quantise_openvino_accurate.run(fp32, drafts["accurate"], {"max_drop": 0.3}, given)
    notes = found.notes
    assert notes["changed_at_most"] <= 0.3 and notes["products_in_fp32"] == 6
    assert (notes["calibration_texts"], notes["held_out_answers"], notes["attempts"]) == (10, 30, 2)
    assert (parity(folder, found, "int8").agreement or 0.0) >= 0.8


def few_rows(folder: Path, count: int) -> Resources:
    given = resources(folder)
    assert given.calibration
    return dataclasses.replace(
        given, calibration=dataclasses.replace(given.calibration, rows=given.calibration.rows[:count])
    )


def test_accurate_int8_refuses_rows_that_could_not_show_it(
    checkpoints: Callable[[str], Path], make: Make, tmp_path: Path
) -> None:
    """Eight rows, of which two were held out, were enough for "at most 1 %" once."""
    task = "multi-label-classification"
    with pytest.raises(
        MctError, match=r"at most 1.0% of answers change: that takes 477 .* these rows give 6"
    ) as caught:
        quantise_openvino_accurate.run(make(task, "fp32"), tmp_path, {}, few_rows(checkpoints(task), 8))
    assert "636 texts or more" in caught.value.hint and not list(tmp_path.iterdir())
    with pytest.raises(MctError, match="holds rows out"):
        quantise_openvino_accurate.run(make(task, "fp32"), tmp_path, {}, few_rows(checkpoints(task), 1))


def test_the_bound_is_clopper_and_pearsons_and_the_fewest_answers_are_the_fewest() -> None:
    """By hand: none of n changed, so (1 - bound)^n is alpha. One of 5 at 0.95: scipy's own exact interval."""
    from scipy.stats import binomtest

    bound, fewest = quantise_openvino_accurate.changed_at_most, quantise_openvino_accurate.fewest_answers
    assert bound(0, 100, 1) == pytest.approx(1 - 0.05**0.01)
    assert bound(1, 5, 1) == pytest.approx(binomtest(1, 5, alternative="less").proportion_ci(0.95).high)
    assert bound(5, 5, 1) == 1.0
    assert (fewest(0.01, 1), fewest(0.01, 6)) == (299, 477)
    for drop, attempts in ((0.01, 6), (0.05, 4), (0.3, 2)):
        needed = fewest(drop, attempts)
        assert bound(0, needed, attempts) <= drop < bound(0, needed - 1, attempts)


def test_the_first_attempt_that_passes_is_rarely_a_lucky_one() -> None:
    """Six attempts, each of which changes exactly as much as is too much: one of them passes in at most 5 % of runs."""
    drop, attempts, answers = 0.03, 6, 600
    changed = np.random.default_rng(0).binomial(answers, drop, size=(20_000, attempts))
    passes = np.array([quantise_openvino_accurate.changed_at_most(k, answers, attempts) <= drop for k in range(60)])
    assert 0.005 < passes[changed].any(axis=1).mean() <= 0.05
    assert passes[np.random.default_rng(1).binomial(answers, 0.005, size=20_000)].mean() > 0.9


def test_bfloat16_is_refused_on_a_cpu_that_lacks_it(
    checkpoints: Callable[[str], Path], make: Make, tmp_path: Path
) -> None:
    given = resources(checkpoints("pair-scoring"))
    old = dataclasses.replace(given.machine, cpu="an older CPU", instruction_sets=("avx2", "fma"))
    with pytest.raises(MctError, match="which this one lacks: an older CPU") as caught:
        openvino_half.run_bfloat16(make("pair-scoring", "fp32"), tmp_path, {}, dataclasses.replace(given, machine=old))
    assert "fp16" in caught.value.hint and not list(tmp_path.iterdir())


@pytest.mark.skipif(not arithmetic_of(probe_machine()).bfloat16, reason="this CPU has no bfloat16")
def test_bfloat16_is_really_computed_in(checkpoints: Callable[[str], Path], make: Make) -> None:
    folder = checkpoints("pair-scoring")
    found = parity(folder, make("pair-scoring", "bf16"), "bf16")
    spread = float(np.ptp([answer["logits"] for answer in reference(folder).outputs]))
    assert 1e-4 < found.max_abs_delta <= 0.1 * spread


def test_a_reward_model_without_a_padding_token_is_refused(checkpoints: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoints("reward"), tmp_path / "reward")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    with pytest.raises(MctError, match="no pad_token_id"):
        export_openvino_reward.run(Product(folder, ""), tmp_path, {}, resources(folder))


def test_every_encoder_has_the_same_precisions() -> None:
    of_vectors = ["fp32", "fp16", "bf16", "int8", "int8-accurate"]
    assert supported("reward")["openvino"] == of_vectors
    for task in ENCODERS:
        assert supported(task)["openvino"] == [*of_vectors, "int4", "int4-mixed"]


# -- opened by others -----------------------------------------------------------------------------------------------


def finished(folder: Path, product: Product, out: Path) -> Path:
    """The artifact folder as other programs meet it."""
    shutil.copytree(folder, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    shutil.copytree(product.folder, out, dirs_exist_ok=True)
    return out


@pytest.mark.parametrize(
    ("task", "opener", "output"),
    [
        ("token-classification", "OVModelForTokenClassification", "logits"),
        ("pair-scoring", "OVModelForSequenceClassification", "logits"),
        ("multi-label-classification", "OVModelForSequenceClassification", "logits"),
        ("sentence-embedding", "OVModelForFeatureExtraction", "last_hidden_state"),
    ],
)
def test_optimum_opens_the_finished_folder_and_agrees(
    task: str, opener: str, output: str, checkpoints: Callable[[str], Path], make: Make, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    optimum = pytest.importorskip("optimum.intel", reason="optimum-intel is not installed")
    folder = checkpoints(task)
    finished(folder, make(task, "fp32"), tmp_path)
    model = getattr(optimum, opener).from_pretrained(tmp_path, ov_config={"INFERENCE_PRECISION_HINT": "f32"})
    one = reference(folder).asked.inputs[2]
    given = {"input_ids": torch.tensor([one.ids]), "attention_mask": torch.ones(1, len(one.ids), dtype=torch.int64)}
    theirs = model(**given, token_type_ids=torch.tensor([one.type_ids]))[output].numpy()
    if task == "sentence-embedding":
        theirs = theirs.mean(axis=1) / np.linalg.norm(theirs.mean(axis=1))
        output = "sentence_embedding"
    np.testing.assert_allclose(theirs, reference(folder).outputs[2][output], atol=1e-3)


def test_sentence_transformers_opens_the_embedder_and_agrees(
    checkpoints: Callable[[str], Path], make: Make, tmp_path: Path
) -> None:
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    pytest.importorskip("optimum.intel", reason="optimum-intel is not installed")
    folder = checkpoints("sentence-embedding")
    finished(folder, make("sentence-embedding", "fp32"), tmp_path)
    options = {"ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}
    model = library.SentenceTransformer(str(tmp_path), backend="openvino", device="cpu", model_kwargs=options)
    requests = find_kind("sentence-embedding").texts(resources(folder).calibration.rows[:40])  # type: ignore[union-attr]
    theirs = model.encode(requests)
    ours = np.concatenate([answer["sentence_embedding"] for answer in reference(folder).outputs])
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_sentence_transformers_opens_the_cross_encoder_and_agrees(
    checkpoints: Callable[[str], Path], make: Make, tmp_path: Path
) -> None:
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    torch = pytest.importorskip("torch")
    pytest.importorskip("optimum.intel", reason="optimum-intel is not installed")
    folder = checkpoints("pair-scoring")
    finished(folder, make("pair-scoring", "fp32"), tmp_path)
    options = {"ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}
    model = library.CrossEncoder(str(tmp_path), backend="openvino", device="cpu", model_kwargs=options)
    rows = resources(folder).calibration.rows[:40]  # type: ignore[union-attr]
    theirs = model.predict([(row["query"], row["doc"]) for row in rows], activation_fn=torch.nn.Identity())
    ours = np.concatenate([answer["logits"][:, 0] for answer in reference(folder).outputs])
    np.testing.assert_allclose(theirs, ours, atol=1e-3)
