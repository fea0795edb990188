"""An encoder's OpenVINO fp32 to weights of 4 bits in blocks, which the runtime multiplies as they are.

Written by hand rather than by NNCF's weight compression, which keeps the last product of a graph at 8 bits, whatever
that is once the heads are left out, and has one width of block for all products. Weights that were trained on a grid of
4 bits keep it, bit for bit. Of a mixture the products that cost most keep 8 bits (mct.compress.mixed.sensitivity). The
table of words is stored in 8 bits a row, as in ONNX INT8; norms and heads stay in float.

Where a processor has AVX-512 or AVX-VNNI the runtime rounds what goes into these products to 8 bits.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mct.compress.mixed.sensitivity import choose, require_known
from mct.compress.openvino.export import MODEL, save
from mct.compress.openvino.head import PRODUCT, head_products
from mct.compress.openvino.length_buckets import buckets_for
from mct.compress.plan.passes import Product, Resources
from mct.models.training.grids import INT8, Grid, Levels, levels_of, nearest_levels, trained_grid
from mct.targets.runtimes.private_openvino import ov

BITS, BYTES = 4, 8
op = ov.opset13

# As in ONNX INT8: smaller tables gain nothing worth three more nodes. Narrower ones are no words.
LEAST_TABLE_ROWS, LEAST_TABLE_WIDTH = 1024, 32


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `openvino_model.xml` and `.bin` with the layers' weights in 4 bits.

    `options["recover"]`, where there is one: the costliest products keep 8 bits until that share of the loss is won
    back.
    """
    require_known(options)
    parts = products(_read(source))
    kept: Collection[str] = ()
    notes: dict[str, Any] = {"weights": "int4"}
    if "recover" in options:
        choice = choose(
            source, parts, lambda few, folder: _write(source, folder, options, dict.fromkeys(few, BITS), resources),
            options["recover"], "openvino", resources,
        )  # fmt: skip
        kept, notes = choice.kept, notes | choice.notes()
    bits = {part: BYTES if part in kept else BITS for part in parts}
    product = _write(source, draft, options, bits, resources)
    return replace(product, notes={**notes, **product.notes})


def _read(source: Product) -> ov.Model:
    graph = ov.Core().read_model(source.folder / source.model)
    fold(graph)
    return graph


def _write(
    source: Product, draft: Path, options: Mapping[str, Any], bits: Mapping[str, int], resources: Resources
) -> Product:
    """The model with each product's weights in its bits."""
    graph = _read(source)
    blocks = quantise_products(graph, int(options["block"]), bits)
    tables = quantise_tables(graph)
    save(graph, draft / MODEL)
    settings = {**source.settings, "buckets": list(buckets_for(resources))}
    return Product(draft, MODEL, settings, {"blocks": blocks, "tables": tables})


def products(graph: ov.Model) -> list[str]:
    """The products that have weights, but for the heads, in the order of the graph."""
    heads = head_products(graph)
    named = ((node.get_friendly_name(), product_weights(node)) for node in graph.get_ordered_ops())
    return [name for name, weights in named if weights is not None and name not in heads]


def fold(graph: ov.Model) -> None:
    """Compute, in place, what hangs on constants alone: every product then has its weights beside it."""
    from openvino.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(graph)


def quantise_products(graph: ov.Model, block: int, bits: Mapping[str, int]) -> list[int]:
    """Put the weights of products into so many bits, in place; gives the sizes of the blocks of 4 bits."""
    made, sizes = dict[str, ov.Node](), set[int]()
    for node in graph.get_ordered_ops():
        wanted, weights = bits.get(node.get_friendly_name(), 0), product_weights(node)
        if not wanted or weights is None:
            continue
        name = node.input_value(1).get_node().get_friendly_name()  # some families' layers share their weights
        if name not in made:
            levels = block_levels(weights, block) if wanted == BITS else levels_of(weights, INT8)
            sizes |= {levels.values.shape[-1]} if wanted == BITS else set()
            made[name] = _restored(levels, wanted)
        _replace(node, op.matmul(node.input_value(0), made[name], node.get_attributes()["transpose_a"], True))
    return sorted(sizes)


def block_levels(weights: NDArray[np.float32], block: int) -> Levels:
    """Levels of weights (rows, columns): as they were trained, else of blocks of `block`, or rows where that is
    none."""
    if grid := trained_grid(weights, BITS):
        return levels_of(weights, grid)
    columns = weights.shape[1]
    return nearest_levels(weights, Grid(BITS, block if columns % block == 0 else columns))


def quantise_tables(graph: ov.Model) -> int:
    """Put every large table that rows are looked up in into 8 bits a row, in place; gives how many."""
    tables = 0
    for node in graph.get_ordered_ops():
        values = _constant(node, 0) if node.get_type_name() == "Gather" else None
        if values is None or not _is_table(values):
            continue
        levels = levels_of(values, INT8)
        indices, axis = node.input_value(1), node.input_value(2)
        rows = op.convert(op.gather(op.constant(levels.values[:, 0]), indices, axis), "f32")
        _replace(node, op.multiply(rows, op.gather(op.constant(levels.scales), indices, axis)))
        tables += 1
    return tables


def _is_table(values: NDArray[Any]) -> bool:
    if values.dtype != np.float32 or values.ndim != 2:
        return False
    return bool(values.shape[0] >= LEAST_TABLE_ROWS and values.shape[1] >= LEAST_TABLE_WIDTH)


def product_weights(node: ov.Node) -> NDArray[np.float32] | None:
    """The weights of a product, (out, in); None of other operations."""
    values = _constant(node, 1) if node.get_type_name() == PRODUCT else None
    if values is None or values.ndim != 2:
        return None
    return np.ascontiguousarray(values if node.get_attributes()["transpose_b"] else values.T)


def _constant(node: ov.Node, place: int) -> NDArray[Any] | None:
    """What an operation reads as its input `place`, where that is a constant."""
    given = node.input_value(place).get_node()
    return np.array(given.get_data()) if given.get_type_name() == "Constant" else None


def _restored(levels: Levels, bits: int) -> ov.Node:
    """The weights (rows, columns) as the runtime's own compressed products are written: whole numbers, times scales."""
    rows, blocks, width = levels.values.shape
    half = levels.scales.astype(np.float16)
    exact = bool(np.array_equal(half.astype(np.float32), levels.scales))
    scales = (half if exact else levels.scales)[..., None]
    whole = op.convert(
        op.constant(levels.values, ov.Type.i4 if bits == BITS else ov.Type.i8), "f16" if exact else "f32"
    )
    scaled = op.reshape(op.multiply(whole, op.constant(scales)), [rows, blocks * width], special_zero=False)
    return op.convert(scaled, "f32") if exact else scaled


def _replace(old: ov.Node, new: ov.Node) -> None:
    new.set_friendly_name(old.get_friendly_name())
    for target in old.output(0).get_target_inputs():
        target.replace_source_output(new.output(0))
