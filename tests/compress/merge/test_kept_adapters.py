"""Several adapters, as peft writes them, beside one base in one artifact: each gives what it gives in peft."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import onnxruntime as ort
import peft
import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from mct import MctError
from mct.bench.samples.subject import identify, told_to
from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import executable, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.adapted import Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.targets.runtimes.table import open_session, runtime_for

pytestmark = pytest.mark.filterwarnings("ignore")

TEXTS = ("where is my order", "is this in another order", "or this")
KEEP = Told(keep=True)

# Everything that changes a scale: two alphas, ranks that differ, rsLoRA; and layers that one has and the other has not.
LORAS: dict[str, dict[str, dict[str, Any]]] = {
    "llama": {
        "polite": {
            "target_modules": ["q_proj", "v_proj", "down_proj"], "r": 4, "alpha_pattern": {"v_proj": 32},
            "rank_pattern": {"layers.0.self_attn.q_proj": 6}, "use_rslora": True,
        },
        "short.2": {"target_modules": ["q_proj", "k_proj", "o_proj", "up_proj"], "r": 8, "lora_alpha": 4},
    },
    "gpt2": {
        "polite": {"target_modules": ["c_attn", "c_fc"], "r": 4, "use_rslora": True, "fan_in_fan_out": True},
        "short.2": {"target_modules": ["attn.c_proj"], "r": 8, "fan_in_fan_out": True},
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=list(LORAS))
def adapters(request: pytest.FixtureRequest, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two adapters, each in a folder of its name as peft saves them, beside their base."""
    folder = tmp_path_factory.mktemp("kept")
    shutil.copytree(tiny_llama, folder / "base")
    if request.param == "gpt2":
        torch.manual_seed(0)
        config = transformers.GPT2Config(
            vocab_size=266, n_embd=64, n_layer=2, n_head=4, n_positions=128, initializer_range=0.15, bos_token_id=0,
            eos_token_id=1, pad_token_id=1,
        )  # fmt: skip
        transformers.GPT2LMHeadModel(config).save_pretrained(folder / "base")
    write_adapters(folder / "base", folder / "adapters", LORAS[request.param])
    return folder / "adapters"


def write_adapters(base: Path, folder: Path, options: dict[str, dict[str, Any]]) -> None:
    (first, config), *others = (
        (name.replace(".", "_"), peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **each))
        for name, each in options.items()
    )
    adapted = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config, adapter_name=first)
    for name, other in others:
        adapted.add_adapter(name, other)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.2)
    adapted.save_pretrained(folder)
    for name in options:
        if "." in name:  # peft takes no dots, people who move folders do
            (folder / name.replace(".", "_")).rename(folder / name)


@cache
def by_peft(adapters: Path, name: str) -> Any:
    base = AutoModelForCausalLM.from_pretrained(adapters.parent / "base")
    return peft.PeftModel.from_pretrained(base, adapters / name).eval() if name else base.eval()


def wanted(adapters: Path, name: str, ids: list[int]) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(by_peft(adapters, name)(input_ids=torch.tensor([ids])).logits)


