"""A folder is understood from its headers alone, and refused when it is broken or could run code."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))


def test_inspect_says_what_a_folder_is(folder: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    found = inspect(folder)
    assert (found.task, found.model_type, found.max_tokens) == ("sequence-classification", "bert", 64)
    assert found.labels == ("order_tracking", "returns", "other")
    assert found.parameters == AutoModelForSequenceClassification.from_pretrained(folder).num_parameters()


@pytest.mark.parametrize("family", ["roberta", "mpnet"])
def test_positions_that_count_from_the_padding_are_fewer_than_the_table_has_rows(family: str, tmp_path: Path) -> None:
    """Padding's own row and those before it are no place that a token can have."""
    import transformers

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.AutoConfig.for_model(
        family, vocab_size=20, max_position_embeddings=34, pad_token_id=1, **sizes
    )
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    model.save_pretrained(tmp_path)
    longest = inspect(tmp_path).max_tokens
    assert longest == 32
    model(torch.full((1, longest), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, longest + 1), 5))


def test_a_truncated_weight_file_is_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(MctError, match="truncated"):
        inspect(folder)


@pytest.mark.parametrize("start", [b"", b"\x00" * 4, b"\xff" * 8, b"\x04\x00\x00\x00\x00\x00\x00\x00nope"])
def test_a_damaged_header_is_refused(folder: Path, start: bytes) -> None:
    (folder / "model.safetensors").write_bytes(start)
    with pytest.raises(MctError, match="damaged"):
        inspect(folder)


def test_a_pickle_only_checkpoint_is_refused_with_the_command_that_converts_it(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(MctError, match="pickle") as refused:
        inspect(folder)
    assert "save_pretrained" in refused.value.hint


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="does not exist"):
        inspect(tmp_path / "nowhere")
    with pytest.raises(MctError, match="no checkpoint"):
        inspect(tmp_path)


def test_an_architecture_without_a_task_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["ViTForImageClassification"]}))
    with pytest.raises(MctError, match="ViTForImageClassification"):
        inspect(folder)


def change(folder: Path, name: str, **changes: object) -> None:
    """Fields of a JSON file set, or taken out where the value is ...; the file is made where there is none."""
    found = json.loads((folder / name).read_text()) if (folder / name).is_file() else {}
    (folder / name).write_text(json.dumps({key: value for key, value in (found | changes).items() if value is not ...}))


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        (
            "config.json",
            {"architectures": "BertForSequenceClassification"},
            r"`\$\.architectures` is a text, expected a list",
        ),
        ("config.json", {"architectures": []}, "cannot compress yet"),
        ("config.json", {"model_type": None}, r"`\$\.model_type` is null, expected a text"),
        ("config.json", {"id2label": ["a", "b"]}, r"`\$\.id2label` is a list, expected an object"),
        ("config.json", {"id2label": {"0": "a", "2": "b"}}, "does not number 2 labels from 0"),
        ("config.json", {"id2label": {"zero": "a", "1": "b"}}, "does not number 2 labels from 0"),
        ("config.json", {"id2label": {"0": "a", "1": "a"}}, "the label 'a' twice"),
        ("config.json", {"id2label": {"0": "a", "1": 5}}, "is a whole number, expected a text"),
        ("config.json", {"num_labels": 2}, "does not number 3 labels from 0"),
        ("config.json", {"max_position_embeddings": "many"}, "is a text, expected a whole number"),
        ("config.json", {"max_position_embeddings": -1}, ">= 1"),
        ("config.json", {"max_position_embeddings": 2}, "takes inputs of 2 tokens"),
        ("config.json", {"hidden_size": 65}, "promises a hidden_size of 65, which no tensor has"),
        ("config.json", {"vocab_size": 2**31 - 1}, "promises a vocab_size of 2147483647"),
        ("config.json", {"num_hidden_layers": 2**31 - 1}, "promises 2147483647 layers"),
        ("config.json", {"pad_token_id": 10**9}, "promises the pad_token_id 1000000000"),
        ("config.json", {"problem_type": "regression"}, "predicts several numbers"),
        ("config.json", {"rope_scaling": "fast"}, "expected an object"),
        ("config.json", {"problem_type": "guessing"}, "Invalid enum value 'guessing'"),
        (
            "config.json",
            {"quantization_config": {"quant_method": "bitsandbytes"}},
            "quantised already .by bitsandbytes",
        ),
        ("tokenizer_config.json", {"model_max_length": "long"}, "is a text, expected a number"),
        ("tokenizer_config.json", {"model_max_length": 0}, "> 0"),
        ("generation_config.json", {"eos_token_id": [-1]}, ">= 0"),
        ("sentence_bert_config.json", {"max_seq_length": []}, "is a list, expected a whole number"),
        ("modules.json", {"type": "Pooling"}, "is an object, expected a list"),
        ("heads.json", {}, "names no head"),
        ("heads.json", {"text": {"kind": "label", "labels": ["a"]}}, "the field that asks"),
        ("heads.json", {"label": {"kind": "labl", "labels": ["a"]}}, "Invalid enum value 'labl'"),
        ("heads.json", {"label": {"kind": "label", "labels": []}}, "head 'label' has no labels"),
        ("heads.json", {"label": {"kind": "label", "labels": ["a", "b"]}}, "no layer of 2 rows for the head 'label'"),
        ("config.json", {"label2id": {"a": "zero"}}, "is a text, expected a whole number"),
        ("tokenizer_config.json", {"pad_token": ["[PAD]"]}, "is a list, expected a text or an object"),
        ("model.safetensors.index.json", {"weight_map": {"a": "b.safetensors"}}, "names the file 'b.safetensors'"),
        ("model.safetensors.index.json", {"weight_map": {"a": "model.safetensors"}}, "names 'a' of model.safetensors"),
        ("model.safetensors.index.json", {"weight_map": {"a": "../../x.safetensors"}}, "which is not in the folder"),
    ],
)
def test_what_a_checkpoints_files_say_wrongly_is_named(
    folder: Path, name: str, changes: dict[str, object], says: str
) -> None:
    change(folder, name, **changes)
    with pytest.raises(MctError, match=says):
        inspect(folder)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        ({"model": ...}, "tokenizers cannot read"),
        ({"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}],
                             "pair": [], "special_tokens": {}}}, "tokenizers cannot read"),
    ],
)  # fmt: skip
def test_a_tokenizer_that_cannot_be_used_is_refused(folder: Path, tokens: dict[str, object], says: str) -> None:
    change(folder, "tokenizer.json", **tokens)
    with pytest.raises(MctError, match=says):
        inspect(folder)


