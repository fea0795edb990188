"""Prompt tuning and P-tuning as peft writes them, made an ordinary model whose tokenizer gives the same answers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import peft
import pytest
import torch
from tokenizers import Tokenizer, processors
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from mct.compress.merge.templates import add_virtual_tokens
from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import executable, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.runtimes.table import open_session, runtime_for

pytestmark = pytest.mark.filterwarnings("ignore")

VIRTUAL = 6
TEXTS = ("where is my order", "is this in another order", "or this")
AUTO = {"CAUSAL_LM": AutoModelForCausalLM, "SEQ_CLS": AutoModelForSequenceClassification}


def write_adapter(base: Path, folder: Path, task: str, kind: str) -> Any:
    """A prompt that changes the answers, saved; gives the adapted model."""
    torch.manual_seed(1)
    options = {"task_type": task, "num_virtual_tokens": VIRTUAL}
    if kind == "p-tuning":
        config: Any = peft.PromptEncoderConfig(encoder_hidden_size=16, **options)
    else:
        config = peft.PromptTuningConfig(**options)
    adapted = peft.get_peft_model(AUTO[task].from_pretrained(base), config)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.5)
    adapted.save_pretrained(folder)
    return peft.PeftModel.from_pretrained(AUTO[task].from_pretrained(base), folder).eval()


def ask(model: Any, text: str, base: Path) -> np.ndarray:
    """What peft gives to a text, for the text's own tokens."""
    tokens = open_tokenizer(base, 64)(text)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens.ids])).logits
    return np.asarray(logits[:, VIRTUAL:] if logits.dim() == 3 else logits)


def compress(folder: Path, out: Path, formats: list[str]) -> list[Path]:
    plan = make_plan(inspect(folder), formats, ["fp32"])
    assert plan.routes[0].passes[0].name == "bake-prompt"
    texts = out.with_suffix(".jsonl")
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    resources, requests = gather(plan, None, texts, {}, seed=0)
    return execute(plan, resources, requests, out)


def test_a_language_model_with_a_prompt_is_an_ordinary_one_in_every_format(tiny_llama: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_llama, tmp_path / "base"))
    adapted = write_adapter(base, tmp_path / "adapter", "CAUSAL_LM", "p-tuning")
    formats = ["checkpoint", "onnx", "openvino", "gguf"]
    checkpoint, *folders = compress(tmp_path / "adapter", tmp_path / "out", formats)
    plain, baked = AutoModelForCausalLM.from_pretrained(base), AutoModelForCausalLM.from_pretrained(checkpoint)
    tokenize = open_tokenizer(checkpoint, 64)
    pieces = len(Tokenizer.from_file(str(base / "tokenizer.json")).get_vocab())
    changed = []
    for text in TEXTS:
        wanted, ids = ask(adapted, text, base), tokenize(text).ids
        with torch.no_grad():
            found = baked(input_ids=torch.tensor([ids])).logits.numpy()
            without = plain(input_ids=torch.tensor([ids[VIRTUAL:]])).logits.numpy()
        assert np.abs(found[:, VIRTUAL:, :pieces] - wanted).max() <= 1e-4
        assert (found[:, VIRTUAL:].argmax(-1) < pieces).all(), "a virtual token is never said"
        changed += [*(without.argmax(-1) != wanted.argmax(-1)).ravel()]
        for folder in folders:
            artifact = read_artifact(folder)
            session = open_session(runtime_for(artifact.format), executable(artifact, folder), 1)
            logits = session([open_tokenizer(folder, 64)(text)])["logits"]
            assert np.abs(logits[:, VIRTUAL:, :pieces] - wanted).max() <= 1e-4, folder.name
    assert np.mean(changed) >= 0.1
    assert tokenize("where").ids[VIRTUAL:] == open_tokenizer(base, 64)("where").ids
    assert AutoTokenizer.from_pretrained(checkpoint)("where").input_ids == tokenize("where").ids
    (gguf,) = (folder for folder in folders if folder.name.startswith("gguf"))
    notes = read_artifact(gguf).lineage[1]["notes"]
    by_llama = llama_cpp.Llama(str(gguf / "model.gguf"), vocab_only=True, verbose=False)
    said = f"{notes['before_every_text']}<s>where".encode()
    assert by_llama.tokenize(said, add_bos=False, special=True) == tokenize("where").ids


def test_a_classifier_with_a_prompt_reads_it_where_its_pooler_looks(tiny_bert: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_bert, tmp_path / "base"))
    adapted = write_adapter(base, tmp_path / "adapter", "SEQ_CLS", "prompt-tuning")
    found = inspect(tmp_path / "adapter")
    assert (found.labels, found.max_tokens) == (inspect(base).labels, inspect(base).max_tokens - VIRTUAL)
    checkpoint, onnx = compress(tmp_path / "adapter", tmp_path / "out", ["checkpoint", "onnx"])
    baked = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    session = open_session(runtime_for("onnx"), executable(read_artifact(onnx), onnx), 1)
    for text in TEXTS:
        wanted = ask(adapted, text, base)
        with torch.no_grad():
            assert np.abs(baked(**tokenizer(text, return_tensors="pt")).logits.numpy() - wanted).max() <= 1e-4
        assert np.abs(session([open_tokenizer(onnx, 64)(text)])["logits"] - wanted).max() <= 1e-4


PROCESSORS: dict[str, Callable[[], Any]] = {
    "template": lambda: processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    ),
    "bert": lambda: processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)),
    "roberta": lambda: processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2)),
    "bytes": lambda: processors.ByteLevel(trim_offsets=False),
    "several": lambda: processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="[CLS] $A", pair="[CLS] $A $B", special_tokens=[("[CLS]", 2)]),
        ]
    ),
    "none": lambda: None,
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_whatever_a_tokenizer_puts_around_texts_stands_behind_the_virtual_tokens(
    name: str, tiny_bert: Path, tmp_path: Path
) -> None:
    before = Tokenizer.from_file(str(tiny_bert / "tokenizer.json"))
    if (processor := PROCESSORS[name]()) is not None:
        before.post_processor = processor
    else:
        said = json.loads(before.to_str()) | {"post_processor": None}
        before = Tokenizer.from_str(json.dumps(said))
    before.save(str(tmp_path / "tokenizer.json"))
    written, ids = add_virtual_tokens(tmp_path / "tokenizer.json", ["<|virtual_0|>", "<|virtual_1|>"])
    after, size = Tokenizer.from_str(written), before.get_vocab_size()
    assert ids == [size, size + 1]
    for asked in (("where is my order",), ("where is my order", "is this suitable")):
        old, new = before.encode(*asked), after.encode(*asked)
        assert new.ids == [*ids, *old.ids]
        assert new.type_ids == [0, 0, *old.type_ids]
        assert new.offsets[2:] == old.offsets
        assert new.special_tokens_mask == [1, 1, *old.special_tokens_mask]
