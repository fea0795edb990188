"""An encoder's ONNX fp32 to weights of 4 bits in blocks: half the bytes of INT8 in its layers.

What rounding costs hangs on the model: nothing for some classifiers, much for embedders and rerankers (0.85 of
similarity kept, against 0.97 at 8 bits, optimum-intel#1957), and more the longer the blocks. Weights that were trained
on a grid of 4 bits keep it, block by block and bit for bit. Of a mixture the products that cost most keep 8 bits: which
these are is measured on the user's texts (mct.compress.mixed.sensitivity). The table of words stays at 8 bits a row,
norms and heads in float.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from mct.compress.mixed.sensitivity import choose, require_known
from mct.compress.onnx.graphs.graph import load, save
from mct.compress.onnx.quantise import is_table_look_up, products, quantise_tables
from mct.compress.onnx.quantise_decoder import Constants, look_up_in_blocks, product_in_blocks, rewrite
from mct.compress.onnx.quantise_static import split_attention
from mct.compress.plan.passes import Product, Resources

MODEL = "onnx/model_q4.onnx"
BITS, BYTES, FLOAT = 4, 8, 0


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `onnx/model_q4.onnx`, whose inputs and outputs are those of the fp32 graph.

    `options["recover"]`, where there is one: the costliest products keep 8 bits until that share of the loss is won
    back.
    """
    require_known(options)
    parts = products(_split(source), resources.checkpoint.network)
    kept: Collection[str] = ()
    notes: dict[str, Any] = {"weights": "int4", "activations": "int8 in blocks"}
    if "recover" in options:
        choice = choose(
            source, parts, lambda few, folder: _write(source, folder, options, _bits(parts, few, FLOAT))[0],
            options["recover"], "onnx", resources,
        )  # fmt: skip
        kept, notes = choice.kept, notes | choice.notes()
    product, more = _write(source, draft, options, _bits(parts, set(parts) - set(kept), BYTES))
    return replace(product, notes=notes | more)


def _split(source: Product) -> onnx.ModelProto:
    model = load(source.folder / source.model)
    split_attention(model)
    return model


def _write(
    source: Product, draft: Path, options: Mapping[str, Any], bits: Mapping[str, int]
) -> tuple[Product, dict[str, Any]]:
    """The model with each weight in its bits, and what is noted of that."""
    model = _split(source)
    if options["table"] == BITS:
        quantise_tables_in_blocks(model)
    tables = quantise_tables(model)
    blocks = quantise_products(model, int(options["block"]), bits)
    save(model, draft / MODEL)
    return Product(draft, MODEL, source.settings), {"blocks": blocks, "tables": tables}


def quantise_tables_in_blocks(model: onnx.ModelProto) -> None:
    """Put every large table that rows are looked up in into blocks of 4 bits, in place, where its width allows it."""
    constants = Constants({value.name: value for value in model.graph.initializer})
    nodes = []
    for node in model.graph.node:
        made = look_up_in_blocks(constants, node, BITS) if is_table_look_up(node, constants.tensors) else []
        nodes += made or [node]
    rewrite(model.graph, nodes, constants.tensors)


def _bits(parts: Sequence[str], few: Collection[str], others: int) -> dict[str, int]:
    return {part: BITS if part in few else others for part in parts}


def quantise_products(model: onnx.ModelProto, block: int, bits: Mapping[str, int]) -> list[int]:
    """Put weights into blocks of so many bits (0 leaves them), in place; gives the sizes of the blocks of 4 bits."""
    constants = Constants({value.name: value for value in model.graph.initializer})
    sizes, nodes = set[int](), []
    for node in model.graph.node:
        wanted = bits.get(node.input[1], 0) if node.op_type == "MatMul" else 0
        if wanted:
            node = product_in_blocks(constants, node, wanted, block)
            sizes |= {each.i for each in node.attribute if each.name == "block_size" and wanted == BITS}
        nodes.append(node)
    rewrite(model.graph, nodes, constants.tensors)
    return sorted(sizes)