def test_a_folder_whose_name_is_no_text_is_read(folder: Path) -> None:
    """Names are bytes to the system; a library in Rust wants UTF-8."""
    assert inspect(folder.rename(folder.with_name(os.fsdecode(b"bert-\xff")))).task == "sequence-classification"


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["one-too-many"])
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(MctError, match="gives ids up to 117, the model has 117 embeddings"):
        inspect(folder)


def test_a_template_of_another_model_is_refused(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [5000]
    change(folder, "tokenizer.json", **tokenizer)
    with pytest.raises(MctError, match="gives ids up to 5000, the model has 117 embeddings"):
        inspect(folder)


def safetensors(header: object, data: bytes = b"") -> bytes:
    """A file as the format has it: the header's length, the header, the data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(**changes: object) -> dict[str, object]:
    return {"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0" * 4, b"\xff" * 8, safetensors(b"nope"), safetensors([1]), safetensors({"weight": 5}, bytes(8)),
        safetensors(tensor(shape=[3]), bytes(8)), safetensors(tensor(shape=[-2]), bytes(8)),
        safetensors(tensor(shape=[2**62, 4]), bytes(8)), safetensors(tensor(shape="ab"), bytes(8)),
        safetensors(tensor(dtype="F33"), bytes(8)), safetensors(tensor(data_offsets=[8, 0]), bytes(8)),
        safetensors(tensor(data_offsets=[0]), bytes(8)), safetensors(tensor(data_offsets=["a", "b"]), bytes(8)),
        safetensors(tensor(), bytes(7)), safetensors(tensor(), bytes(9)),
        safetensors({"__metadata__": {"format": 7}} | tensor(), bytes(8)),
        safetensors(tensor() | {"other": tensor()["weight"]}, bytes(8)),
    ],
)  # fmt: skip
def test_a_damaged_safetensors_file_is_refused(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(MctError, match="truncated or damaged"):
        inspect(folder)


def test_a_file_without_tensors_is_no_checkpoint(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(safetensors({}))
    with pytest.raises(MctError, match=r"no \*\.safetensors weights"):
        inspect(folder)


@pytest.mark.parametrize(
    "changes",
    [{"hidden_act": "fast"}, {"layer_norm_eps": 1e-5, "chunk_size_feed_forward": "x"},
     {"auto_map": 5}, {"max_position_embeddings": 128}, {"intermediate_size": 2**31 - 1}, {"num_attention_heads": 5}],
)  # fmt: skip
def test_what_transformers_refuses_in_its_own_words_is_one_line_of_ours(
    folder: Path, changes: dict[str, object]
) -> None:
    from mct.models.checkpoints.load import load_model

    change(folder, "config.json", **changes)
    with pytest.raises(MctError, match="transformers cannot load"):
        load_model(inspect(folder))