@pytest.fixture(scope="module")
def made(adapters: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("made")
    (out / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    checkpoint = inspect(adapters, KEEP)
    plan = make_plan(checkpoint, [], ["fp32", "int8"] if checkpoint.model_type == "llama" else ["fp32"])
    resources, texts = gather(plan, None, out / "texts.jsonl", {}, seed=0)
    return {folder.name: folder for folder in execute(plan, resources, texts, out)}


def ids_of(folder: Path, text: str) -> list[int]:
    return open_tokenizer(folder, 64)(text).ids


@pytest.mark.parametrize("form", ["onnx-fp32", "gguf-f32"])
def test_each_adapter_answers_as_peft_runs_it_unmerged(adapters: Path, made: dict[str, Path], form: str) -> None:
    artifact = read_artifact(made[form])
    base = executable(artifact, made[form])
    by_table = form == "gguf-f32" and artifact.lineage[0]["architecture"].startswith("GPT2")  # GELU in half precision
    changed = []
    for name in ("", "polite", "short.2"):
        session: Any = open_session(runtime_for(artifact.format), base.with_adapter(name) if name else base, 1)
        for text in TEXTS:
            ids = ids_of(made[form], text)
            logits = session([Tokens(ids, [0] * len(ids))])["logits"]
            assert np.abs(logits - wanted(adapters, name, ids)).max() <= (1e-2 if by_table else 1e-4)
            if name:
                changed += [*(wanted(adapters, "", ids).argmax(-1) != logits.argmax(-1)).ravel()]
            continued = session.generate(Tokens(ids, [0] * len(ids)), 8)
            answers = wanted(adapters, name, [*ids, *continued])[0].argmax(-1)
            assert continued == answers[len(ids) - 1 : -1].tolist()
    assert np.mean(changed) >= 0.1


@pytest.mark.parametrize("form", ["onnx-int8", "gguf-q8_0"])
def test_a_smaller_base_takes_them_too(adapters: Path, made: dict[str, Path], form: str) -> None:
    """Nearer to the adapter's own answers than the base is, by far; how near stands in the artifact."""
    if form not in made:
        pytest.skip("made of the Llama alone: the bits of the base are not the adapters' business")
    artifact = read_artifact(made[form])
    assert set(artifact.parity["adapters"]) == {"polite", "short.2"}
    ids = ids_of(made[form], TEXTS[0])
    for name, said in artifact.parity["adapters"].items():
        session = open_session(runtime_for(artifact.format), executable(artifact, made[form]).with_adapter(name), 1)
        right, plain = wanted(adapters, name, ids), wanted(adapters, "", ids)
        found = session([Tokens(ids, [0] * len(ids))])["logits"]
        assert np.abs(found - right).mean() < 0.2 * np.abs(plain - right).mean()
        assert 0.5 < said["agreement"] <= 1


def test_onnx_runtime_puts_them_on_by_itself(adapters: Path, made: dict[str, Path]) -> None:
    folder = made["onnx-fp32"]
    session = ort.InferenceSession(str(folder / "onnx" / "model.onnx"))
    ids = ids_of(folder, TEXTS[0])
    fed: dict[str, Any] = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
    for each in session.get_inputs():
        if each.name.startswith("past"):
            fed[each.name] = np.zeros((1, each.shape[1], 0, each.shape[3]), np.float32)
    for name, file in read_artifact(folder).settings["adapters"].items():
        adapter, options = ort.LoraAdapter(), ort.RunOptions()
        adapter.Load(str(folder / file))
        options.add_active_adapter(adapter)
        logits = session.run(["logits"], fed, options)[0]
        assert np.abs(logits - wanted(adapters, name, ids)).max() <= 1e-4


def test_llama_cpp_puts_them_on_by_itself(adapters: Path, made: dict[str, Path]) -> None:
    folder = made["gguf-f32"]
    ids = ids_of(folder, TEXTS[0])
    for name, file in read_artifact(folder).settings["adapters"].items():
        model = llama_cpp.Llama(
            str(folder / "model.gguf"), lora_path=str(folder / file), logits_all=True, n_ctx=64, verbose=False
        )
        model.eval(ids)
        near = np.abs(model.scores[: len(ids)] - wanted(adapters, name, ids)[0]).max()
        assert near <= 0.02, "its cache is in half precision"
        model.close()


def test_one_is_asked_for_by_name(adapters: Path, made: dict[str, Path], run_mct: Callable[..., Any]) -> None:
    folder = made["onnx-fp32"]
    alone, one, other = (identify(folder, Told(adapter=name)) for name in ("", "polite", "short.2"))
    assert len({alone.digest, one.digest, other.digest}) == 3
    assert (alone.name, one.name) == ("onnx-fp32", "onnx-fp32 with polite")
    answers = {
        name: json.loads(run_mct("run", folder, *(["--adapter", name] if name else []), "--tokens", 6, TEXTS[0]).stdout)
        for name in ("", "polite")
    }
    assert answers[""]["answer"] != answers["polite"]["answer"]
    done = run_mct("run", folder, "--adapter", "polit", "x")
    assert done.returncode == 2 and "polite" in done.stderr
    facts = run_mct("models", "inspect", folder).stdout
    assert "adapter polite" in facts and "adapter short.2" in facts
    both = told_to([folder, adapters], Told(adapter="polite", base=adapters.parent / "base"))
    assert both[folder] == Told(adapter="polite") and both[adapters].base
    with pytest.raises(MctError, match="--base speaks of an adapter"):
        told_to([folder], Told(adapter="polite", base=adapters))


def test_a_part_of_them(adapters: Path, tmp_path: Path, run_mct: Callable[..., Any]) -> None:
    found = inspect(adapters, Told(adapter="short.2", keep=True)).adaptation
    assert found is not None and [each.name for each in found.adapters] == ["short.2"]
    asked = ("compress", adapters, "-o", tmp_path / "out", "--keep-adapter", "--plan")
    done = run_mct(*asked, "--adapter", "polite=0.5,short.2")
    assert done.returncode == 2 and "weights are those of a mix" in done.stderr
    done = run_mct(*asked, "--format", "openvino")
    assert done.returncode == 2 and "swaps no adapters: merge each" in done.stderr
    assert "--format onnx,gguf" in done.stderr


def test_one_that_is_scaled_by_nothing(tiny_llama: Path, tmp_path: Path) -> None:
    """llama.cpp's file has one alpha for all layers, by which each is divided: here it is 0."""
    shutil.copytree(tiny_llama, tmp_path / "base")
    write_adapters(
        tmp_path / "base", tmp_path / "adapters", {"nothing": {"target_modules": ["q_proj"], "lora_alpha": 0}}
    )
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    plan = make_plan(inspect(tmp_path / "adapters", KEEP), ["gguf"], ["f32"])
    resources, texts = gather(plan, None, tmp_path / "texts.jsonl", {}, seed=0)
    (made,) = execute(plan, resources, texts, tmp_path)
    base = executable(read_artifact(made), made)
    ids = ids_of(made, TEXTS[0])
    alone, with_it = (
        open_session(runtime_for("gguf"), each, 1)([Tokens(ids, [0] * len(ids))])["logits"]
        for each in (base, base.with_adapter("nothing"))
    )
    assert np.array_equal(alone, with_it)


def test_adapters_of_unlike_bases_do_not_go_together(adapters: Path, tmp_path: Path) -> None:
    """The base of the first would be taken for that of all; one base that lies in two places has one name."""
    folder = Path(shutil.copytree(adapters.parent, tmp_path / "both")) / "adapters"
    last = sorted(folder.rglob("adapter_config.json"))[-1]
    config = json.loads(last.read_text())
    last.write_text(json.dumps(config | {"base_model_name_or_path": "/elsewhere/base"}))
    assert inspect(folder, Told(keep=True)).adaptation
    last.write_text(json.dumps(config | {"base_model_name_or_path": "org/other"}))
    with pytest.raises(MctError, match="are for unlike bases: base and other"):
        inspect(folder, Told(keep=True))


@pytest.mark.parametrize(
    ("told", "says"), [("polite=0.7,polite=0.3", "twice"), ("polite=nan", "no weight"), ("polite=inf", "no weight")]
)
def test_a_mix_that_says_two_things_or_none(adapters: Path, told: str, says: str) -> None:
    """Of the two weights the last was taken in silence."""
    with pytest.raises(MctError, match=says):
        inspect(adapters, Told(adapter=told))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "dora": ({"use_dora": True}, "a magnitude of its own"),
    "bias": ({"bias": "lora_only"}, "it brings biases"),
    "saved output": ({"modules_to_save": ["lm_head"]}, "whole weights that were trained along"),
    "token rows": ({"trainable_token_indices": [70, 71]}, "rows of the table of words"),
    "words": ({"target_modules": ["embed_tokens"]}, "changes the table of words"),
    "output": ({"target_modules": ["lm_head"]}, "changes the output matrix"),
    "pissa": ({"init_lora_weights": "pissa"}, "begun by pissa, which changed the base"),
    "parameters": (
        {"target_modules": [], "target_parameters": ["mlp.down_proj.weight"]},
        "that are no layer",
    ),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_what_a_file_of_adapters_cannot_hold_is_merged(tiny_llama: Path, tmp_path: Path, kind: str) -> None:
    shutil.copytree(tiny_llama, tmp_path / "base")
    options, reason = REFUSED[kind]
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    if kind == "bias":
        base = AutoModelForCausalLM.from_config(transformers.Qwen2Config(**TINY_QWEN))
        base.save_pretrained(tmp_path / "base")
    config = peft.LoraConfig(task_type="CAUSAL_LM", **({"target_modules": ["q_proj", "v_proj"]} | options))
    peft.get_peft_model(base, config).save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    told = Told(base=tmp_path / "base", keep=True)
    with pytest.raises(MctError, match=reason) as caught:
        make_plan(inspect(tmp_path / "adapter", told), [], [])
    assert "merged" in caught.value.hint
    assert make_plan(inspect(tmp_path / "adapter", Told(base=tmp_path / "base")), ["onnx"], [])


TINY_QWEN = {
    "vocab_size": 266, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 128,
}  # fmt: skip


def test_other_types_and_tasks_and_bases_are_merged(tiny_llama: Path, tiny_bert: Path, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    config: Any = peft.IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj"], feedforward_modules=[])
    peft.get_peft_model(base, config).save_pretrained(tmp_path / "ia3")
    with pytest.raises(MctError, match="IA3, and no runtime here swaps any but low-rank"):
        make_plan(inspect(tmp_path / "ia3", Told(base=tiny_llama, keep=True)), [], [])
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM")).save_pretrained(tmp_path / "lora")
    with pytest.raises(MctError, match="in 4 bits"):
        make_plan(inspect(tmp_path / "lora", Told(base=tiny_llama, base_quant="nf4", keep=True)), [], [])
    base = transformers.AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    peft.get_peft_model(base, peft.LoraConfig(task_type="SEQ_CLS")).save_pretrained(tmp_path / "classifier")
    with pytest.raises(MctError, match="only language models"):
        make_plan(inspect(tmp_path / "classifier", Told(base=tiny_bert, keep=True)), [], [])
