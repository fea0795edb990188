"""Weights in 4 bits: decoded and rounded as bitsandbytes does, by values worked by hand and by the library itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.four_bit import LEVELS, NF4, State, as_stored, decode, dynamic_curve, packed, rounded
from mct.models.checkpoints.load import load_model


def test_a_byte_holds_two_weights_the_first_in_its_high_half() -> None:
    state = State("nf4", [1, 4], "float32", 64)
    parts = {"absmax": np.array([2.0], np.float32), "quant_map": NF4}
    found = decode(np.array([[0xF0], [0x7F]], np.uint8), parts, state)
    assert found.tolist() == [[2.0, -2.0, 0.0, 2.0]]


def test_double_quantised_magnitudes_are_numbers_on_the_curve_and_a_mean() -> None:
    state = State("nf4", [1, 2], "float32", 64, 256, 0.5)
    curve = dynamic_curve()
    parts = {
        "absmax": np.array([255], np.uint8), "quant_map": NF4, "nested_absmax": np.array([0.25], np.float32),
        "nested_quant_map": curve,
    }  # fmt: skip
    assert decode(np.array([[0xF0]], np.uint8), parts, state).tolist() == [[0.75, -0.75]]


def test_the_curve_has_seven_decades_on_either_side_of_zero() -> None:
    curve = dynamic_curve()
    assert (len(curve), curve[-1], np.sum(curve == 0)) == (256, 1.0, 1)
    assert [int(np.sum((curve > 10.0**power) & (curve < 10.0 ** (power + 1)))) for power in range(-7, 0)] == [
        1, 2, 4, 8, 16, 32, 64,
    ]  # fmt: skip


@pytest.mark.parametrize("name", LEVELS)
def test_what_is_rounded_lies_on_the_levels_and_stays_there(name: str) -> None:
    weight = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    once = rounded(weight, name, "float32")  # type: ignore[arg-type]
    assert once.shape == weight.shape and np.abs(once - weight).mean() < 0.15
    for block in once.ravel()[:128].reshape(2, 64):
        shares = block / np.abs(block).max()
        assert np.abs(shares[:, None] - LEVELS[name]).min(axis=1).max() < 1e-6  # type: ignore[index]


def test_shorter_types_round_half_to_even() -> None:
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, np.pi], np.float32)
    assert np.array_equal(as_stored(values, "bfloat16"), torch.from_numpy(values).bfloat16().float().numpy())
    assert np.array_equal(as_stored(values, "float16"), values.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("name", LEVELS)
def test_bitsandbytes_decodes_to_the_same_bits(name: str, double: bool, dtype: torch.dtype) -> None:
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = torch.randn(96, 128, generator=torch.Generator().manual_seed(1)).to(dtype)
    packed, theirs = functional.quantize_4bit(weight, quant_type=name, compress_statistics=double)
    beside = theirs.as_dict(packed=True)
    said = json.loads(bytes(beside.pop(f"quant_state.bitsandbytes__{name}").tolist()))
    fields = {field: said[field] for field in State.__struct_fields__ if field in said}
    found = decode(packed.numpy(), {key: value.numpy() for key, value in beside.items()}, State(**fields))
    wanted = functional.dequantize_4bit(packed, theirs).float().numpy()
    assert np.array_equal(found, wanted)
    if double:  # the last bit of a mean, and so now and then a magnitude's level, is the machine's own
        assert np.mean(rounded(weight.float().numpy(), name, str(dtype)[6:]) != wanted) < 0.05  # type: ignore[arg-type]


def write_packed(folder: Path, name: str = "nf4") -> Any:
    """A Llama whose layers are packed as bitsandbytes packs them, by hand; gives the model of what they decode to."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    decoded = dict(tensors)
    levels = LEVELS[name]  # type: ignore[index]
    for key in [key for key in tensors if "proj" in key]:
        weight = tensors.pop(key)
        blocks = weight.reshape(-1, 64)
        largest = np.abs(blocks).max(axis=1)
        codes = np.abs(blocks[..., None] / largest[:, None, None] - levels).argmin(axis=-1).astype(np.uint8)
        state = {"quant_type": name, "blocksize": 64, "dtype": "float32", "shape": list(weight.shape)}
        pairs = codes.reshape(-1, 2)
        tensors[key] = (pairs[:, :1] << 4) | pairs[:, 1:]
        tensors[f"{key}.absmax"], tensors[f"{key}.quant_map"] = largest, levels
        tensors[f"{key}.quant_state.bitsandbytes__{name}"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
        decoded[key] = (levels[codes] * largest[:, None]).reshape(weight.shape)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    said = json.loads((folder / "config.json").read_text())
    method = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": name}
    (folder / "config.json").write_text(json.dumps(said | {"quantization_config": method}))
    model = LlamaForCausalLM(config)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in decoded.items()}, strict=False)
    return model.eval()


def test_a_packed_checkpoint_loads_without_the_library_that_packed_it(tmp_path: Path) -> None:
    wanted = write_packed(tmp_path / "base")
    found = inspect(tmp_path / "base")
    assert (found.quantised, found.task) == ("nf4", "causal-lm")
    assert {each.what: each.value for each in found.statements}["quantisation"] == "nf4"
    ids = torch.arange(2, 30)[None]
    with torch.no_grad():
        assert (load_model(found)(input_ids=ids).logits - wanted(input_ids=ids).logits).abs().max() <= 1e-6


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"quant_type": "int4"}, "quant_type"), ({"blocksize": 0}, "blocksize"), ({"shape": []}, "holds"),
        ({"shape": [64, 640]}, "holds"), ({"dtype": "complex64"}, "dtype"),
    ],
)  # fmt: skip
def test_a_state_that_cannot_be_is_refused(said: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_packed(tmp_path / "base")
    tensors = load_file(tmp_path / "base" / "model.safetensors")
    key = next(key for key in tensors if ".quant_state." in key)
    state = json.loads(tensors[key].tobytes()) | said
    tensors[key] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    save_file(tensors, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MctError, match=message):
        load_model(inspect(tmp_path / "base"))


def test_other_ways_of_packing_are_refused(tmp_path: Path) -> None:
    write_packed(tmp_path / "base")
    said = json.loads((tmp_path / "base" / "config.json").read_text())
    (tmp_path / "base" / "config.json").write_text(json.dumps(said | {"quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(MctError, match="quantised already \\(by gptq\\)"):
        inspect(tmp_path / "base")


def test_what_is_packed_here_decodes_to_what_it_is_rounded_to() -> None:
    weight = np.random.default_rng(1).normal(size=(96, 130)).astype(np.float32)
    parts = {name.removeprefix("."): value for name, value in packed(weight).items()}
    said = json.loads(parts.pop("quant_state.bitsandbytes__nf4").tobytes())
    state = State(**{field: said[field] for field in State.__struct_fields__})
    found = decode(parts.pop(""), parts, state)  # type: ignore[arg-type]
    assert np.array_equal(found, rounded(weight, "nf4", "float32"))


def test_bitsandbytes_unpacks_what_is_packed_here() -> None:
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = np.random.default_rng(2).normal(size=(64, 128)).astype(np.float32)
    parts = {name.removeprefix("."): torch.from_numpy(value.copy()) for name, value in packed(weight).items()}
    codes = parts.pop("")
    state = functional.QuantState.from_dict(parts, torch.device("cpu"))
    assert np.array_equal(functional.dequantize_4bit(codes, state).numpy(), rounded(weight, "nf4", "float32"))
