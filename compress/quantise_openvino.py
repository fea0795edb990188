"""OpenVINO fp32 to INT8: ranges of weights and activations fixed beforehand by running real texts through the model.

NNCF's post-training quantisation for transformers: SmoothQuant (Xiao et al. 2022, arXiv:2211.10438), then bias
correction. Fixed ranges spare the runtime the scan of every activation; the price is that texts unlike the calibration
texts can be clipped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openvino as ov

from mct.compress.calibration import calibration_inputs, calibration_notes
from mct.compress.export_openvino import MODEL, save
from mct.compress.length_buckets import buckets_for
from mct.compress.openvino_head import head_products
from mct.compress.passes import Material, Product
from mct.compress.quiet import forbid_telemetry, quiet
from mct.models.tokens import Tokens
from mct.targets.batches import Arrays, padded


def run(source: Product, draft: Path, settings: Mapping[str, Any], material: Material) -> Product:
    """Write `openvino_model.xml` and `.bin` in INT8. MctError where there are no texts to calibrate on."""
    inputs = calibration_inputs(material)
    model = ov.Core().read_model(source.folder / source.model)
    quantised = quantise(model, inputs, int(source.settings["pad_id"]), head_products(model))
    save(quantised, draft / MODEL)
    return Product(
        draft, MODEL, {**source.settings, "buckets": list(buckets_for(material))}, calibration_notes(material, inputs)
    )


def arrays_for(model: ov.Model, inputs: Sequence[Tokens], pad_id: int) -> list[Arrays]:
    """Each input as the model takes it, unpadded."""
    names = [port.any_name for port in model.inputs]
    return [padded([tokens], names, pad_id) for tokens in inputs]


def quantise(model: ov.Model, inputs: Sequence[Tokens], pad_id: int, kept: Sequence[str]) -> ov.Model:
    """The model in INT8, ranges from `inputs`, but for the products named `kept`."""
    forbid_telemetry()
    import nncf  # after telemetry is off: NNCF opens its connection on import

    with quiet():
        quantised: ov.Model = nncf.quantize(
            model,
            nncf.Dataset(arrays_for(model, inputs, pad_id)),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=list(kept)),
        )
    return quantised
