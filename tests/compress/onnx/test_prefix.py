"""Prefix tuning as peft writes it, in graphs that take and give what any language model's do."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import peft
import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from mct import MctError
from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import executable, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.targets.runtimes.table import open_session, runtime_for

pytestmark = pytest.mark.filterwarnings("ignore")

TOKENS = 5
TEXTS = ("where is my order", "is this in another order", "or this")


def of(*families: str) -> pytest.MarkDecorator:
    """The test with an adapter of each of these families."""
    return pytest.mark.parametrize("adapter", families, indirect=True)


@pytest.fixture(scope="module")
def adapter(request: pytest.FixtureRequest, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix that changes the answers, beside its base."""
    folder = tmp_path_factory.mktemp("prefix")
    shutil.copytree(tiny_llama, folder / "base")
    torch.manual_seed(1)
    if request.param == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=266, n_embd=64, n_layer=2, n_head=4, n_positions=128, initializer_range=0.15, bos_token_id=0,
            eos_token_id=1, pad_token_id=1,
        )  # fmt: skip
        transformers.GPT2LMHeadModel(config).save_pretrained(folder / "base")
    if request.param == "qwen2":
        turned = transformers.Qwen2Config(
            vocab_size=266, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=64, max_position_embeddings=128, initializer_range=0.15, bos_token_id=0, eos_token_id=1,
        )  # fmt: skip
        transformers.Qwen2ForCausalLM(turned).save_pretrained(folder / "base")
    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    adapted = peft.get_peft_model(base, peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=TOKENS))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    adapted.save_pretrained(folder / "adapter")
    return folder / "adapter"


@cache
def by_peft(adapter: Path) -> Any:
    base = AutoModelForCausalLM.from_pretrained(adapter.parent / "base")
    return peft.PeftModel.from_pretrained(base, adapter).eval()


def wanted(adapter: Path, ids: list[int]) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(by_peft(adapter)(input_ids=torch.tensor([ids])).logits)


@of("llama", "gpt2")
def test_a_prefix_stands_in_the_graph(adapter: Path, tmp_path: Path) -> None:
    found = inspect(adapter)
    assert (found.technique, found.max_tokens) == (
        "prefix-tuning",
        inspect(adapter.parent / "base").max_tokens - TOKENS,
    )
    plan = make_plan(found, ["onnx", "openvino"], ["fp32"])
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    resources, requests = gather(plan, None, texts, {}, seed=0)
    changed = []
    plain = AutoModelForCausalLM.from_pretrained(adapter.parent / "base")
    for folder in execute(plan, resources, requests, tmp_path / "out"):
        artifact = read_artifact(folder)
        session: Any = open_session(runtime_for(artifact.format), executable(artifact, folder), 1)
        for text in TEXTS:
            ids = open_tokenizer(folder, 64)(text).ids
            logits = session([Tokens(ids, [0] * len(ids))])["logits"]
            assert np.abs(logits - wanted(adapter, ids)).max() <= 1e-4, folder.name
            with torch.no_grad():
                without = plain(input_ids=torch.tensor([ids])).logits.numpy()
            changed += [*(without.argmax(-1) != logits.argmax(-1)).ravel()]
            continued = session.generate(Tokens(ids, [0] * len(ids)), 8)  # its cache goes on behind the prefix
            answers = wanted(adapter, [*ids, *continued])[0].argmax(-1)
            assert continued == answers[len(ids) - 1 : -1].tolist()
    assert np.mean(changed) >= 0.1


@of("llama", "gpt2")
def test_a_program_that_knows_nothing_of_it_keeps_the_cache_itself(adapter: Path, tmp_path: Path) -> None:
    """In a batch, and token by token, as transformers.js does."""
    plan = make_plan(inspect(adapter), ["onnx"], ["fp32"])
    resources, requests = gather(plan, None, None, {}, seed=0)
    (folder,) = execute(plan, resources, requests, tmp_path / "out")
    session = ort.InferenceSession(str(folder / "onnx" / "model.onnx"))
    caches = [each for each in session.get_inputs() if each.name.startswith("past_key_values")]
    ids = np.array([[0, 70, 71, 72], [0, 90, 91, 92]])
    past = {each.name: np.zeros((2, each.shape[1], 0, each.shape[3]), np.float32) for each in caches}
    rows = []
    for place in range(4):
        fed = {"input_ids": ids[:, place : place + 1], "attention_mask": np.ones((2, place + 1), np.int64)}
        logits, *presents = session.run(None, fed | past)
        past = {each.name: present for each, present in zip(caches, presents, strict=True)}
        assert all(present.shape[2] == place + 1 for present in presents), "the prefix is nobody else's business"
        rows.append(logits[:, 0])
    for row in range(2):
        found = np.stack([each[row] for each in rows])
        assert np.abs(found - wanted(adapter, ids[row].tolist())[0]).max() <= 1e-4


