"""What is found by torch alone: gradients against a plain sum written otherwise, rounding, what each layer costs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mct.bench.jobs.run import open_model
from mct.models.checkpoints.checkpoint import inspect
from mct.models.progress import silent
from mct.models.tasks.examples import Example
from mct.release.inspection.asking.opened import decide, ready
from mct.release.inspection.gradients import integrated_gradients, open_differentiable
from mct.release.inspection.rounding import bits_of, linear_layers, open_module, rounded
from mct.release.inspection.sensitivity import find_sensitivity, layer_of

Specimens = Callable[[str], Any]
TEXT = "where is my order number 12"


def test_gradients_are_those_of_a_plain_sum(tiny_bert: Path) -> None:
    """The same integral by 2,000 even steps, through transformers' own `inputs_embeds`, from [PAD] to the text."""
    from transformers import AutoModelForSequenceClassification

    asked = ready(open_model(tiny_bert))
    told = decide(asked, Example(TEXT, None, TEXT, TEXT), keep=True)
    target = told.decision.target
    found = integrated_gradients(open_differentiable(inspect(tiny_bert), asked.tokenize), told, target)

    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    ids = torch.tensor([told.cuts[0].tokens.ids])
    blank = ids.clone()
    blank[0, 1:-1] = 0
    table = model.get_input_embeddings().weight.detach()
    nothing, whole = table[blank], table[ids]
    steps = (torch.arange(2000) + 0.5) / 2000
    slopes = torch.zeros_like(whole)
    for some in steps.split(100):
        path = (nothing + some[:, None, None] * (whole - nothing)).requires_grad_()
        logits = model(inputs_embeds=path).logits
        others = torch.cat([logits[:, : target.index], logits[:, target.index + 1 :]], dim=1)
        odds = (logits[:, target.index] - others.logsumexp(dim=1)).sum()
        slopes += torch.autograd.grad(odds, path)[0].sum(dim=0, keepdim=True) / 2000
    each = ((whole - nothing) * slopes).sum(dim=-1)[0].numpy()
    wanted = [each[list(places)].sum() for places in told.cuts[0].places]
    assert found.words == pytest.approx(wanted, abs=0.02 * float(np.abs(wanted).max()))
    assert found.gap < 0.02 * abs(sum(wanted)) + 0.01


@pytest.mark.parametrize(
    ("precision", "bits"),
    [("int8", 8), ("int8-static", 8), ("q8_0", 8), ("int4-mixed", 4), ("q4_k_m", 4), ("q5_k_m", 5), ("iq4_nl", 4),
     ("fp32", None), ("f16", None), ("fp16", None)],
)  # fmt: skip
def test_the_bits_of_a_precision(precision: str, bits: int | None) -> None:
    assert bits_of(precision) == bits


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_are_rounded_to_the_nearest_of_so_many_levels_and_come_back(tiny_bert: Path, bits: int) -> None:
    module = open_module(inspect(tiny_bert))
    layers = linear_layers(module)
    layer: Any = layers["model.bert.encoder.layer.0.attention.self.query"]
    before = layer.weight.data.clone()
    with rounded([layer], bits):
        width = 32 if bits == 4 else before.shape[1]
        blocks, was = (each.reshape(len(before), -1, width) for each in (layer.weight.data, before))
        most = was.abs().amax(dim=-1, keepdim=True) / (2 ** (bits - 1) - 1)
        assert ((blocks - was).abs() <= 0.5 * most + 1e-6).all() and (blocks != was).any()
        assert max(len(row.unique()) for row in blocks.reshape(-1, width)) <= 2**bits
    assert torch.equal(layer.weight.data, before) and not layer._forward_pre_hooks


@pytest.mark.parametrize("task", ["sequence-classification", "causal-lm", "pair-scoring"])
def test_each_layer_has_its_cost_and_fewer_bits_cost_more(task: str, specimen: Specimens) -> None:
    checkpoint = inspect(specimen(task).folder)
    asked = ready(open_model(checkpoint.path))
    inputs = [asked.tokenize(TEXT), asked.tokenize("let me talk to a human now")]
    four, eight = (find_sensitivity(checkpoint, bits, inputs, silent) for bits in (4, 8))
    assert four.all > 2 * eight.all > 0
    assert [part.name for part in four.parts] == [part.name for part in eight.parts]
    assert {"layer 0", "layer 1"} <= {part.layer for part in four.parts}
    assert all(part.cost >= 0 for part in four.parts) and max(part.cost for part in four.parts) > 0


def test_layers_by_their_names() -> None:
    names = {
        "model.bert.encoder.layer.11.output.dense": "layer 11", "model.layers.3.mlp.up_proj": "layer 3",
        "transformer.h.0.attn.c_attn": "layer 0", "model.classifier": "", "model.player.2.x": "",
    }  # fmt: skip
    assert {name: layer_of(name) for name in names} == names
