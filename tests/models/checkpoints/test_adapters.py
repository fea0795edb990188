"""An adapter is refused with its type, its base and the line that merges it; a base beside it changes nothing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect

LORA = {"peft_type": "LORA", "task_type": "SEQ_CLS", "base_model_name_or_path": "shop/router-base", "r": 8}


def write_adapter(folder: Path, **settings: object) -> Path:
    """The files that peft writes, by their names."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(LORA | settings))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def base(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "base"))


@pytest.mark.parametrize("place", [".", "second-adapter", "ref", "checkpoint-500/ref"])
def test_an_adapter_beside_its_base_is_not_taken_for_a_whole_model(base: Path, place: str) -> None:
    write_adapter(base / place)
    with pytest.raises(MctError, match="LORA adapter of shop/router-base") as refused:
        inspect(base)
    assert "AutoPeftModelForSequenceClassification" in refused.value.hint
    assert "merge_and_unload" in refused.value.hint


def test_an_adapter_alone_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="DORA adapter of a base that it does not name"):
        inspect(write_adapter(tmp_path / "adapter", peft_type="DORA", base_model_name_or_path=None))


def test_what_cannot_be_merged_gets_no_line_that_would_fail(base: Path) -> None:
    write_adapter(base, peft_type="PREFIX_TUNING")
    with pytest.raises(MctError, match="PREFIX_TUNING") as refused:
        inspect(base)
    assert "merge_and_unload" not in refused.value.hint


@pytest.mark.parametrize("content", ["", "[]", '{"peft_type": 5}', "{}"])
def test_a_damaged_adapter_is_refused_too(base: Path, content: str) -> None:
    write_adapter(base)
    (base / "adapter_config.json").write_text(content)
    with pytest.raises(MctError, match=r"adapter_config\.json"):
        inspect(base)


def test_weights_of_an_adapter_without_its_configuration_are_refused(base: Path) -> None:
    (write_adapter(base) / "adapter_config.json").unlink()
    with pytest.raises(MctError, match="weights of an adapter"):
        inspect(base)


def test_a_folder_that_peft_wrote_is_merged_by_the_line_of_the_hint(base: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(1)
    lora = peft.LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"], init_lora_weights=False)
    adapter = tmp_path / "router"
    peft.get_peft_model(AutoModelForSequenceClassification.from_pretrained(base), lora).save_pretrained(adapter)
    with pytest.raises(MctError, match=f"LORA adapter of {base}") as refused:
        inspect(adapter)
    command = refused.value.hint.partition('python -c "')[2].partition('"')[0]
    subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, cwd=tmp_path)
    assert inspect(tmp_path / "router-merged").task == "sequence-classification"
