"""Students below the transformer: what they are made of, what they learn, and that every format computes them alike."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from mct import MctError
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step, read_recipe
from mct.compress.run.artifact import executable, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.lineage import other_inputs, weights_digest
from mct.compress.run.resources import gather
from mct.compress.run.steps import step_key
from mct.compress.students import shallow
from mct.compress.train.answers import ANSWERS
from mct.compress.train.made_up import Texts, made_up, near_words
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_module
from mct.models.networks.shallow import ShallowForSequenceClassification
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import open_session, runtime_for

SMALL = {"width": 16, "hidden": 24}
STUDENTS = {
    "static": Step("static-student", options=SMALL),
    "bigrams": Step("static-student", options=SMALL | {"bigrams": 64}),
    "convolution": Step("convolution-student", options=SMALL),
    "both": Step("convolution-student", options=SMALL | {"bigrams": 64, "window": 2}),
}
WORDS = ("where", "is", "my", "order", "return", "volume", "card", "human", "shipping", "manga", "long", "do")


def write_texts(path: Path, count: int, **more: Any) -> Path:
    """Texts of five words in every order of them, each another one."""
    rows = []
    for number in range(count):
        words = [WORDS[(number * step + step * step) % len(WORDS)] for step in (1, 5, 7, 11, 13)][: 2 + number % 4]
        rows.append({"text": f"{' '.join(words)} {number}", **more})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def distil(**options: Any) -> Step:
    return Step("distil", options={"epochs": 4.0, "augment": 1, "threads": 1} | options)


def make(
    checkpoint: Path, out: Path, steps: tuple[Step, ...], formats: tuple[str, ...] = ("checkpoint",),
    precisions: tuple[str, ...] = ("fp32",), data: Path | None = None, shared: Path | None = None,
) -> list[Path]:  # fmt: skip
    from dataclasses import replace

    plan = make_plan(inspect(checkpoint), formats, precisions, recipe=Recipe(steps))
    given = data or write_texts(out.with_suffix(".jsonl"), 40)
    resources, texts = gather(plan, given, None, {}, 0)
    return execute(plan, replace(resources, shared=shared), texts, out)


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_answers_alike_in_every_format_that_holds_it(name: str, tiny_bert: Path, tmp_path: Path) -> None:
    made = make(tiny_bert, tmp_path / "out", (STUDENTS[name],), ("checkpoint", "onnx", "openvino"))
    student, *artifacts = made
    opened = transformers.AutoModelForSequenceClassification.from_pretrained(student)
    assert isinstance(opened, ShallowForSequenceClassification)
    assert inspect(student).labels == inspect(tiny_bert).labels and inspect(student).max_tokens == 64
    assert len(artifacts) == 2
    for folder in artifacts:
        assert read_artifact(folder).parity["agreement"] == 1.0
        assert read_artifact(folder).parity["max_abs_delta"] < 1e-4
    graph = onnx.load(artifacts[0] / "onnx" / "model.onnx").graph
    assert [value.name for value in graph.input] == ["input_ids"]


@pytest.mark.parametrize("name", STUDENTS)
def test_padding_adds_nothing(name: str, tiny_bert: Path, tmp_path: Path) -> None:
    (folder,) = make(tiny_bert, tmp_path / "out", (STUDENTS[name],), ("onnx",))
    artifact = read_artifact(folder)
    session = open_session(runtime_for("onnx"), executable(artifact, folder), 1)
    tokenize = open_tokenizer(folder, artifact.max_tokens)
    inputs = [tokenize(text) for text in ("", "hi", "where is my order", "manga " * 20)]
    one_by_one = np.concatenate([session([tokens])["logits"] for tokens in inputs])
    np.testing.assert_allclose(session(inputs)["logits"], one_by_one, atol=1e-5)
    assert np.ptp(one_by_one, axis=0).max() > 1e-3


def test_integers_keep_the_answers(tiny_bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    shutil.copytree(tiny_bert, folder)
    steps = (STUDENTS["convolution"], distil(epochs=20.0))
    (made,) = make(folder, tmp_path / "out", steps, ("onnx",), ("int8",))
    assert read_artifact(made).parity["agreement"] >= 0.8


def test_a_table_is_what_the_teacher_makes_of_each_token_alone(tiny_bert: Path, tmp_path: Path) -> None:
    """At full width the components only turn the space, so that distances are the teacher's own."""
    checkpoint = inspect(tiny_bert)
    resources = Resources(checkpoint, None, probe_machine(), 0, checkpoint)
    options = {"width": 999, "hidden": 8, "bigrams": 0, "window": 0}
    shallow.run(Product(tiny_bert, ""), tmp_path, options, resources)
    table = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).words.weight.detach()
    model = load_module(checkpoint).model.bert
    pieces = [7, 11, 23]
    with torch.no_grad():
        alone = torch.stack([model(torch.tensor([[2, piece, 3]])).last_hidden_state[0].mean(0) for piece in pieces])
    ratio = torch.pdist(table[pieces]) / torch.pdist(alone)
    torch.testing.assert_close(ratio, ratio[:1].expand(3), rtol=1e-3, atol=0)
    assert table.shape == (checkpoint_vocabulary(tiny_bert), 64) and not table[0].any()


