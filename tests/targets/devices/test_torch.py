"""Fewer bits, recorded steps and the sessions that use them, by the code that a GPU runs, on the CPU; and on one."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.devices.torch_device import TorchDevice, torch_device
from mct.targets.devices.torch_loop import Loop
from mct.targets.devices.torch_weights import GROUP, PRECISIONS, lowered, to_4_bits, weight_bytes
from mct.targets.runtimes.generate_torch import open_session as open_generator
from mct.targets.runtimes.run_torch import open_session, put_on
from mct.targets.runtimes.table import Executable, original

DEVICES = [
    "cpu",
    pytest.param("cuda:0", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")),
]
TEXTS = ("hi", "where is my order", "returns please, the third volume arrived damaged and wet")
# The largest error of a layer's outputs, in their spread: rounding to 8 bits of significand, 127 and 7.5 levels a side.
ERRORS = {"fp32": 1e-5, "fp16": 4e-3, "bf16": 3e-2, "int8": 6e-2, "int8-dynamic": 0.12, "int4": 0.6}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rows", [1, 17], ids=["one row", "rows enough for integers"])
def test_each_precision_gives_nearly_the_same_with_less_memory(device: str, rows: int) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(256, 128), torch.nn.Linear(128, 64, bias=False)).requires_grad_(False)
    values = torch.randn(rows, 256)
    wanted, whole = network(values), weight_bytes(network)
    sizes = []
    for precision in PRECISIONS:
        torch.manual_seed(0)
        made = torch.nn.Sequential(torch.nn.Linear(256, 128), torch.nn.Linear(128, 64, bias=False))
        made = lowered(made.requires_grad_(False).to(device), precision)
        kind = {"fp32": torch.float32, "fp16": torch.float16}.get(precision, torch.bfloat16)
        found = made(values.to(device, kind)).float().cpu()
        assert float((found - wanted).abs().max() / wanted.std()) < ERRORS[precision], precision
        sizes.append(weight_bytes(made) / whole)
    assert sizes[0] == 1 and sizes[1] == sizes[2] == 0.5 and 0.25 < sizes[3] == sizes[4] < 0.27 and sizes[5] < 0.17


def test_four_bits_are_the_grid_that_they_say() -> None:
    """By hand: of -8 … 7 times 0.5 every value lies on a level."""
    row = torch.arange(-8, 8).repeat(GROUP // 16).float() * 0.5
    levels, both = to_4_bits(torch.stack([row, -row]))
    assert levels.dtype == torch.int32 and both.shape == (1, 2, 2)
    scales, zeros = both[0, :, 0].float(), both[0, :, 1].float()
    assert torch.equal(levels[0], torch.arange(16).repeat(GROUP // 16).to(torch.int32))
    restored = (levels - 8) * scales[:, None] + zeros[:, None]
    assert torch.equal(restored, torch.stack([row, -row]))


def test_layers_of_other_sizes_are_left_and_a_model_of_none_is_refused() -> None:
    small = torch.nn.Sequential(torch.nn.Linear(256, 64), torch.nn.Linear(64, 3))
    made = lowered(small, "int4")
    assert [type(each).__name__ for each in made.children()] == ["Int4Linear", "Linear"]
    with pytest.raises(RuntimeError, match="no layer of this model"):
        lowered(torch.nn.Sequential(torch.nn.Linear(3, 3)), "int4")


@pytest.mark.parametrize("device", DEVICES)
def test_a_recorded_step_writes_what_the_model_writes(device: str) -> None:
    """transformers' own greedy text, from several prompts in one cache that is rewound between them."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, max_position_embeddings=128, initializer_range=0.15, eos_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config).requires_grad_(False).train(False).to(device)
    recorded, launched = (Loop(model, TorchDevice(device), 64, recorded=each) for each in (True, False))
    for prompt in ([3, 1, 4, 1, 5, 9, 2, 6], [7], [11, 12, 13]):
        whole = model.generate(
            torch.tensor([prompt], device=device), max_new_tokens=12, do_sample=False, pad_token_id=0,
        )[0, len(prompt) :].tolist()  # fmt: skip
        for loop in (recorded, launched):
            coming = loop.tokens(prompt)
            assert [next(coming) for _ in range(12)] == whole


@pytest.mark.parametrize("device", DEVICES)
def test_padded_to_recorded_lengths_it_answers_as_eager(tiny_bert: Path, device: str) -> None:
    executable = original(inspect(tiny_bert))
    tokenize = open_tokenizer(tiny_bert, executable.max_tokens)
    inputs = [tokenize(text) for text in TEXTS]
    eager = open_session(executable, 1)
    graphed = open_session(_with(executable, device, graphs=True), 1)
    for batch in ([inputs[0]], [inputs[2]], inputs, [inputs[0]]):
        np.testing.assert_allclose(graphed(batch)["logits"], eager(batch)["logits"], atol=2e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8", "int8-dynamic"])
def test_a_checkpoint_in_a_lower_precision_answers_much_the_same(tiny_bert: Path, device: str, precision: str) -> None:
    executable = original(inspect(tiny_bert))
    tokenize = open_tokenizer(tiny_bert, executable.max_tokens)
    inputs = [tokenize(text) for text in TEXTS]
    wanted = open_session(executable, 1)(inputs)["logits"]
    found = open_session(_with(executable, device, precision=precision), 1)(inputs)["logits"]
    assert found.dtype == np.float32
    assert list(found.argmax(axis=1)) == list(wanted.argmax(axis=1))
    assert float(np.abs(found - wanted).max() / wanted.std()) < 0.5, "its weights, drawn wide, make much of little"


def test_sizes_that_no_kernel_takes_are_one_line() -> None:
    with pytest.raises(MctError, match="torch cannot run this model in int4 on cpu: no layer"):
        put_on(torch.nn.Sequential(torch.nn.Linear(3, 3)), TorchDevice(), {"precision": "int4"})


@pytest.mark.parametrize("device", DEVICES)
def test_a_language_model_recorded_writes_as_eager(tiny_llama: Path, device: str) -> None:
    executable = original(inspect(tiny_llama))
    tokenize = open_tokenizer(tiny_llama, executable.max_tokens)
    eager, graphed = open_generator(executable, 1), open_generator(_with(executable, device, graphs=True), 1)
    for text in (*TEXTS, TEXTS[0]):
        prompt = tokenize(text)
        wanted = eager.generate(prompt, 20)
        assert graphed.generate(prompt, 20) == wanted
        assert graphed.generate(prompt, 20, frozenset(wanted[5:6])) == wanted[: wanted.index(wanted[5])]


def test_the_cpu_records_nothing() -> None:
    def function() -> int:
        return 5

    assert torch_device("cpu").captured(function) is function
    assert torch_device("cuda:GPU-aaaa").name == "cuda:0"


def _with(executable: Executable, device: str, **settings: Any) -> Executable:
    told: Mapping[str, Any] = {**executable.settings, **settings}
    return replace(executable, settings=told, device=device)
