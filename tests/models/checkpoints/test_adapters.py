"""An adapter and its base are one checkpoint; which of both is meant, and what does not fit, is said in one line."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig, LlamaForCausalLM

from mct import MctError
from mct.models.checkpoints.adapted import Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load_adapter import load_adapted

RunMct = Callable[..., subprocess.CompletedProcess[str]]
LORA = {"r": 4, "init_lora_weights": False}


@pytest.fixture(scope="module")
def written(tiny_bert: Path, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bases, an adapter of each, and one of two names, as peft saves them side by side."""
    folder = tmp_path_factory.mktemp("adapters")
    shutil.copytree(tiny_bert, folder / "bert")
    shutil.copytree(tiny_llama, folder / "llama")
    torch.manual_seed(1)
    bert = AutoModelForSequenceClassification.from_pretrained(folder / "bert")
    lora = peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"], **LORA)
    peft.get_peft_model(bert, lora).save_pretrained(folder / "router")
    llama = AutoModelForCausalLM.from_pretrained(folder / "llama")
    lora = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], **LORA)
    peft.get_peft_model(llama, lora).save_pretrained(folder / "writer")
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "shop"))


def say(adapter: Path, **changes: object) -> None:
    """Change what an adapter's configuration says."""
    said = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(said | changes))


def test_an_adapter_is_its_base_with_another_technique(folder: Path) -> None:
    found, base = inspect(folder / "router"), inspect(folder / "bert")
    assert (found.task, found.labels, found.technique) == (base.task, base.labels, "lora")
    assert found.max_tokens == base.max_tokens and found.parameters > base.parameters
    assert found.adaptation is not None and found.adaptation.base == folder.resolve() / "bert"
    assert found.vocabulary == found.adaptation.base


def test_its_own_tokenizer_comes_before_that_of_the_base(folder: Path) -> None:
    shutil.copyfile(folder / "bert" / "tokenizer.json", folder / "router" / "tokenizer.json")
    assert inspect(folder / "router").vocabulary == folder / "router"


@pytest.mark.parametrize("place", [".", "polite", "checkpoint-500/polite"])
def test_an_adapter_within_its_base_is_not_passed_over(folder: Path, place: str) -> None:
    shutil.copytree(folder / "bert", folder / "plain")
    shutil.copytree(folder / "router", folder / "bert" / place, dirs_exist_ok=True)
    found = inspect(folder / "bert")
    assert found.technique == "lora"
    ids = torch.tensor([[2, 30, 31, 32, 3]])
    with torch.no_grad():
        wanted = load_adapted(inspect(folder / "router", Told(base=folder / "plain")))(input_ids=ids).logits
        assert torch.equal(load_adapted(found)(input_ids=ids).logits, wanted), "put on once, not by transformers too"
    assert found.adaptation is not None and found.adaptation.first.name == ("default" if place == "." else place)


def test_what_a_preference_was_trained_against_is_not_taken_for_the_policy(folder: Path) -> None:
    shutil.copytree(folder / "writer", folder / "policy")
    shutil.copytree(folder / "writer", folder / "policy" / "ref")
    found = inspect(folder / "policy")
    assert found.technique == "lora, dpo"
    assert found.adaptation is not None and found.adaptation.first.name == "default"


def test_a_base_elsewhere_is_given(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "llama", tmp_path / "far")
    with pytest.raises(MctError, match="is not beside it") as refused:
        inspect(folder / "writer")
    assert f"--base {folder}" not in refused.value.hint and "--base" in refused.value.hint
    assert inspect(folder / "writer", Told(base=tmp_path / "far")).technique == "lora"


def test_what_is_said_of_an_adapter_is_not_said_of_a_whole_model(folder: Path) -> None:
    for told in (Told(base=folder / "llama"), Told(base_quant="nf4"), Told(adapter="polite"), Told(labels=("a",))):
        with pytest.raises(MctError, match="holds no adapter, and --"):
            inspect(folder / "bert", told)


def test_weights_beside_the_base_are_counted_once(folder: Path) -> None:
    apart = inspect(folder / "router").parameters
    shutil.copytree(folder / "router", folder / "bert", dirs_exist_ok=True)
    assert inspect(folder / "bert").parameters == apart


def test_what_was_said_reaches_the_runtime_and_back() -> None:
    from mct.models.checkpoints.adapted import read_told

    told = Told("dpo", "a=0.5,b=0.5", Path("/base"), "nf4", ("yes", "no"))
    assert read_told(json.loads(json.dumps(told.as_json()))) == told


# -- bad folders --------------------------------------------------------------------------------------------------


def _without_base(folder: Path) -> None:
    shutil.rmtree(folder / "llama")


def _out_of_the_folder(folder: Path) -> None:
    say(folder / "writer", base_model_name_or_path="../../secret/llama")


def _absolute(folder: Path) -> None:
    shutil.copytree(folder / "llama", folder / "elsewhere" / "llama2")
    say(folder / "writer", base_model_name_or_path=str(folder / "elsewhere" / "llama2"))


def _unnamed(folder: Path) -> None:
    say(folder / "writer", base_model_name_or_path=None)


def _as_pickle(folder: Path) -> None:
    (folder / "writer" / "adapter_model.safetensors").rename(folder / "writer" / "adapter_model.bin")


def _alone(folder: Path) -> None:
    (folder / "writer" / "adapter_config.json").unlink()


def _for_another_task(folder: Path) -> None:
    say(folder / "writer", base_model_name_or_path=str(folder / "bert"))


