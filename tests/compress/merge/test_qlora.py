"""An adapter that was trained on a base in 4 bits: merged into what it was trained on, and into the whole base."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from mct.compress.merge.merge_adapter import run
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.adapted import Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load_adapter import round_linear_layers
from mct.targets.machine import probe_machine

pytestmark = pytest.mark.filterwarnings("ignore")

IDS = torch.randint(2, 266, (16, 40), generator=torch.Generator().manual_seed(0))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


def same_top(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one.argmax(-1) == other.argmax(-1)).float().mean())


def adapted(base: Any) -> Any:
    torch.manual_seed(1)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    return peft.get_peft_model(base, lora)


def test_it_is_merged_into_the_base_as_it_was_rounded(tiny_llama: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_llama, tmp_path / "base"))
    rounded = AutoModelForCausalLM.from_pretrained(base)
    round_linear_layers(rounded, "nf4", "float32")
    assert torch.equal(rounded.lm_head.weight, AutoModelForCausalLM.from_pretrained(base).lm_head.weight)
    trained = adapted(rounded)
    trained.save_pretrained(tmp_path / "adapter")
    wanted = logits(trained)
    (tmp_path / "merged").mkdir()
    checkpoint = inspect(tmp_path / "adapter", Told(base_quant="nf4"))
    notes = run(
        Product(tmp_path / "adapter", ""), tmp_path / "merged", {}, Resources(checkpoint, None, probe_machine(), 0)
    ).notes
    found = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged"))
    naive = logits(adapted(AutoModelForCausalLM.from_pretrained(base)).merge_and_unload())
    assert same_top(wanted, found) >= 0.999 and (wanted - found).abs().max() <= 1e-4
    assert same_top(wanted, naive) < 0.99, "the rounding matters here"
    compared = notes["against_the_trained"]
    assert (notes["base_quant"], notes["merged_into"]) == ("nf4", "rebuilt")
    assert compared["rebuilt"]["same_top"] == 1.0 and compared["original"]["same_top"] < 0.99


def test_both_merges_stand_in_the_artifact(tiny_llama: Path, tmp_path: Path, run_mct: Callable[..., Any]) -> None:
    base = Path(shutil.copytree(tiny_llama, tmp_path / "base"))
    rounded = AutoModelForCausalLM.from_pretrained(base)
    round_linear_layers(rounded, "nf4", "float32")
    adapted(rounded).save_pretrained(tmp_path / "adapter")
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": f"order {number} is in another"}) + "\n" for number in range(6)))
    asked = ("--format", "onnx", "--precision", "fp32", "--base-quant", "nf4", "--data", texts)
    done = run_mct("compress", tmp_path / "adapter", "-o", tmp_path / "out", *asked)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "out" / "onnx-fp32" / "mct.json").read_text())
    notes = said["lineage"][1]["notes"]
    assert (said["technique"], notes["merged_into"]) == ("qlora", "rebuilt")
    assert set(notes["against_the_trained"]) == {"rebuilt", "original"}
    assert said["parity"]["root"]["max_abs_delta"] <= 1e-4


def test_a_base_that_bitsandbytes_packed_is_merged_without_it(tiny_llama: Path, tmp_path: Path) -> None:
    """Trained, packed and saved by the libraries; read back by mct's own decoding."""
    functional = pytest.importorskip("bitsandbytes.functional")
    from transformers import BitsAndBytesConfig

    packing = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    packed = AutoModelForCausalLM.from_pretrained(tiny_llama, quantization_config=packing, dtype=torch.float32)
    packed.save_pretrained(tmp_path / "base")
    decoded = {
        name: functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        for name, layer in packed.named_modules()
        if type(layer).__name__ == "Linear4bit"
    }
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_llama / file, tmp_path / "base" / file)
    adapted(packed).save_pretrained(tmp_path / "adapter")
    plain = AutoModelForCausalLM.from_pretrained(tiny_llama)  # on a CPU with bfloat16 packed layers compute in that
    for name, weight in decoded.items():
        plain.get_submodule(name).weight.data = weight
    wanted = logits(adapted(plain))
    checkpoint = inspect(tmp_path / "adapter", Told(base=tmp_path / "base"))
    assert (checkpoint.quantised, checkpoint.technique) == ("nf4", "qlora")
    (tmp_path / "merged").mkdir()
    run(Product(tmp_path / "adapter", ""), tmp_path / "merged", {}, Resources(checkpoint, None, probe_machine(), 0))
    found = logits(LlamaForCausalLM.from_pretrained(tmp_path / "merged"))
    assert same_top(wanted, found) >= 0.999 and (wanted - found).abs().max() <= 1e-4
