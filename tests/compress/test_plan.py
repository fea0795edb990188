"""A plan is readable before anything runs, and an impossible one is refused with what would work."""

from pathlib import Path

import pytest

from mct import MctError
from mct.compress.plan import make_plan, supported
from mct.models.checkpoint import Checkpoint
from mct.models.tasks import Head

CHECKPOINT = Checkpoint(
    Path("router"), "BertForSequenceClassification", "bert", "sequence-classification", "full fine-tuning",
    (Head("logits", "label", ("a", "b")),), 512, 1, 1.0,
)  # fmt: skip


def test_int8_means_each_formats_own_eight_bits() -> None:
    plan = make_plan(CHECKPOINT, ["onnx", "openvino", "gguf"], ["int8"])
    assert [route.name for route in plan.routes] == ["onnx-int8", "openvino-int8", "gguf-q8_0"]


def test_a_route_starts_at_the_checkpoint_and_each_pass_takes_what_the_last_gave() -> None:
    for kind, precisions in supported(CHECKPOINT.task).items():
        for route in make_plan(CHECKPOINT, [kind], precisions).routes:
            forms = ["checkpoint", *(step.gives for step in route.passes)]
            assert [step.takes for step in route.passes] == forms[:-1]
            assert forms[-1] == route.name


def test_asking_twice_makes_one() -> None:
    assert len(make_plan(CHECKPOINT, ["gguf", "gguf"], ["int8", "q8_0"]).routes) == 1


def test_what_no_pass_makes_is_refused_with_what_works() -> None:
    with pytest.raises(MctError, match="cannot hold int3") as refused:
        make_plan(CHECKPOINT, ["onnx"], ["int3"])
    assert "int8" in refused.value.hint
    with pytest.raises(MctError) as unknown:
        make_plan(CHECKPOINT, ["onx"], ["int8"])
    assert "onnx" in unknown.value.hint
