"""Recipes: steps from checkpoint to checkpoint and on to every format, each from what the one before it left."""

import json
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from mct import MctError
from mct.cli import commands
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step, read_recipe
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.compress.run.steps import STEPS
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_module, outputs_of
from mct.models.tables import load
from mct.models.tasks.tokens import open_tokenizer

KEPT = [
    "where is my order 12345", "i want to return volume 3", "it arrived damaged", "do you ship to brazil",
    "recommend me something like berserk", "my card was declined at checkout", "let me talk to a human",
    "is this suitable for a child", "which volumes are in stock", "cancel my order please",
]  # fmt: skip
OTHERS = ["naïve façade??", "ＦＵＬＬ width", "進撃の巨人 34巻", "unheard of words whatever they say"]
LONGEST = 128
QUARTER = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 96}
LABELS = {"id2label": {0: "order", 1: "return", 2: "other"}, "label2id": {"order": 0, "return": 1, "other": 2}}
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
TWO = Recipe((Step("drop-layers", options={"keep": [0, 2]}), Step("trim-vocabulary")))


def word_pieces() -> Tokenizer:
    """Words of the kept texts, and words that none of them has."""
    words = sorted({word for text in [*KEPT, "unheard of words whatever"] for word in text.split()})
    letters = sorted({letter for text in [*KEPT, *OTHERS] for letter in text if not letter.isspace()})
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = dict.fromkeys([*specials, *letters, *words, *(f"##{letter}" for letter in letters), "##ed", "##ing"])
    tokenizer = Tokenizer(models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def byte_pairs(specials: list[str], pattern: str = "") -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    split = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern)]
    )
    if not pattern:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=specials, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([*KEPT, "unheard of words whatever they say"] * 2, trainer)
    return tokenizer


def _bert() -> tuple[Any, Any]:
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=word_pieces(), model_max_length=LONGEST, pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=LONGEST, initializer_range=0.2, **QUARTER, **LABELS
    )
    return tokenizer, transformers.BertForSequenceClassification(config)


def _distilbert() -> tuple[Any, Any]:
    tokenizer, _ = _bert()
    config = transformers.DistilBertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=LONGEST, initializer_range=0.2, dim=64, n_layers=4,
        n_heads=4, hidden_dim=96, **LABELS,
    )  # fmt: skip
    return tokenizer, transformers.DistilBertForSequenceClassification(config)


def _roberta() -> tuple[Any, Any]:
    inner = byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=LONGEST, pad_token="<pad>", unk_token="<unk>", cls_token="<s>",
        sep_token="</s>", mask_token="<mask>",
    )  # fmt: skip
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=LONGEST + 2, initializer_range=0.2, pad_token_id=1,
        type_vocab_size=1, **QUARTER, **LABELS,
    )  # fmt: skip
    return tokenizer, transformers.RobertaForSequenceClassification(config)


def _llama() -> tuple[Any, Any]:
    inner = byte_pairs(["<s>", "</s>"], LLAMA_3)
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", model_max_length=LONGEST
    )
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=LONGEST, initializer_range=0.15, num_key_value_heads=2,
        bos_token_id=0, eos_token_id=1, pad_token_id=1, **QUARTER,
    )  # fmt: skip
    return tokenizer, transformers.LlamaForCausalLM(config)


