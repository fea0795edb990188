import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from mct import MctError
from mct.bench.samples.subject import compiled, identify, identify_all, own_data
from mct.bench.worker.predict import open_predictor
from mct.models.checkpoints.adapted import Told
from mct.targets.runtimes.table import runtime_for


def _checkpoint(folder: Path) -> Path:
    folder.mkdir()
    labels = {"0": "order", "1": "returns"}
    config = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "id2label": labels}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"classifier.weight": np.zeros((2, 8), dtype=np.float32)}, folder / "model.safetensors")
    return folder


def test_an_artifact_says_what_its_manifest_says(tiny_artifact: Path) -> None:
    subject = identify(tiny_artifact)
    assert (subject.name, subject.format, subject.precision) == ("onnx-fp32", "onnx", "fp32")
    assert (subject.runtime, subject.labels) == ("onnxruntime", ("order", "returns", "human"))
    assert subject.files == ("onnx/model.onnx", "tokenizer.json")
    on_disk = sum((tiny_artifact / name).stat().st_size for name in subject.files)
    assert subject.size_mb == round(on_disk / 1e6, 3)
    assert len(subject.digest) == 64


def test_a_checkpoint_is_run_by_torch_and_counts_only_what_it_needs(tmp_path: Path) -> None:
    folder = _checkpoint(tmp_path / "router")
    before = identify(folder)
    (folder / "optimizer.bin").write_bytes(b"\0" * 100_000)
    after = identify(folder)
    assert (before.format, before.precision, before.runtime) == ("checkpoint", "fp32", "torch")
    assert before.files == ("config.json", "model.safetensors")
    assert (after.size_mb, after.digest) == (before.size_mb, before.digest)
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    assert identify(folder).digest != before.digest


def test_a_changed_byte_is_found(tiny_artifact: Path) -> None:
    model = tiny_artifact / "onnx" / "model.onnx"
    raw = bytearray(model.read_bytes())
    raw[-1] ^= 1
    model.write_bytes(raw)
    with pytest.raises(MctError, match="has changed since it was written"):
        identify(tiny_artifact)


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="is no checkpoint"):
        identify(tmp_path)


@pytest.fixture(scope="module")
def apart(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An adapter without a tokenizer, and its base in a place that the adapter does not name."""
    import peft
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("apart")
    base = shutil.copytree(tiny_llama, folder / "elsewhere" / "base")
    adapted = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False)
    )
    adapted.save_pretrained(folder / "adapter")
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": "a/base"}
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    return SimpleNamespace(adapter=folder / "adapter", base=base)


def test_an_adapter_is_measured_on_the_base_that_is_given(
    apart: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(apart.adapter.parent)
    subject = identify(Path("adapter"), Told(base=Path("elsewhere/base")))
    on_disk = sum((apart.adapter / name).stat().st_size for name in subject.files)
    assert subject.size_mb == round(on_disk / 1e6, 3) > 0.2, "the base's files are read too"
    opened = open_predictor(runtime_for("checkpoint"), subject.executable, subject.heads, 1, new_tokens=4)
    assert isinstance(opened.timed("where is my order"), str), "with the base's tokenizer"


def test_another_base_makes_another_subject(apart: SimpleNamespace, tmp_path: Path) -> None:
    same, other = (shutil.copytree(apart.base, tmp_path / name) for name in ("same", "other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    digests = [identify(apart.adapter, Told(base=base)).digest for base in (apart.base, same, other)]
    assert digests[0] == digests[1] != digests[2]
    strong = shutil.copytree(apart.adapter, tmp_path / "strong")
    config = json.loads((strong / "adapter_config.json").read_text())
    (strong / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 32}))
    assert identify(strong, Told(base=apart.base)).digest != digests[0]


def test_what_is_told_of_an_adapter_is_told_of_no_other(apart: SimpleNamespace) -> None:
    adapted, plain = identify_all([apart.adapter, apart.base], Told(base=apart.base))
    assert "base" in adapted.executable.settings and not plain.executable.settings
    with pytest.raises(MctError, match="--base speaks of an adapter, and none of these"):
        identify_all([apart.base], Told(base=apart.base))


def test_by_hand_too(apart: SimpleNamespace, run_mct: Any) -> None:
    done = run_mct("run", apart.adapter, "--base", apart.base, "--tokens", 3, "where is my order")
    assert (done.returncode, json.loads(done.stdout)["tokens"]) == (0, 3), done.stderr
    done = run_mct("bench", apart.base, "--adapter", "a", "--data", apart.base / "config.json")
    assert done.returncode == 2 and "--adapter speaks of an adapter" in done.stderr


def test_a_checkpoint_of_the_hub_bears_its_name_there(hub_cache: Any) -> None:
    assert identify(hub_cache.snapshot).name == "bert"


def test_the_evaluation_set_is_the_one_that_lies_with_a_checkpoint(tiny_artifact: Path, tmp_path: Path) -> None:
    checkpoint = _checkpoint(tmp_path / "router")
    with pytest.raises(MctError, match="nothing to ask onnx-fp32") as refused:
        own_data([tiny_artifact, checkpoint])
    assert "--data FILE with the columns text, label" in refused.value.hint
    (checkpoint / "data").mkdir()
    (checkpoint / "data" / "test.jsonl").touch()
    assert own_data([tiny_artifact, checkpoint]) == checkpoint / "data" / "test.jsonl"


def test_like_names_are_told_apart_by_their_parents(tiny_artifact: Path, tmp_path: Path) -> None:
    other = tmp_path / "head" / "onnx-fp32"
    other.parent.mkdir()
    other.symlink_to(tiny_artifact, target_is_directory=True)
    with pytest.raises(MctError, match="given twice"):
        identify_all([tiny_artifact, other])
    other.unlink()
    shutil.copytree(tiny_artifact, other)
    names = [subject.name for subject in identify_all([tiny_artifact, other])]
    assert names == [f"{tmp_path.name}/onnx-fp32", "head/onnx-fp32"]


def test_a_compiled_checkpoint_is_a_row_of_its_own(tmp_path: Path, tiny_artifact: Path) -> None:
    eager = identify(_checkpoint(tmp_path / "router"))
    found = compiled(eager)
    assert (found.name, found.executable.settings) == ("router (torch.compile)", {"compile": "inductor"})
    assert (found.path, found.runtime) == (eager.path, "torch")
    assert found.digest != eager.digest
    with pytest.raises(MctError, match=r"nothing that torch\.compile helps"):
        compiled(identify(tiny_artifact))


def test_compiling_without_a_compiler_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MctError, match=r"needs a C\+\+ compiler"):
        compiled(identify(_checkpoint(tmp_path / "router")))