def checkpoint_vocabulary(folder: Path) -> int:
    return int(json.loads((folder / "config.json").read_text())["vocab_size"])


def test_what_is_distilled_answers_more_like_its_teacher(tiny_bert: Path, tmp_path: Path) -> None:
    data = write_texts(tmp_path / "data.jsonl", 120)
    (taught,) = make(tiny_bert, tmp_path / "taught", (STUDENTS["convolution"], distil(epochs=15.0)), data=data)
    _, student, taught_entry = json.loads((taught / "mct-lineage.json").read_text())
    assert taught_entry["parity"]["root"]["agreement"] >= student["parity"]["parent"]["agreement"] + 0.2
    assert inspect(taught).technique == "distilled"
    assert taught_entry["notes"]["texts"] == 2 * (96 - taught_entry["notes"]["dev_texts"])


def test_the_teacher_is_the_checkpoint_that_the_user_brought(tiny_bert: Path, tmp_path: Path) -> None:
    """Not what the step starts from, which would have nothing to learn."""
    steps = (Step("drop-layers", options={"keep": [0]}), distil(learning_rate=1e-3))
    (taught,) = make(tiny_bert, tmp_path / "out", steps)
    *_, dropped, entry = json.loads((taught / "mct-lineage.json").read_text())
    assert entry["parity"]["root"]["mean_abs_delta"] < dropped["parity"]["parent"]["mean_abs_delta"]