MAKERS: Mapping[str, Callable[[], tuple[Any, Any]]] = {
    "bert": _bert, "distilbert": _distilbert, "roberta": _roberta, "llama": _llama,
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of four layers of each family, with random weights, saved by its own library."""
    found = {}
    for name, make in MAKERS.items():
        found[name] = tmp_path_factory.mktemp(name) / "checkpoint"
        torch.manual_seed(4)
        tokenizer, model = make()
        model.save_pretrained(found[name])
        tokenizer.save_pretrained(found[name])
    return found


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Texts to keep the pieces of, and others to compare on: cut into pieces of the first, but for three."""
    folder = tmp_path_factory.mktemp("texts")
    asked = [" ".join(reversed(text.split())) for text in KEPT]
    for name, rows in (("data", KEPT), ("eval", [*asked, *OTHERS])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
    return folder / "data.jsonl", folder / "eval.jsonl"


def make(
    checkpoint: Path,
    texts: tuple[Path, Path],
    out: Path,
    recipe: Recipe,
    formats: str = "",
    stages: list[str] | None = None,
) -> list[Path]:
    plan = make_plan(
        inspect(checkpoint), formats.split(",") if formats else [], ["fp32"] if formats else [], None, recipe
    )
    resources, asked = gather(plan, texts[0], texts[1], {}, recipe.seed)
    told = [] if stages is None else stages
    return execute(plan, resources, asked, out, lambda stage, share: told.append(stage))


def logits(folder: Path, text: str) -> np.ndarray:
    """What the checkpoint's own library says of a text."""
    found = inspect(folder)
    tokens = open_tokenizer(folder, found.max_tokens)(text)
    module = load_module(found)
    with torch.no_grad():
        outputs = outputs_of(
            module,
            {
                "input_ids": torch.tensor([tokens.ids]),
                "attention_mask": torch.ones(1, len(tokens.ids), dtype=torch.int64),
            },
        )
    return outputs["logits"].numpy()


@pytest.fixture(scope="module")
def made(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Path]]:
    """Of each family the checkpoint that two steps leave, and what each format makes of it."""
    found = {}
    for name, folder in checkpoints.items():
        out = tmp_path_factory.mktemp(f"made-{name}")
        folders = make(folder, texts, out, TWO, "checkpoint,onnx,openvino,gguf")
        found[name] = {path.name.partition("-")[0]: path for path in folders}
    return found


@pytest.mark.parametrize("family", MAKERS)
def test_the_checkpoint_has_the_layers_and_words_that_were_kept(
    family: str, checkpoints: dict[str, Path], made: dict[str, dict[str, Path]]
) -> None:
    model, first = (
        transformers.AutoModel.from_pretrained(folder) for folder in (made[family]["checkpoint"], checkpoints[family])
    )
    assert model.config.num_hidden_layers == 2
    layers, before = (
        [p for n, p in m.named_parameters() if ".2." in f".{n}" or ".1." in f".{n}"] for m in (model, first)
    )
    assert model.config.vocab_size < first.config.vocab_size
    assert all(torch.equal(now, then) for now, then in zip(layers, before[len(before) // 2 :], strict=True))
    kept = inspect(made[family]["checkpoint"])
    assert kept.task == inspect(checkpoints[family]).task and kept.max_tokens == LONGEST


@pytest.mark.parametrize("family", MAKERS)
def test_every_format_is_made_of_the_new_checkpoint_and_not_of_the_user_s(
    family: str, checkpoints: dict[str, Path], made: dict[str, dict[str, Path]]
) -> None:
    child = logits(made[family]["checkpoint"], KEPT[0])
    assert np.abs(child - logits(checkpoints[family], KEPT[0])[..., : child.shape[-1]]).max() > 0.1
    for kind in ("onnx", "openvino", "gguf"):
        artifact = read_artifact(made[family][kind])
        assert artifact.parity["agreement"] == 1.0
        assert artifact.parity["root"]["agreement"] < 1.0
        assert [step["step"] for step in artifact.lineage[1:3]] == ["drop-layers", "trim-vocabulary"]
        assert artifact.lineage[2]["parity"]["parent"]["agreement"] == 1.0


@pytest.mark.parametrize("family", MAKERS)
def test_trimming_alone_changes_no_answer_to_what_is_cut_as_before(
    family: str, checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    (trimmed,) = make(checkpoints[family], texts, tmp_path, Recipe((Step("trim-vocabulary"),)), "checkpoint")
    (entry,) = json.loads((trimmed / "mct-lineage.json").read_text())[1:]
    assert entry["notes"]["pieces"] < entry["notes"]["of"]
    assert 0.5 < entry["parity"]["parent"]["more"]["same_tokens"] < 1
    before, after = (open_tokenizer(folder, LONGEST).tokenizer for folder in (checkpoints[family], trimmed))
    for text in KEPT:
        assert before.encode(text).tokens == after.encode(text).tokens
        if family != "llama":
            np.testing.assert_allclose(logits(checkpoints[family], text), logits(trimmed, text), atol=1e-5)
    for text in OTHERS:
        assert before.encode(text).tokens.count("[UNK]") == after.encode(text).tokens.count("[UNK]")


def test_a_pass_that_says_it_is_exact_and_is_not_is_refused(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mct.compress.shrink import trim_vocabulary

    monkeypatch.setattr(trim_vocabulary, "trimmed", lambda tokenizer, new: trimmed_wrongly(tokenizer, new))
    with pytest.raises(MctError, match=r"trim-vocabulary of .* is not the same model"):
        make(checkpoints["bert"], texts, tmp_path, Recipe((Step("trim-vocabulary"),)), "onnx")
    assert not any(tmp_path.glob("onnx*"))


def trimmed_wrongly(tokenizer: dict[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """Two words take each other's row."""
    from mct.compress.shrink.tokenizer import trimmed

    found = trimmed(tokenizer, new)
    vocabulary = found["model"]["vocab"]
    vocabulary["order"], vocabulary["return"] = vocabulary["return"], vocabulary["order"]
    return found


def test_a_recipe_run_twice_and_the_lineage_run_as_a_recipe_give_the_same_bytes(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    by_hand = tmp_path / "recipe.toml"
    by_hand.write_text(
        'seed = 3\n[[steps]]\npass = "drop-layers"\nkeep = [1, 3]\n[[steps]]\npass = "trim-vocabulary"\n'
        '[[steps]]\npass = "export-onnx"\n[[steps]]\npass = "quantise-onnx-static"\n'
    )
    (first,) = make(checkpoints["bert"], texts, tmp_path / "a", read_recipe(by_hand))
    (second,) = make(checkpoints["bert"], texts, tmp_path / "b", read_recipe(by_hand))
    assert read_recipe(first).seed == 3
    (third,) = make(checkpoints["bert"], texts, tmp_path / "c", read_recipe(first))
    contents = [
        {path.name: path.read_bytes() for path in sorted(f.rglob("*")) if path.is_file()}
        for f in (first, second, third)
    ]
    assert contents[0] == contents[1] == contents[2]
    assert not list(tmp_path.glob("*/.steps"))


def test_the_plan_prints_a_recipe_that_makes_what_was_planned(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    asked = ["compress", str(checkpoints["bert"]), "-o", str(tmp_path / "out"), "--format", "onnx", "--plan"]
    printed = CliRunner().invoke(commands, asked)
    assert printed.exit_code == 0, printed.output
    (tmp_path / "printed.toml").write_text(printed.output)
    recipe = read_recipe(tmp_path / "printed.toml")
    assert [step.name for step in recipe.steps] == ["export-onnx", "quantise-onnx"]
    (folder,) = make(checkpoints["bert"], texts, tmp_path / "out", recipe)
    assert folder.name == "onnx-int8"


def test_the_recipes_of_several_artifacts_are_a_file_each(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    asked = ["compress", str(checkpoints["bert"]), "-o", str(tmp_path / "out"), "--precision", "int8,fp32", "--plan"]
    printed = CliRunner().invoke(commands, asked).output
    parts = printed.split("# Recipe ")[1:]
    assert [part.partition(":")[0] for part in parts] == [f"{number} of 6" for number in range(1, 7)]
    file = tmp_path / "printed.toml"
    for part in parts:
        file.write_text("# " + part)
        again = CliRunner().invoke(commands, [*asked[:4], "--recipe", str(file), "--plan"])
        assert again.output.splitlines() == part.rstrip().splitlines()[1:], again.output
    file.write_text(printed)
    with pytest.raises(MctError, match="has a seed, and a recipe has one") as refusal:
        read_recipe(file)
    assert refusal.value.hint == "were these several recipes? give each a file of its own"


PLAIN = st.recursive(
    st.text() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda name: name not in {"pass", "gives", "seed"}), PLAIN, max_size=4))
def test_whatever_a_pass_is_told_is_written_as_toml(options: dict[str, Any]) -> None:
    recipe = Recipe((Step("drop-layers", options=options), Step("export-onnx", "onnx-fp32")), 7)
    assert tomllib.loads(recipe.as_toml()) == recipe.as_json()


@pytest.mark.parametrize("value", [[None], 2**63, float("inf"), object()])
def test_what_toml_has_no_words_for_is_refused(value: object) -> None:
    with pytest.raises(MctError, match="a recipe holds no"):
        Recipe((Step("drop-layers", options={"keep": value}),)).as_toml()


def test_what_is_none_is_not_said() -> None:
    assert "keep" not in Recipe((Step("drop-layers", options={"keep": None}),)).as_toml()


def step(*lines: str) -> str:
    return "\n".join(["[[steps]]", *lines, ""])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "missing required field `steps`"), ("steps = []", r"no \[\[steps\]\]"), ("steps = 1", "a list"),
        ("seed = -1\n[[steps]]\npass = 'x'", "seed"),
        (step("keep = [0]"), "pass"), (step("pass = 7"), "pass"), (step("pass = 'drop-layer'"), "unknown pass"),
        (step("pass = 'drop-layers'"), "needs the option 'keep'"),
        (step("pass = 'drop-layers'", "keep = 'all'"), "keep"),
        (step("pass = 'drop-layers'", "keeep = [0]"), "keeep"),
        (step("pass = 'drop-layers'", "keep = [3, 1]"), "rising"),
        (step("pass = 'drop-layers'", "keep = [9]"), "0 to 3"),
        (step("pass = 'drop-layers'", "keep = [1]", "seed = 1"), "has a seed"),
        (step("pass = 'drop-layers'", "keep = [2020-01-01]"), "holds no date"),
        (step("pass = 'drop-layers'", f"keep = [0x{'f' * 5000}]"), "holds no int"),
        (step("pass = 'quantise-onnx'"), "takes onnx-fp32, here it gets checkpoint"),
        (step("pass = 'export-onnx-lm'"), "takes no sequence-classification"),
        (step("pass = 'export-onnx'", "keep = [0]"), "no options"),
        (step("pass = 'export-onnx'") + step("pass = 'export-openvino'") + step("pass = 'quantise-openvino'"), "which"),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_be_is_one_line(
    content: str, reason: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(content)
    asked = [
        "compress",
        str(checkpoints["bert"]),
        "-o",
        str(tmp_path / "out"),
        "--recipe",
        str(tmp_path / "recipe.toml"),
    ]
    with pytest.raises(MctError, match=reason) as refused:
        CliRunner().invoke(commands, [*asked, "--plan"], catch_exceptions=False)
    assert refused.value.hint and not (tmp_path / "out").exists()


def test_a_kill_loses_one_step(checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path) -> None:
    """Killed as soon as the second step is done; the same command then takes it and the first from where they lie."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(TWO.as_toml())
    command = [
        sys.executable, "-m", "mct.cli", "compress", str(checkpoints["bert"]), "-o", str(tmp_path / "out"), "--recipe",
        str(recipe), "--format", "onnx", "--data", str(texts[0]), "--eval", str(texts[1]),
    ]  # fmt: skip
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[3])
    assert running.stderr is not None
    for line in running.stderr:
        if "export-onnx" in line:
            running.send_signal(signal.SIGKILL)
            break
    running.communicate()
    assert len(list((tmp_path / "out" / STEPS).iterdir())) >= 2
    again = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[3])
    assert again.returncode == 0, again.stderr
    assert "drop-layers (finished before)" in again.stderr and "trim-vocabulary (finished before)" in again.stderr
    assert not (tmp_path / "out" / STEPS).exists()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["onnx-int8"]


def cached(out: Path) -> list[Path]:
    """The finished steps that a run cut off left in `out`, in the order in which they were made."""
    return sorted(
        (path for path in (out / STEPS).iterdir() if len(path.name) == 64), key=lambda p: p.stat().st_mtime_ns
    )


@pytest.fixture
def cut_off(checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path, monkeypatch: Any) -> Path:
    """A folder in which two checkpoint steps are finished: what followed failed."""
    out = tmp_path / "out"

    def fails(*_: object) -> None:
        raise RuntimeError("the machine went down")

    with monkeypatch.context() as patch:
        patch.setattr("mct.compress.onnx.export_encoder.run", fails)
        with pytest.raises(RuntimeError, match="went down"):
            make(checkpoints["bert"], texts, out, TWO, "onnx")
    assert len(cached(out)) == 2 and [path.name for path in out.iterdir()] == [STEPS]
    return out


@pytest.mark.parametrize("damage", ["changed", "shorter", "lost", "record lost", "record damaged"])
def test_a_step_that_is_no_longer_what_it_was_is_made_again(
    damage: str, cut_off: Path, checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    """A kill while steps are cleared away, a full disk, a person: the result is the same whatever happened to them."""
    (wanted,) = make(checkpoints["bert"], texts, tmp_path / "whole", TWO, "onnx")
    first, _ = cached(cut_off)
    weights, record = first / "files" / "model.safetensors", first / "product.json"
    if damage == "changed":
        weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    elif damage == "shorter":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "lost":
        (first / "files" / "tokenizer.json").unlink()
    else:
        record.unlink() if damage == "record lost" else record.write_text("{}")
    stages: list[str] = []
    (made,) = make(checkpoints["bert"], texts, cut_off, TWO, "onnx", stages)
    assert "onnx-fp32: drop-layers" in stages and "onnx-fp32: trim-vocabulary (finished before)" in stages
    assert files_of(made) == files_of(wanted)
    assert [path.name for path in cut_off.iterdir()] == ["onnx-fp32"]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("what", ["link", "file"])
def test_a_folder_of_steps_that_is_not_ours_is_refused(
    what: str, checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a").write_text("mine")
    (tmp_path / "out").mkdir()
    place = tmp_path / "out" / STEPS
    place.symlink_to(tmp_path / "theirs") if what == "link" else place.write_text("mine")
    with pytest.raises(MctError, match=r"\.steps"):
        make(checkpoints["bert"], texts, tmp_path / "out", TWO, "onnx")
    assert (tmp_path / "theirs" / "a").read_text() == "mine" and place.exists()


def test_what_a_user_puts_beside_the_steps_stays(
    cut_off: Path, checkpoints: dict[str, Path], texts: tuple[Path, Path]
) -> None:
    (cut_off / STEPS / "notes.txt").write_text("mine")
    (cut_off / STEPS / ("a" * 64)).mkdir()
    make(checkpoints["bert"], texts, cut_off, TWO, "onnx")
    assert sorted(path.name for path in (cut_off / STEPS).iterdir()) == ["a" * 64, "notes.txt"]


def test_other_inputs_are_other_steps(
    cut_off: Path, checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    """Other texts make another vocabulary of the same layers; another checkpoint makes other layers."""
    (tmp_path / "fewer.jsonl").write_text("".join(texts[0].read_text().splitlines(keepends=True)[:6]))
    other = Path(shutil.copytree(checkpoints["bert"], tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"classifier_dropout": 0.5}))
    asked = [(checkpoints["bert"], (tmp_path / "fewer.jsonl", texts[1])), (other, texts)]
    for number, (checkpoint, files) in enumerate(asked):
        out, stages = Path(shutil.copytree(cut_off, tmp_path / str(number))), list[str]()
        make(checkpoint, files, out, TWO, "onnx", stages)
        finished = [stage for stage in stages if stage.endswith("(finished before)")]
        assert finished == (["onnx-fp32: drop-layers (finished before)"] if number == 0 else [])


def test_weights_that_transformers_does_not_read_are_no_part_of_the_model(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(checkpoints["bert"], tmp_path / "checkpoint"))
    weights = load_file(folder / "model.safetensors")
    save_file({name: torch.zeros_like(tensor) for name, tensor in weights.items()}, folder / "model_old.safetensors")
    (student,) = make(folder, texts, tmp_path / "out", TWO, "checkpoint")
    assert all(
        tensor.abs().max() > 0
        for name, tensor in load_file(student / "model.safetensors").items()
        if "query.weight" in name
    )


def test_the_second_of_two_drops_is_asked_of_what_the_first_left(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = (Step("drop-layers", options={"keep": keep}) for keep in ([0, 2], [1, 3]))
    with pytest.raises(MctError, match="drop-layers: `keep` names layers in rising order, of 0 to 1"):
        make(checkpoints["bert"], texts, tmp_path / "a", Recipe((first, second)), "onnx")
    (made,) = make(
        checkpoints["bert"],
        texts,
        tmp_path / "b",
        Recipe((first, Step("drop-layers", options={"keep": [1]}))),
        "checkpoint",
    )
    assert read_recipe(made) == Recipe(
        (Step("drop-layers", "checkpoint", {"keep": [0, 2]}), Step("drop-layers", "checkpoint", {"keep": [1]}))
    )
    kept, before = (transformers.AutoModel.from_pretrained(path).state_dict() for path in (made, checkpoints["bert"]))
    name = "encoder.layer.{}.output.dense.weight"
    assert torch.equal(kept[name.format(0)], before[name.format(2)])


def test_a_seed_that_no_step_used_is_still_the_recipe_s(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe = Recipe((Step("drop-layers", options={"keep": [0, 1]}), Step("export-onnx")), seed=5)
    (first,) = make(checkpoints["bert"], texts, tmp_path / "a", recipe)
    (again,) = make(checkpoints["bert"], texts, tmp_path / "b", read_recipe(first))
    assert read_recipe(first).seed == 5 and files_of(first) == files_of(again)


def test_added_pieces_and_a_vocabulary_of_lines_are_trimmed_together(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoints["bert"])
    tokenizer.add_tokens(["volumes7", "onepiece"])
    model = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoints["bert"])
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    pieces = sorted(tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False).items(), key=lambda entry: entry[1])
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces))
    (student,) = make(folder, texts, tmp_path / "out", Recipe((Step("trim-vocabulary"),)), "checkpoint")
    trimmed = transformers.AutoTokenizer.from_pretrained(student)
    lines = (student / "vocab.txt").read_text().splitlines()
    assert lines == [piece for piece, _ in sorted(trimmed.get_vocab().items(), key=lambda entry: entry[1])]
    for text in [*KEPT, "where is onepiece volumes7"]:
        assert trimmed.tokenize(text) == tokenizer.tokenize(text)


def test_a_language_model_may_go_on_with_a_number_that_stands_for_no_piece(
    texts: tuple[Path, Path], tmp_path: Path
) -> None:
    """Tables are often padded to a round number of rows."""
    torch.manual_seed(1)
    tokenizer, _ = _llama()
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer) + 500, max_position_embeddings=192, initializer_range=0.15, num_key_value_heads=2,
        bos_token_id=0, eos_token_id=1, pad_token_id=1, **QUARTER,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "lm")
    tokenizer.model_max_length = 192
    tokenizer.save_pretrained(tmp_path / "lm")
    drop = Recipe((Step("drop-layers", options={"keep": [0, 1, 3]}),))
    (student,) = make(tmp_path / "lm", texts, tmp_path / "out", drop, "checkpoint")
    assert inspect(student).task == "causal-lm"


@pytest.mark.parametrize(("name", "value"), [("end_of_word_suffix", "</w>"), ("continuing_subword_prefix", "##")])
def test_merges_that_are_not_followed_are_refused_in_the_plan(
    name: str, value: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoints["roberta"], tmp_path / "roberta"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"] |= {name: value, "merges": []}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(MctError, match="trim-vocabulary: its tokenizer marks the pieces"):
        make_plan(inspect(folder), ["onnx"], ["fp32"], None, Recipe((Step("trim-vocabulary"),)))


def test_a_tokenizer_that_lost_its_merges_is_refused_though_no_text_is_left_to_compare(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is cut otherwise cannot be compared by its answers, so the cutting itself is."""
    from mct.compress.shrink import tokenizer, trim_vocabulary

    def without_merges(whole: dict[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
        found = tokenizer.trimmed(whole, new)
        found["model"]["merges"] = found["model"]["merges"][::2]
        return found

    monkeypatch.setattr(trim_vocabulary, "trimmed", without_merges)
    with pytest.raises(MctError, match=r"after trim-vocabulary a text is cut into .* which are all kept"):
        make(checkpoints["roberta"], texts, tmp_path / "out", Recipe((Step("trim-vocabulary"),)), "checkpoint")
    assert not (tmp_path / "out").exists()


def test_a_pass_is_handed_the_texts_that_its_row_says_it_uses_and_no_others(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of a finished step has no more of the texts than that, so a pass must not see more."""
    seen: dict[str, bool] = {}
    from mct.compress.run import execute as execution

    def watched(reference: str, extra: str = "") -> Any:
        found = load(reference, extra)
        if not reference.endswith(":run") or not reference.startswith("mct.compress."):
            return found

        def run(source: Any, draft: Path, settings: Any, resources: Any) -> Any:
            seen[reference] = resources.calibration is not None
            return found(source, draft, settings, resources)

        return run

    monkeypatch.setattr(execution, "load", watched)
    make(checkpoints["bert"], texts, tmp_path, Recipe((Step("trim-vocabulary"),)), "onnx,openvino")
    assert seen == {
        "mct.compress.shrink.trim_vocabulary:run": True, "mct.compress.onnx.export_encoder:run": False,
        "mct.compress.openvino.export:run": True,
    }  # fmt: skip


def test_what_is_not_as_it_was_is_said_when_an_artifact_is_made_again(
    checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    (first,) = make(checkpoints["bert"], texts, tmp_path / "a", read_recipe_of("export-onnx", "quantise-onnx-static"))
    words = ["compress", str(checkpoints["bert"]), "-o", str(tmp_path / "b"), "--recipe", str(first)]
    same = CliRunner().invoke(commands, [*words, "--data", str(texts[0]), "--eval", str(texts[1])])
    assert same.exit_code == 0 and "warning" not in same.stderr
    other = CliRunner().invoke(commands, [*words, "--data", str(texts[1]), "--target", "edge-x86"])
    assert other.exit_code == 0, other.output
    warned = [line for line in other.stderr.splitlines() if line.startswith("warning: other bytes than in")]
    assert [line.rpartition(": ")[2].split()[0] for line in warned] == ["--data", "it"]


def read_recipe_of(*names: str) -> Recipe:
    return Recipe(tuple(Step(name) for name in names))


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("generation_config.json", {"bad_words_ids": [[1], [[2]], 3, "x", [99_999]]}),
        ("generation_config.json", {"suppress_tokens": [1, None, {"a": 1}, 99_999]}),
        ("tokenizer_config.json", {"added_tokens_decoder": [1, 2]}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"no number": {}, "99999": {}}}),
    ],
)
def test_what_names_pieces_that_are_none_is_left_out(
    file: str, change: dict[str, Any], checkpoints: dict[str, Path], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoints["llama"], tmp_path / "llama"))
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
    (trimmed,) = make(folder, texts, tmp_path / "out", Recipe((Step("trim-vocabulary"),)), "checkpoint")
    written = json.loads((trimmed / file).read_text())
    vocabulary = json.loads((trimmed / "config.json").read_text())["vocab_size"]
    if "suppress_tokens" in change:
        assert len(written["suppress_tokens"]) == 1 and written["suppress_tokens"][0] < vocabulary
    if isinstance(change.get("added_tokens_decoder"), dict):
        assert written["added_tokens_decoder"] == {}