@of("llama", "gpt2", "qwen2")
def test_llama_cpp_reads_it_as_a_saved_state(adapter: Path, tmp_path: Path) -> None:
    """Beside a smaller model too; an input that needs a longer cache gets it back."""
    plan = make_plan(inspect(adapter), ["gguf"], ["fp32", "int8"])
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    resources, requests = gather(plan, None, texts, {}, seed=0)
    full, small = execute(plan, resources, requests, tmp_path / "out")
    by_table = "gpt2" in inspect(adapter).model_type  # llama.cpp's GELU, in half precision
    changed = []
    plain = AutoModelForCausalLM.from_pretrained(adapter.parent / "base")
    for folder in (full, small):
        artifact = read_artifact(folder)
        assert artifact.settings["prefix_tokens"] == TOKENS and "prefix.state" in artifact.files
        session: Any = open_session(runtime_for("gguf"), executable(artifact, folder), 1)
        for text in TEXTS:
            ids = open_tokenizer(folder, 64)(text).ids
            logits = session([Tokens(ids, [0] * len(ids))])["logits"]
            with torch.no_grad():
                without = plain(input_ids=torch.tensor([ids])).logits.numpy()
            far = np.abs(logits - wanted(adapter, ids))
            if folder == small:
                assert far.mean() < 0.5 * np.abs(without - wanted(adapter, ids)).mean()
                continue
            assert far.max() <= (1e-2 if by_table else 1e-4)
            changed += [*(without.argmax(-1) != logits.argmax(-1)).ravel()]
            continued = session.generate(Tokens(ids, [0] * len(ids)), 8)
            answers = wanted(adapter, [*ids, *continued])[0].argmax(-1)
            assert continued == answers[len(ids) - 1 : -1].tolist()
    assert np.mean(changed) >= 0.1


@of("llama")
def test_a_state_that_is_not_the_models_is_refused(adapter: Path, tmp_path: Path) -> None:
    plan = make_plan(inspect(adapter), ["gguf"], ["fp32"])
    resources, requests = gather(plan, None, None, {}, seed=0)
    (folder,) = execute(plan, resources, requests, tmp_path / "out")
    artifact, state = read_artifact(folder), folder / "prefix.state"
    state.write_bytes(state.read_bytes()[:-40])
    with pytest.raises(MctError, match="cannot read"):
        open_session(runtime_for("gguf"), executable(artifact, folder), 1)([Tokens([0, 70], [0, 0])])


@of("llama")
def test_what_cannot_hold_a_prefix_says_so(adapter: Path, tmp_path: Path, run_mct: Callable[..., Any]) -> None:
    (tmp_path / "recipe.toml").write_text('[[steps]]\npass = "drop-layers"\nkeep = [0]\n')
    done = run_mct("compress", adapter, "-o", tmp_path / "out", "--recipe", tmp_path / "recipe.toml", "--plan")
    assert done.returncode == 2 and "belongs to this model as it is" in done.stderr


OF_TASKS = {
    "SEQ_CLS": transformers.AutoModelForSequenceClassification,
    "TOKEN_CLS": transformers.AutoModelForTokenClassification,
}


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("task", OF_TASKS)
def test_a_classifier_or_tagger_may_have_one(task: str, family: str, tiny_bert: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny_bert, tmp_path / "base")
    sizes = transformers.AutoConfig.from_pretrained(base).to_dict()
    if family == "roberta":
        sizes |= {"type_vocab_size": 1}
    torch.manual_seed(0)
    sizes.pop("model_type")
    OF_TASKS[task].from_config(transformers.AutoConfig.for_model(family, **sizes)).save_pretrained(base)
    model: Any = OF_TASKS[task].from_pretrained(base)
    adapted = peft.get_peft_model(model, peft.PrefixTuningConfig(task_type=task, num_virtual_tokens=TOKENS)).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    adapted.save_pretrained(tmp_path / "adapter")
    plan = make_plan(inspect(tmp_path / "adapter"), ["onnx", "openvino"], ["fp32"])
    resources, texts = gather(plan, None, None, {}, seed=0)
    plain = OF_TASKS[task].from_pretrained(base)
    for folder in execute(plan, resources, texts, tmp_path / "out"):
        artifact = read_artifact(folder)
        session = open_session(runtime_for(artifact.format), executable(artifact, folder), 1)
        tokenize = open_tokenizer(folder, artifact.max_tokens)
        for text in TEXTS:
            tokens = tokenize(text)
            ids = torch.tensor([tokens.ids])
            with torch.no_grad():
                right = adapted(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.numpy()
                without = plain(ids).logits.numpy()
            found = session([tokens])["logits"]
            assert np.abs(found - right).max() <= 1e-4 < np.abs(without - right).max(), folder.name
    with pytest.raises(MctError, match="no cache that a prefix"):
        make_plan(inspect(tmp_path / "adapter"), ["gguf"], [])


def test_an_encoder_that_takes_none_is_refused(tiny_bert: Path, tmp_path: Path, run_mct: Callable[..., Any]) -> None:
    """peft writes such an adapter, and cannot run it either."""
    base = shutil.copytree(tiny_bert, tmp_path / "base")
    config = transformers.DistilBertConfig(
        vocab_size=json.loads((base / "config.json").read_text())["vocab_size"],
        dim=64, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=64, num_labels=3,
    )  # fmt: skip
    model = transformers.DistilBertForSequenceClassification(config)
    model.save_pretrained(base)
    prefix = peft.PrefixTuningConfig(
        task_type="SEQ_CLS", num_virtual_tokens=TOKENS, token_dim=64, num_layers=2, num_attention_heads=4
    )
    adapted = peft.get_peft_model(model, prefix)
    with pytest.raises(ValueError, match="does not support past key values"):
        adapted(input_ids=torch.tensor([[5, 6]]))
    adapted.save_pretrained(tmp_path / "adapter")
    done = run_mct("compress", tmp_path / "adapter", "--base", base, "-o", tmp_path / "out", "--plan")
    assert done.returncode == 2 and "not those of this model" in done.stderr
