"""Every format made for every kind of machine: what is really written, and that it computes right where it is meant to.

Machines are described, so that each file is the same on whichever the tests run. Answers are read in a process of its
own under ONEDNN_MAX_CPU_ISA=AVX2, which takes VNNI from OpenVINO on any x86 processor that has it: the kernels that
saturate run wherever the tests do. ONNX Runtime and llama.cpp know no such switch: of these only files are looked at.
"""

import functools
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest

from mct.compress.gguf import export_encoder as export_gguf
from mct.compress.gguf import quantise as quantise_gguf
from mct.compress.onnx import export_decoder as export_onnx_lm
from mct.compress.onnx import export_encoder as export_onnx
from mct.compress.onnx import quantise as quantise_onnx
from mct.compress.onnx import quantise_decoder as quantise_onnx_lm
from mct.compress.onnx import quantise_static as quantise_onnx_static
from mct.compress.openvino import export as export_openvino
from mct.compress.openvino import export_lm as export_openvino_lm
from mct.compress.openvino import quantise as quantise_openvino
from mct.compress.openvino import quantise_accurate as quantise_openvino_accurate
from mct.compress.openvino import quantise_lm as quantise_openvino_lm
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.calibration import calibration_inputs
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.tokens import Tokens
from mct.targets.machine import described_machine, probe_machine
from mct.targets.runtimes.table import open_session, original, runtime_for

SEVEN_BITS = {"AVX2": ("x86_64", ("avx2", "fma")), "AVX-512": ("x86_64", ("avx2", "fma", "avx512f"))}
EIGHT_BITS = {
    "VNNI": ("x86_64", ("avx2", "fma", "avx512f", "avx512_vnni")),
    "AVX-VNNI": ("x86_64", ("avx2", "fma", "avx_vnni")),
    "ARM": ("aarch64", ("asimd",)),
    "ARM with dot products": ("aarch64", ("asimd", "asimddp")),
}
MACHINES = SEVEN_BITS | EIGHT_BITS

WORDS = ("order", "return", "Berserk", "damaged", "Osaka", "shipping")
TEXTS = tuple(" ".join(words[: 1 + place % 3]) for place, words in enumerate(itertools.permutations(WORDS, 3)))

Run = Callable[..., Product]
Make = Callable[[str], Product]


def resources(folder: Path, machine: str = "", rows: int = 12) -> Resources:
    data = Dataset("texts.jsonl", tuple({"text": text} for text in TEXTS[:rows]), "0" * 64)
    meant = described_machine(*MACHINES[machine]) if machine else probe_machine()
    return Resources(inspect(folder), data, meant, seed=0)


