"""OpenVINO fp32 to INT8: ranges of weights and activations fixed beforehand by running real texts through the model.

NNCF's post-training quantisation for transformers: SmoothQuant (Xiao et al. 2022, arXiv:2211.10438), then bias
correction. Fixed ranges spare the runtime the scan of every activation; the price is that texts unlike the calibration
texts can be clipped.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from mct import MctError
from mct.compress.export_openvino import MODEL, save
from mct.compress.inputs import encode_requests
from mct.compress.length_buckets import buckets_for
from mct.compress.passes import Material, Product
from mct.compress.quiet import forbid_telemetry, quiet
from mct.models.tokens import Tokens
from mct.targets.batches import padded

MOST_TEXTS = 300
HEAD_PRODUCTS = 2


def run(source: Product, draft: Path, settings: Mapping[str, Any], material: Material) -> Product:
    """Write `openvino_model.xml` and `.bin` in INT8. MctError where there are no texts to calibrate on."""
    data = material.calibration
    if data is None:
        raise MctError("INT8 for OpenVINO needs texts to calibrate on", "give texts like those in use: --data FILE")
    inputs = calibration_inputs(material)
    model = ov.Core().read_model(source.folder / source.model)
    quantised = _quantise(model, inputs, int(source.settings["pad_id"]))
    save(quantised, draft / MODEL)
    lengths = [len(tokens.ids) for tokens in inputs]
    notes = {
        "calibration_texts": len(inputs),
        "calibration_sha256": data.sha256,
        "calibration_tokens": {f"p{q}": int(np.percentile(lengths, q)) for q in (0, 25, 50, 75, 95, 100)},
        "seed": material.seed,
    }
    return Product(draft, MODEL, {**source.settings, "buckets": list(buckets_for(material))}, notes)


def calibration_inputs(material: Material) -> list[Tokens]:
    """At most 300 encoded texts, spread evenly over the order of token length, so that long texts are among them."""
    inputs = encode_requests(material.checkpoint, material.calibration_requests())
    random.Random(material.seed).shuffle(inputs)
    inputs.sort(key=lambda tokens: len(tokens.ids))
    places = np.linspace(0, len(inputs) - 1, num=min(MOST_TEXTS, len(inputs)))
    return [inputs[round(place)] for place in places]


def _quantise(model: ov.Model, inputs: Sequence[Tokens], pad_id: int) -> ov.Model:
    forbid_telemetry()
    import nncf  # after telemetry is off: NNCF opens its connection on import

    names = [port.any_name for port in model.inputs]
    dataset = nncf.Dataset([padded([tokens], names, pad_id) for tokens in inputs])
    with quiet():
        quantised: ov.Model = nncf.quantize(
            model,
            dataset,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=_head(model)),
        )
    return quantised


def _head(model: ov.Model) -> list[str]:
    """The classifier's own products, the last two: kept in fp32, they cost a thousandth of the time.

    In INT8, with a ReLU between them (DistilBERT), OpenVINO 2026.4 gives answers of the order of 1e9 on one thread.
    """
    products = [one.get_friendly_name() for one in model.get_ordered_ops() if one.get_type_name() == "MatMul"]
    return products[-HEAD_PRODUCTS:]
