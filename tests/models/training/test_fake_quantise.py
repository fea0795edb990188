import base64
import copy
from dataclasses import replace

import gguf
import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession
from onnxruntime.quantization import QuantType, quantize_dynamic

from mct import MctError
from mct.models.scenarios.classifiers.encoders import from_scratch
from mct.models.training.classification import Classifier, Training, accuracy, finetune, logits_of
from mct.models.training.fake_quantise import (
    INT4,
    INT8,
    Grid,
    fake_quantised,
    on_grid,
    quantised_layers,
    record,
    rounded_activations,
    scales_of,
)

LABELS = ("cold", "hot")
WORDS = {"cold": ("snowing", "freezing", "icy", "frosty"), "hot": ("boiling", "burning", "scorching", "glowing")}
ROWS = [
    {"text": f"it is {word} {place}", "label": label}
    for place in ("here", "today", "in the room", "on the mountain", "again", "tonight", "by the lake", "at home")
    for label, words in WORDS.items()
    for word in words
]
TRAINING = Training(epochs=7, learning_rate=3e-3, batch=8, max_tokens=16)
TWO_BITS = Grid(2)


def drawn(seed: int, rows: int = 6, width: int = 64) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * 0.05


grids = st.builds(Grid, st.integers(2, 8), st.sampled_from([0, 16, 32]))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), grids)
def test_what_lies_on_the_grid_stays_bit_for_bit(seed: int, grid: Grid) -> None:
    once = on_grid(drawn(seed), grid)
    assert torch.equal(on_grid(once, grid), once)
    assert torch.equal(scales_of(once, grid), scales_of(drawn(seed), grid))
    assert all(len(row.unique()) <= 2**grid.bits for row in once.reshape(-1, grid.block or 64))


@pytest.mark.parametrize("grid", [INT4, INT8])
def test_zeros_stay_zeros(grid: Grid) -> None:
    assert torch.equal(on_grid(torch.zeros(2, 64), grid), torch.zeros(2, 64))


def test_q4_0_of_gguf_leaves_weights_on_the_grid_as_they_are() -> None:
    weights = on_grid(drawn(1), INT4).numpy()
    kind = gguf.GGMLQuantizationType.Q4_0
    assert np.array_equal(gguf.quants.dequantize(gguf.quants.quantize(weights, kind), kind), weights)


def product(weights: np.ndarray) -> onnx.ModelProto:
    """x @ weights."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, weights.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, weights.shape[1]])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_onnx_runtimes_dynamic_int8_has_our_weights_and_rounds_what_comes_in_as_we_do(tmp_path) -> None:
    """Its product of an input with rounded weights is ours, but for the order of a sum of 64 products."""
    weights = on_grid(drawn(2), INT8)
    options = {"DefaultTensorType": TensorProto.FLOAT}
    quantize_dynamic(
        product(weights.T.contiguous().numpy()), tmp_path / "q.onnx", per_channel=True, weight_type=QuantType.QInt8,
        extra_options=options,
    )  # fmt: skip
    stored = {each.name: numpy_helper.to_array(each) for each in onnx.load(tmp_path / "q.onnx").graph.initializer}
    assert np.array_equal((stored["w_quantized"].astype(np.float32) * stored["w_scale"]).T, weights.numpy())
    values = drawn(3, rows=1) * 30
    session = InferenceSession(tmp_path / "q.onnx", providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": values.numpy()})
    assert np.allclose(answer, (rounded_activations(values) @ weights.T).numpy(), atol=2e-2)  # saturating processors


def test_activations_have_256_levels_and_keep_zero() -> None:
    values = torch.linspace(-1.0, 3.0, 1_000)
    rounded = rounded_activations(torch.cat([values, torch.zeros(1)]))
    assert len(rounded.unique()) <= 256
    assert rounded[-1] == 0
    assert (rounded[:-1] - values).abs().max() <= 4 / 255 * 0.51


@pytest.fixture(scope="module")
def learned() -> Classifier:
    """Its stack's weights begin eight times as large as usual: by the usual ones it says next to nothing."""
    classifier = from_scratch([row["text"] for row in ROWS], LABELS, seed=0)
    with torch.no_grad():
        for layer in quantised_layers(classifier.model).values():
            layer.weight.mul_(8)
    finetune(classifier, ROWS, TRAINING)
    return classifier


def copied(classifier: Classifier) -> Classifier:
    return replace(classifier, model=copy.deepcopy(classifier.model))


def test_training_on_the_grid_ends_on_it_and_leaves_an_ordinary_model(learned: Classifier) -> None:
    model = copied(learned)
    names = set(model.model.state_dict())
    with fake_quantised(model.model, INT8):
        finetune(model, ROWS, replace(TRAINING, epochs=1))
        within = accuracy(model, ROWS)
    assert set(model.model.state_dict()) == names
    layers = quantised_layers(model.model)
    assert len(layers) == 12, "query, key, value, output and two of the feed-forward network, in two layers"
    for layer in layers.values():
        assert torch.equal(on_grid(layer.weight, INT8), layer.weight)
        assert not layer._forward_pre_hooks
    assert within == accuracy(model, ROWS) == 1.0


def loss(classifier: Classifier) -> float:
    wanted = torch.tensor([LABELS.index(row["label"]) for row in ROWS])
    return float(torch.nn.functional.cross_entropy(logits_of(classifier, [row["text"] for row in ROWS]), wanted))


def test_what_two_bits_cost_training_on_them_wins_back(learned: Classifier) -> None:
    rounded, trained = copied(learned), copied(learned)
    with fake_quantised(rounded.model, TWO_BITS):
        pass
    with fake_quantised(trained.model, TWO_BITS):
        finetune(trained, ROWS, TRAINING)
    assert loss(rounded) > 1.5 * loss(learned)
    assert loss(trained) < loss(learned) + (loss(rounded) - loss(learned)) / 2


def test_the_record_has_the_scales_of_each_layer(learned: Classifier) -> None:
    model = copied(learned).model
    with fake_quantised(model, INT4):
        pass
    told = record(model, INT4)
    assert told["grid"] == {"bits": 4, "block": 32, "activations": False}
    for name, layer in quantised_layers(model).items():
        scales = told["scales"][name]
        values = np.frombuffer(base64.b64decode(scales["base64"]), scales["dtype"]).reshape(scales["shape"])
        assert np.array_equal(values.astype(np.float32), scales_of(layer.weight.detach(), INT4).numpy())


def test_rows_that_are_no_whole_blocks_are_refused() -> None:
    with pytest.raises(MctError, match="no whole number of blocks"):
        on_grid(torch.zeros(2, 48), INT4)
