"""A decoder's ONNX fp32 to 8-bit or 4-bit weights, block by block, in ONNX Runtime's own operators.

Every block of a row has its own scale and zero point, and the products take them as they are: nothing is unpacked to
float first. At 4 bits the word embeddings and the output matrix stay at 8: they touch every token, and what they lose
no later layer mends. Weights that were trained in 4 bits keep their blocks and their integers. The routers of experts
and the head of a reward model, a few rows each, stay in float. Tied embeddings stay tied: their bytes stand in the file
once.

Why not dynamic INT8, as for encoders: with one scale for a whole row of weights and one for a whole input it had ten
times the divergence on TinyStories-656K, and took twice as long a token. Operators: MatMulNBits, GatherBlockQuantized
and QMoE in onnxruntime's docs/ContribOperators.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mct.compress.onnx.companions import write_companions
from mct.compress.onnx.graphs.blocks import Blocks, fitting_blocks, pack, quantise_blocks
from mct.compress.onnx.graphs.family import LOGITS, UNBOUND
from mct.compress.onnx.graphs.graph import MICROSOFT, load, save
from mct.compress.onnx.graphs.low_rank import SUFFIXES as LOW_RANK
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.kept_files import carry

MODELS = {8: "onnx/model_quantized.onnx", 4: "onnx/model_q4.onnx"}

# On TinyStories-656K longer blocks gain few bytes and lose much: 8-bit blocks of 128 had twice the divergence of 32 and
# were slower, 4-bit ones of 128 lost 3 points more of equal top tokens; blocks of 16 gain 3 for a tenth more bytes.
BLOCK = 32

# Activations in 8 bits, scaled block by block: the level at which processors multiply small integers. Ten times as fast
# as float activations at a batch of one token, for a divergence that is hardly larger at 4 bits.
INT8_ACTIVATIONS = 4

KEPT = (".gate.weight", ".shared_expert_gate.weight", "score.weight", ".wpe.weight", *LOW_RANK)


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `onnx/model_quantized.onnx` (`options["bits"]` = 8) or `onnx/model_q4.onnx` (4)."""
    bits = int(options["bits"])
    model = load(source.folder / source.model)
    kept = quantise(model, bits)
    save(model, draft / MODELS[bits])
    carry(source, draft)
    write_companions(resources.checkpoint, model, MODELS[bits], draft)
    notes = {"weights": f"int{bits}", "embeddings_and_output": "int8", "block": BLOCK, "fp32": kept}
    return Product(draft, MODELS[bits], source.settings, notes)


def quantise(model: onnx.ModelProto, bits: int) -> list[str]:
    """Replace, in place, every matrix by blocks of `bits`; gives the names of those that stay in float."""
    graph = model.graph
    constants = Constants({value.name: value for value in graph.initializer})
    nodes, kept = [], []
    for node in graph.node:
        name = _matrix(node)
        if name not in constants.tensors:
            nodes.append(node)
        elif name.endswith(KEPT) or not (replaced := _OPERATORS[node.op_type][1](constants, node, bits)):
            nodes.append(node)
            kept.append(name)
        else:
            nodes += replaced
    rewrite(graph, [*constants.shaping, *nodes], constants.tensors)
    return sorted(set(kept))


def rewrite(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]) -> None:
    """The graph's nodes, and those of the constants that they use, in the order in which they came."""
    used = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(value for name, value in constants.items() if name in used)


@dataclass(frozen=True)
class Constants:
    """The graph's constants, old and new, and nodes that give a constant a second shape."""

    tensors: dict[str, onnx.TensorProto]
    shaping: list[onnx.NodeProto] = field(default_factory=list)

    def array(self, name: str) -> NDArray[np.float32]:
        return numpy_helper.to_array(self.tensors[name])

    def keep(self, name: str, value: NDArray[Any]) -> str:
        self.tensors[name] = numpy_helper.from_array(value, name)
        return name

    def reshaped(self, name: str, shape: tuple[int, ...]) -> str:
        """The constant in another shape: a node, so that the bytes stand in the file once."""
        target = self.keep(f"{name}_shape", np.array(shape, np.int64))
        self.shaping.append(helper.make_node("Reshape", [name, target], [f"{name}_blocks"], name=f"{name}_reshape"))
        return f"{name}_blocks"


def _matrix(node: onnx.NodeProto) -> str:
    """The weight of a node that can be quantised; "" for others."""
    place = _OPERATORS[node.op_type][0] if node.op_type in _OPERATORS else None
    return "" if place is None else str(node.input[place])


def _product(constants: Constants, node: onnx.NodeProto, bits: int) -> list[onnx.NodeProto]:
    return [product_in_blocks(constants, node, 8 if node.output[0] in {LOGITS, UNBOUND} else bits)]