@pytest.fixture(scope="module")
def llama(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of one layer with random weights."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.2, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("machines") / "llama"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def exported(tiny_bert: Path, llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """What each quantiser starts from, made once."""

    @functools.cache
    def product(form: str) -> Product:
        draft, start = tmp_path_factory.mktemp(form), Product(tiny_bert, "")
        if form == "openvino":
            return export_openvino.run(product("onnx"), draft, {}, resources(tiny_bert))
        if form.endswith("-lm"):
            exporter = {"onnx-lm": export_onnx_lm, "openvino-lm": export_openvino_lm}[form]
            return exporter.run(Product(llama, ""), draft, {}, resources(llama))
        return {"onnx": export_onnx, "gguf": export_gguf}[form].run(start, draft, {}, resources(tiny_bert))

    return product


# -- what is written ------------------------------------------------------------------------------------------------


def onnx_weights(product: Product) -> list[np.ndarray]:
    """The matrices of products, not the look-up table, which is scaled row by row and multiplied with nothing."""
    graph = onnx.load(product.folder / product.model).graph
    looked_up = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    matrices = (each for each in graph.initializer if each.data_type == onnx.TensorProto.INT8 and len(each.dims) == 2)
    return [onnx.numpy_helper.to_array(each) for each in matrices if each.name not in looked_up]


def openvino_weights(product: Product) -> list[np.ndarray]:
    """The stored bytes that lie behind a product's second side."""
    graph, found = ov.Core().read_model(product.folder / product.model), []
    for node in graph.get_ops():
        if node.get_type_name() == "MatMul":
            source = node.input_value(1).get_node()
            while source.get_type_name() in {"Multiply", "Convert"}:
                source = source.input_value(0).get_node()
            if source.get_type_name() == "Constant" and source.get_element_type() == ov.Type.i8:
                found.append(source.data)
    return found


BYTES: dict[str, tuple[str, Run, Callable[[Product], list[np.ndarray]]]] = {
    "onnx-int8": ("onnx", quantise_onnx.run, onnx_weights),
    "onnx-int8-static": ("onnx", quantise_onnx_static.run, onnx_weights),
    "openvino-int8": ("openvino", quantise_openvino.run, openvino_weights),
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("form", BYTES)
def test_weights_that_are_multiplied_as_bytes_have_the_bits_that_the_machine_adds_up(
    form: str, machine: str, exported: Make, tiny_bert: Path, tmp_path: Path
) -> None:
    source, run, weights = BYTES[form]
    product = run(exported(source), tmp_path, {}, resources(tiny_bert, machine))
    found = weights(product)
    assert len(found) >= 8, "two layers of at least four products"
    largest = max(int(np.abs(each.astype(int)).max()) for each in found)
    assert largest <= 64 if machine in SEVEN_BITS else 120 <= largest <= 128
    assert product.notes["reduce_range"] is (machine in SEVEN_BITS)


@pytest.mark.parametrize("machine", ["AVX2", "VNNI"])
def test_accurate_int8_has_the_same_bits(machine: str, exported: Make, tiny_bert: Path, tmp_path: Path) -> None:
    given = resources(tiny_bert, machine, rows=len(TEXTS))
    product = quantise_openvino_accurate.run(exported("openvino"), tmp_path, {"max_drop": 0.5}, given)
    largest = max(int(np.abs(each.astype(int)).max()) for each in openvino_weights(product))
    assert largest <= 64 if machine in SEVEN_BITS else 120 <= largest <= 128
    assert product.notes["reduce_range"] is (machine in SEVEN_BITS)


@pytest.mark.parametrize("machine", MACHINES)
def test_static_activations_have_the_signs_that_the_machine_multiplies_fastest(
    machine: str, exported: Make, tiny_bert: Path, tmp_path: Path
) -> None:
    product = quantise_onnx_static.run(exported("onnx"), tmp_path, {}, resources(tiny_bert, machine))
    graph = onnx.load(product.folder / product.model).graph
    kinds = {value.name: value.data_type for value in graph.initializer}
    signs = {kinds[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"}
    assert signs == {onnx.TensorProto.INT8 if machine.startswith("ARM") else onnx.TensorProto.UINT8}


BLOCKS: dict[str, tuple[str, Run, Mapping[str, Any]]] = {
    "onnx-int8": ("onnx-lm", quantise_onnx_lm.run, {"bits": 8}),
    "onnx-int4": ("onnx-lm", quantise_onnx_lm.run, {"bits": 4}),
    "openvino-int8": ("openvino-lm", quantise_openvino_lm.run, {"bits": 8}),
    "openvino-int4": ("openvino-lm", quantise_openvino_lm.run, {"bits": 4}),
    "gguf-q8_0": ("gguf", quantise_gguf.run, {"type": "Q8_0"}),
    "gguf-q4_k_m": ("gguf", quantise_gguf.run, {"type": "Q4_K_M"}),
}


@pytest.mark.parametrize("form", BLOCKS)
def test_blocks_and_compressed_weights_are_one_file_for_every_machine(
    form: str, exported: Make, tiny_bert: Path, llama: Path, tmp_path: Path
) -> None:
    source, run, settings = BLOCKS[form]
    folder, files = llama if source.endswith("-lm") else tiny_bert, []
    for machine in MACHINES:
        (draft := tmp_path / machine).mkdir()
        product = run(exported(source), draft, settings, resources(folder, machine))
        files.append({file.name: file.read_bytes() for file in sorted(draft.rglob("*")) if file.is_file()})
        assert product.model
    assert all(each == files[0] for each in files[1:])


# -- what is computed -----------------------------------------------------------------------------------------------

ASK = """
import json, sys
from pathlib import Path
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.run_openvino import open_session
from mct.targets.runtimes.table import Executable

inputs = [Tokens(*each) for each in json.loads(sys.argv[1])]
answers = {}
for folder in sys.argv[2:]:
    settings = {"pad_id": 0, "buckets": [8, 16]}
    given = Executable(Path(folder), "openvino_model.xml", "sequence-classification", 3, 64, settings)
    session = open_session(given, 1)
    answers[folder] = [session([tokens])["logits"][0].tolist() for tokens in inputs]
print(json.dumps(answers))
"""


def asked(inputs: list[Tokens], folders: list[Path], limit: str) -> dict[Path, np.ndarray]:
    """Logits (inputs, labels) by each folder's model, under `limit`."""
    given = json.dumps([[tokens.ids, tokens.type_ids] for tokens in inputs])
    done = subprocess.run(
        [sys.executable, "-c", ASK, given, *map(str, folders)],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": limit}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {Path(folder): np.array(logits) for folder, logits in json.loads(done.stdout).items()}


@pytest.mark.skipif(probe_machine().architecture != "x86_64", reason="the switch is one of x86 processors")
def test_openvino_int8_made_for_a_machine_without_vnni_is_right_on_one(
    exported: Make, tiny_bert: Path, tmp_path: Path
) -> None:
    """Off by a few hundredths of the answers' range; were eight bits no worse, this would show nothing."""
    folders = {name: tmp_path / name for name in ("AVX2", "VNNI")}
    for name, folder in folders.items():
        folder.mkdir()
        quantise_openvino.run(exported("openvino"), folder, {}, resources(tiny_bert, name, rows=40))
    inputs = calibration_inputs(resources(tiny_bert, rows=40))
    torch = open_session(runtime_for("checkpoint"), original(inspect(tiny_bert)), 1)
    truth = np.concatenate([torch([tokens])["logits"] for tokens in inputs])
    there = asked(inputs, list(folders.values()), "AVX2")
    off = {name: float(np.abs(there[folder] - truth).mean() / np.ptp(truth)) for name, folder in folders.items()}
    assert off["AVX2"] <= 0.05 and off["VNNI"] >= 2 * off["AVX2"], off
