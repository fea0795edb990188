"""OpenVINO fp32 to sixteen bits: weights kept in fp16, or sums done in bfloat16 on CPUs that have it.

fp16 halves the file and leaves the arithmetic alone: a CPU widens the weights when it loads them. bfloat16 keeps the
weights and halves what each product moves and costs, with eight bits of precision in every activation.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mct import MctError
from mct.compress.openvino.export import MODEL, name_by_place
from mct.compress.plan.passes import Product, Resources
from mct.targets.arithmetic import why_not
from mct.targets.machine import Machine
from mct.targets.runtimes.private_openvino import ov

# What a language model keeps between two tokens, where its weights are not kept in full.
CACHE = {"kv_cache_precision": "f16"}

LARGEST = float.fromhex("0x1.fep127")
"""bfloat16's largest finite number. A mask of float32's lowest becomes minus infinity in it, and a row of which all is
masked (what a padding token looks at) then no number."""


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the model with its weights in fp16; whatever else lies beside it goes with it."""
    model = ov.Core().read_model(source.folder / source.model)
    copy_beside(source, draft)
    name_by_place(model)
    ov.save_model(model, draft / MODEL, compress_to_fp16=True)
    return Product(draft, MODEL, _with_cache(source.settings))


def run_bfloat16(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """The fp32 files, to be computed in bfloat16. MctError where the CPU they are meant for does not have it.

    Constants that bfloat16 has no finite number for are brought to the nearest that it has.
    """
    require_bfloat16(resources.machine)
    shutil.copytree(source.folder, draft, dirs_exist_ok=True)
    model = ov.Core().read_model(source.folder / source.model)
    if _bring_within(model):
        name_by_place(model)
        ov.save_model(model, draft / source.model, compress_to_fp16=False)
    return Product(draft, source.model, {**_with_cache(source.settings), "inference_precision": "bf16"})


def _bring_within(model: ov.Model) -> bool:
    """Whether constants of the model had to be brought within what bfloat16 holds."""
    beyond = [
        (node, node.data)
        for node in model.get_ops()
        if node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f32 and node.data.size
        if max(node.data.max(), -node.data.min()) > LARGEST
    ]
    for node, values in beyond:
        within = ov.opset13.constant(np.clip(values, -LARGEST, LARGEST), dtype=np.float32)
        node.output(0).replace(within.output(0))
    return bool(beyond)


def require_bfloat16(machine: Machine) -> None:
    """MctError with the nearest precision that works, where `machine` would only emulate bfloat16."""
    if reason := why_not("bfloat16", machine):
        raise MctError(f"openvino-bf16: {reason}", "take fp16 (half the size, full accuracy) or int8 (faster)")


def copy_beside(source: Product, draft: Path) -> None:
    """Copy what lies beside a model in its folder (tokenizers, configurations), all but the model itself."""
    own = {source.model, str(Path(source.model).with_suffix(".bin"))}
    for file in source.folder.iterdir():
        if file.is_file() and file.name not in own:
            shutil.copyfile(file, draft / file.name)


def _with_cache(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**settings, **(CACHE if "kv_cache_precision" in settings else {})}