def product_in_blocks(constants: Constants, node: onnx.NodeProto, bits: int, block: int = BLOCK) -> onnx.NodeProto:
    """The node for a MatMul whose constant is (in, out): the blocks run along `in`, and are those of training if
    any."""
    name = node.input[1]
    weights = constants.array(name).T
    blocks, block = fitting_blocks(weights, bits, block)
    names = [
        constants.keep(f"{name}_q{bits}", pack(blocks.values, bits)),
        constants.keep(f"{name}_scales", blocks.scales),
        constants.keep(f"{name}_zeros", pack(blocks.zeros, bits)),
    ]
    return _matmul(node, names, weights.shape, bits, block)


def _matmul(
    node: onnx.NodeProto, names: list[str], shape: tuple[int, ...], bits: int, block: int = BLOCK
) -> onnx.NodeProto:
    rows, columns = shape
    return helper.make_node(
        "MatMulNBits", [node.input[0], *names], list(node.output), name=node.name, domain=MICROSOFT,
        K=columns, N=rows, bits=bits, block_size=block, accuracy_level=INT8_ACTIVATIONS,
    )  # fmt: skip


def _table(constants: Constants, name: str, bits: int = 8) -> tuple[list[str], tuple[int, ...]]:
    """Word embeddings in 8 or 4 bits: names of values (words, width), scales and zeros, made once, and their shape.

    No names where the width is no multiple of a block.
    """
    weights = constants.array(name)
    names = [f"{name}_q{bits}", f"{name}_scales", f"{name}_zeros"]
    if weights.shape[1] % BLOCK:
        return [], weights.shape
    if names[0] not in constants.tensors:
        blocks = quantise_blocks(weights, bits, BLOCK)
        constants.keep(names[0], pack(blocks.values, bits).reshape(len(weights), -1))
        constants.keep(names[1], blocks.scales)
        constants.keep(names[2], pack(blocks.zeros, bits))
    return names, weights.shape


def _look_up(constants: Constants, node: onnx.NodeProto, bits: int) -> list[onnx.NodeProto]:
    return look_up_in_blocks(constants, node, 8)


def look_up_in_blocks(constants: Constants, node: onnx.NodeProto, bits: int) -> list[onnx.NodeProto]:
    """The node for a Gather of a table's rows; none where the table's width is no multiple of a block."""
    names, _ = _table(constants, node.input[0], bits)
    if not names:
        return []
    values, scales, zeros = names
    made = helper.make_node(
        "GatherBlockQuantized", [values, node.input[1], scales, zeros], list(node.output), name=node.name,
        domain=MICROSOFT, bits=bits, block_size=BLOCK, gather_axis=0, quantize_axis=1,
    )  # fmt: skip
    return [made]


def _tied_product(constants: Constants, node: onnx.NodeProto, bits: int) -> list[onnx.NodeProto]:
    """The output matrix that is the word embeddings: the same bytes, cut into blocks."""
    names, shape = _table(constants, node.input[1])
    if not names:
        return []
    values = constants.reshaped(names[0], (shape[0], shape[1] // BLOCK, BLOCK))
    return [_matmul(node, [values, *names[1:]], shape, 8)]


def _experts(constants: Constants, node: onnx.NodeProto, bits: int) -> list[onnx.NodeProto]:
    """Both matrices of every expert, (experts, out, in), in the same blocks along `in`."""
    names = [node.input[2], node.input[4]]
    arrays = [constants.array(name) for name in names]
    if any(array.shape[-1] % BLOCK for array in arrays):
        return []
    first, second = (
        _expert_constants(constants, name, quantise_blocks(array, bits, BLOCK), bits)
        for name, array in zip(names, arrays, strict=True)
    )
    inputs = [*node.input[:2], *first[:2], "", *second[:2], "", "", "", "", first[2], second[2]]
    made = helper.make_node("QMoE", inputs, list(node.output), name=node.name, domain=MICROSOFT)
    made.attribute.extend(node.attribute)
    made.attribute.extend(
        [helper.make_attribute("expert_weight_bits", bits), helper.make_attribute("block_size", BLOCK)]
    )
    return [made]


def _expert_constants(constants: Constants, name: str, blocks: Blocks, bits: int) -> tuple[str, str, str]:
    rows = blocks.values.reshape(*blocks.values.shape[:2], -1)
    return (
        constants.keep(f"{name}_q{bits}", pack(rows, bits)),
        constants.keep(f"{name}_scales", blocks.scales),
        constants.keep(f"{name}_zeros", pack(blocks.zeros, bits)),
    )


# By operator: which input is the weight, and what takes its place.
_OPERATORS = {
    "MatMul": (1, _product),
    "FusedMatMul": (1, _tied_product),
    "Gather": (0, _look_up),
    "MoE": (2, _experts),
}