def test_the_same_recipe_gives_the_same_bytes(tiny_bert: Path, tmp_path: Path) -> None:
    steps = (STUDENTS["both"], distil())
    one, other = (make(tiny_bert, tmp_path / name, steps)[0] / "model.safetensors" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_students_of_one_search_ask_the_teacher_once_and_a_second_round_asks_anew(
    tiny_bert: Path, tmp_path: Path
) -> None:
    data, shared = write_texts(tmp_path / "data.jsonl", 40), tmp_path / "shared"
    make(tiny_bert, tmp_path / "one", (STUDENTS["static"], distil()), data=data, shared=shared)
    asked = {path.name: path.stat().st_mtime_ns for path in shared.iterdir()}
    assert len(asked) == 2 and all(name.startswith(ANSWERS) for name in asked)
    make(tiny_bert, tmp_path / "two", (STUDENTS["convolution"], distil()), data=data, shared=shared)
    assert {path.name: path.stat().st_mtime_ns for path in shared.iterdir()} == asked
    (twice,) = make(tiny_bert, tmp_path / "3", (STUDENTS["static"], distil(), distil()), data=data, shared=shared)
    assert len(list(shared.iterdir())) == 3
    assert json.loads((twice / "mct-lineage.json").read_text())[-1]["notes"]["rounds"] == 2


def test_answers_go_with_the_finished_steps(tiny_bert: Path, tmp_path: Path) -> None:
    make(tiny_bert, tmp_path / "out", (STUDENTS["static"], distil()))
    assert not (tmp_path / "out" / ".steps").exists()


def test_labels_alone_ask_no_teacher(tiny_bert: Path, tmp_path: Path) -> None:
    data, shared = write_texts(tmp_path / "data.jsonl", 40, label="returns"), tmp_path / "shared"
    steps = (STUDENTS["static"], distil(hard=1.0, epochs=30.0))
    (taught,) = make(tiny_bert, tmp_path / "out", steps, data=data, shared=shared)
    assert not shared.exists()
    assert json.loads((taught / "mct-lineage.json").read_text())[-1]["notes"]["dev_score"] == 1.0


@pytest.mark.parametrize(
    ("label", "reason"), [({}, "labels alone are to be learned"), ({"label": "unheard of"}, "does not know")]
)
def test_labels_that_are_not_there_or_not_known_are_refused(
    label: dict[str, str], reason: str, tiny_bert: Path, tmp_path: Path
) -> None:
    data = write_texts(tmp_path / "data.jsonl", 40, **label)
    with pytest.raises(MctError, match=reason):
        make(tiny_bert, tmp_path / "out", (STUDENTS["static"], distil(hard=1.0)), data=data)


def test_one_text_is_too_little_to_learn_from(tiny_bert: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "where is my order"}\n{"text": "let me talk to a human"}\n')
    with pytest.raises(MctError, match="one text to learn from"):
        make(tiny_bert, tmp_path / "out", (STUDENTS["static"], distil()), data=data)


def test_texts_without_a_word_are_taken_as_they_are(tiny_bert: Path) -> None:
    table = load_module(inspect(tiny_bert)).model.get_input_embeddings().weight.detach()
    near = near_words(["?!", ""], table, open_tokenizer(tiny_bert, 64))
    assert near == {} and made_up(Texts(["?!", ""], ["a", "b"], near), "0")[1] == ""


def test_several_labels_are_distilled_too(tiny_bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "several"
    shutil.copytree(tiny_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    data = write_texts(tmp_path / "data.jsonl", 60, labels=["returns"])
    (taught,) = make(folder, tmp_path / "out", (STUDENTS["convolution"], distil(epochs=10.0)), data=data)
    *_, student, entry = json.loads((taught / "mct-lineage.json").read_text())
    assert inspect(taught).task == "multi-label-classification"
    assert entry["parity"]["root"]["mean_abs_delta"] < student["parity"]["parent"]["mean_abs_delta"]


def test_pieces_that_the_texts_never_need_go_from_a_student_too(tiny_bert: Path, tmp_path: Path) -> None:
    """An exact pass: every answer is held against the student's own before."""
    (trimmed,) = make(tiny_bert, tmp_path / "out", (STUDENTS["both"], distil(), Step("trim-vocabulary")))
    entry = json.loads((trimmed / "mct-lineage.json").read_text())[-1]
    assert entry["parity"]["parent"]["agreement"] == 1.0 and entry["parity"]["parent"]["max_abs_delta"] < 1e-5
    assert inspect(trimmed).parameters < inspect(tiny_bert).parameters
    assert checkpoint_vocabulary(trimmed) < checkpoint_vocabulary(tiny_bert)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Step("static-student", options={"width": 0}), "`width` is 0"),
        (Step("static-student", options={"bigrams": 1}), "`bigrams` is 1"),
        (Step("convolution-student", options={"window": 1}), "`window` is 1"),
        (Step("distil", options={"epochs": 0.0}), "`epochs` is 0"),
        (Step("distil", options={"hard": 1.5}), "`hard` is 1.5"),
        (Step("distil", options={"augment": -1}), "`augment` is -1"),
    ],
)
def test_what_makes_no_student_is_refused_by_the_plan(step: Step, reason: str, tiny_bert: Path) -> None:
    with pytest.raises(MctError, match=reason):
        make_plan(inspect(tiny_bert), ["onnx"], ["fp32"], recipe=Recipe((step,)))


def test_gguf_is_refused_by_the_plan_and_the_formats_that_hold_it_are_named(tiny_bert: Path) -> None:
    with pytest.raises(MctError, match="has no layer") as refused:
        make_plan(inspect(tiny_bert), ["gguf"], ["int8"], recipe=Recipe((STUDENTS["static"], Step("distil"))))
    assert "onnx,openvino" in refused.value.hint


def test_texts_are_made_up_of_the_users_own(tiny_bert: Path) -> None:
    texts = [line["text"] for line in map(json.loads, write_lines(WORDS))]
    table = load_module(inspect(tiny_bert)).model.get_input_embeddings().weight.detach()
    near = near_words(texts, table, open_tokenizer(tiny_bert, 64))
    assert set(near) == set(WORDS) and all(word not in others for word, others in near.items())
    of = Texts(texts, ["one"] * len(texts), near)
    first, second = made_up(of, "0 0"), made_up(of, "0 1")
    assert first == made_up(of, "0 0") and first != second and all(first)
    assert {word for text in first for word in text.split()} <= set(WORDS)
    assert sum(new != old for new, old in zip(first, texts, strict=True)) > len(texts) / 2


def write_lines(words: tuple[str, ...]) -> list[str]:
    return [json.dumps({"text": " ".join(words[start : start + 5])}) for start in range(len(words) - 4)]


SIZES = {"layers": 1, "width": 24, "heads": 2, "ffn": 40}


def test_a_transformer_of_told_sizes_is_taught_and_exported(tiny_bert: Path, tmp_path: Path) -> None:
    steps = (Step("transformer-student", options=SIZES), distil(epochs=8.0, learning_rate=2e-3))
    student, in_onnx = make(tiny_bert, tmp_path / "out", steps, ("checkpoint", "onnx"))
    config = transformers.AutoConfig.from_pretrained(student)
    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (1, 24, 40)
    assert inspect(student).labels == inspect(tiny_bert).labels
    assert read_artifact(in_onnx).parity["max_abs_delta"] < 1e-4
    notes = json.loads((student / "mct-lineage.json").read_text())
    assert [step["step"] for step in notes[1:]] == ["transformer-student", "distil"]