def _with_code(folder: Path) -> None:
    say(folder / "writer", megatron_config={"hidden_size": 64}, megatron_core="evil")


def _of_a_rank_that_is_not(folder: Path) -> None:
    say(folder / "writer", r=20_000_000)


def _without_head(folder: Path) -> None:
    say(folder / "writer", task_type="SEQ_CLS")


def _linked(folder: Path) -> None:
    weights = folder / "writer" / "adapter_model.safetensors"
    weights.rename(folder / "elsewhere.safetensors")
    weights.symlink_to(folder / "elsewhere.safetensors")


def _other_shape(folder: Path) -> None:
    config = LlamaConfig.from_pretrained(folder / "llama", hidden_size=32, head_dim=8)
    LlamaForCausalLM(config).save_pretrained(folder / "llama")


def _change_weights(change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "writer" / "adapter_model.safetensors"
        save_file(dict(change(load_file(path))), path)

    return spoil


def _nan(tensors: dict[str, Any]) -> Mapping[str, Any]:
    return {name: tensor * float("nan") for name, tensor in tensors.items()}


def _two(tensors: dict[str, Any]) -> Mapping[str, Any]:
    return tensors | {name.replace("lora_A", "lora_A.other"): tensor.clone() for name, tensor in tensors.items()}


def _half(tensors: dict[str, Any]) -> Mapping[str, Any]:
    return {name: tensor for name, tensor in tensors.items() if "layers.0" in name}


BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no base": (_without_base, "llama.*is not beside it", "--base"),
    "a path out of the folder": (_out_of_the_folder, "follows no path that a file names", "--base"),
    "a path elsewhere": (_absolute, "follows no path that a file names", "--base"),
    "no name of a base": (_unnamed, "does not name its base", "--base"),
    "a pickle": (_as_pickle, "only as a pickle", "save_pretrained"),
    "weights alone": (_alone, r"without its adapter_config\.json", "peft"),
    "another task": (_for_another_task, "is for CAUSAL_LM, which its base .* cannot do", "--base"),
    "no head": (_without_head, "neither it nor its base, .* has a head", "modules_to_save"),
    "code of another library": (_with_code, "asks for code of another library", "merge it"),
    "a rank beyond its tensors": (_of_a_rank_that_is_not, "promises r = 20000000", "save both again"),
    "a link": (_linked, "leads out of its folder", "copy"),
    "a base of another shape": (_other_shape, "its base has other sizes", "--base"),
    "NaN": (_change_weights(_nan), "NaN or infinite", "earlier"),
    "two adapters in one file": (_change_weights(_two), "of no part of this adapter", "folder of its own"),
    "half of it": (_change_weights(_half), "lacks 4 tensors of its adapter", "peft"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_folder_is_refused_in_one_line_with_a_hint(name: str, folder: Path) -> None:
    spoil, message, hint = BAD[name]
    spoil(folder)
    with pytest.raises(MctError, match=message) as refused:
        load_adapted(inspect(folder / "writer"))
    assert "\n" not in refused.value.message and hint in refused.value.hint


@pytest.mark.parametrize("content", ["", "[]", '{"peft_type": 5}', "{}"])
def test_a_damaged_configuration_is_refused(folder: Path, content: str) -> None:
    (folder / "router" / "adapter_config.json").write_text(content)
    with pytest.raises(MctError, match=r"adapter_config\.json"):
        inspect(folder / "router")


def test_a_type_that_peft_does_not_know_is_refused_by_the_plan(
    folder: Path, run_mct: Callable[..., Any], tmp_path: Path
) -> None:
    say(folder / "writer", peft_type="TELEPATHY")
    done = run_mct("compress", folder / "writer", "-o", tmp_path / "out", "--plan")
    assert done.returncode == 2
    assert "mct merges no adapters of the type TELEPATHY" in done.stderr and "hint: " in done.stderr


def test_code_that_a_configuration_names_is_not_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(str(folder))
    say(folder / "writer", auto_mapping={"base_model_class": "Model", "parent_library": "evil"})
    assert load_adapted(inspect(folder / "writer")).config.model_type == "llama"


def test_any_name_of_a_folder_is_one_adapter_of_its_own(folder: Path, run_mct: RunMct) -> None:
    """Signs that a mix is told by, and names that peft would make one of: it takes no dots and slashes."""
    for name in ("x=1,y", "n/a", "n_a", "n.a"):
        (folder / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder / "writer", folder / "all" / name)
    told = Told(adapter="x=1,y", base=folder / "llama")
    assert [each.name for each in inspect(folder / "all", told).adaptation.adapters] == ["x=1,y"]  # type: ignore[union-attr]
    mix = Told(adapter="n/a=0.5,n_a=0.3,n.a=0.2", base=folder / "llama")
    ids = torch.tensor([[3, 4, 5]])
    mixed = load_adapted(inspect(folder / "all", mix))
    alone = load_adapted(inspect(folder / "writer", Told(base=folder / "llama")))
    torch.testing.assert_close(mixed(input_ids=ids).logits, alone(input_ids=ids).logits)
    for file in (folder / "writer").iterdir():
        shutil.copyfile(file, folder / "all" / file.name)
    shutil.copytree(folder / "writer", folder / "all" / "default")
    with pytest.raises(MctError, match="hold an adapter of the same name"):
        inspect(folder / "all", told)
    shutil.rmtree(folder / "all" / "default")
    done = run_mct("run", folder / "all", "once", "--adapter", "")
    assert done.returncode == 2 and "--adapter names none" in done.stderr