def test_its_vectors_are_its_teacher_s_brought_down(tiny_bert: Path, tmp_path: Path) -> None:
    """What was near each other in the teacher's table is so in the student's: the same pairs, in the same order."""
    (student,) = make(tiny_bert, tmp_path / "out", (Step("transformer-student", options=SIZES),))
    tables = [
        load_module(inspect(folder)).model.get_input_embeddings().weight.detach()[:60]  # type: ignore[operator]
        for folder in (student, tiny_bert)
    ]
    near = [torch.cdist(each - each.mean(0), each - each.mean(0)).flatten().double() for each in tables]
    assert float(torch.corrcoef(torch.stack(near))[0, 1]) > 0.7


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Step("transformer-student", options=SIZES | {"heads": 5}), "5 heads do not divide a width of 24"),
        (Step("transformer-student", options=SIZES | {"layers": 0}), "from 1 to 64"),
        (Step("transformer-student", options=SIZES | {"width": 400_000}), "from 1 to 8192"),
    ],
)
def test_a_transformer_that_cannot_be_is_refused_by_the_plan(
    step: Step, said: str, tiny_bert: Path, tmp_path: Path
) -> None:
    with pytest.raises(MctError, match=said):
        make(tiny_bert, tmp_path / "out", (step,))


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """An encoder without a head, of another kind and with a vocabulary of its own, and code that must not run."""
    folder = tmp_path / "stranger"
    words = {word: number for number, word in enumerate(("<s>", "<pad>", "</s>", "<unk>", *WORDS))}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    config = transformers.RobertaConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=66, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    transformers.RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | {"auto_map": {"AutoConfig": "evil.Config"}}))
    (folder / "evil.py").write_text("raise SystemExit('ran')\n")
    return folder


def test_a_pretrained_encoder_is_taught_and_exported(tiny_bert: Path, stranger: Path, tmp_path: Path) -> None:
    named = Step("pretrained-student", options={"model": str(stranger)})
    student, in_onnx = make(tiny_bert, tmp_path / "out", (named, distil(epochs=2.0)), ("checkpoint", "onnx"))
    found = inspect(student)
    assert (found.model_type, found.labels) == ("roberta", inspect(tiny_bert).labels)
    assert read_artifact(in_onnx).parity["max_abs_delta"] < 1e-4
    notes = json.loads((student / "mct-lineage.json").read_text())
    assert notes[1]["named"] == {"model": {"sha256": weights_digest(stranger)}}
    plan = make_plan(inspect(tiny_bert), ("checkpoint",), ("fp32",), recipe=read_recipe(student))
    resources, texts = gather(plan, (tmp_path / "out").with_suffix(".jsonl"), None, {}, 0)
    assert other_inputs(student, resources, texts.source) == []
    weights = load_file(stranger / "model.safetensors")
    save_file({name: weight + 1 for name, weight in weights.items()}, stranger / "model.safetensors", {"format": "pt"})
    assert other_inputs(student, resources, texts.source) == ["the model of pretrained-student has other weights"]


def test_what_it_is_made_of_decides_the_step(tiny_bert: Path, stranger: Path, tmp_path: Path) -> None:
    """A folder that changed under its name is another one."""
    named = Step("pretrained-student", options={"model": str(stranger)})
    plan = make_plan(inspect(tiny_bert), ("checkpoint",), ("fp32",), recipe=Recipe((named,)))
    resources, _ = gather(plan, write_texts(tmp_path / "texts.jsonl", 40), None, {}, 0)
    (step,) = plan.routes[0].steps
    before = step_key("0" * 64, step, resources, {})
    assert step_key("0" * 64, step, resources, {}) == before
    (stranger / "tokenizer_config.json").write_text("{}")
    assert step_key("0" * 64, step, resources, {}) != before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "there is no folder nowhere"),
        ("", "there is no folder"),
        ("org/model", "which commit of org/model"),
        ("org/model@main", "which commit of org/model"),
    ],
)
def test_a_student_without_its_files_is_refused(name: str, said: str, tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(MctError, match=said):
        make(tiny_bert, tmp_path / "out", (Step("pretrained-student", options={"model": name}),))


def test_a_decoder_is_no_student(tiny_bert: Path, tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(MctError, match="is a llama, and encoders are bert"):
        make(tiny_bert, tmp_path / "out", (Step("pretrained-student", options={"model": str(tiny_llama)}),))
