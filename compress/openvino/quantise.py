"""OpenVINO fp32 to INT8: ranges of weights and activations fixed beforehand by running real texts through the model.

NNCF's post-training quantisation for transformers: SmoothQuant (Xiao et al. 2022, arXiv:2211.10438), then bias
correction. Fixed ranges spare the runtime the scan of every activation; the price is that texts unlike the calibration
texts can be clipped.

On a machine whose sums of 8-bit products saturate, every weight keeps to half of its range (NNCF's `OverflowFix`): what
NNCF does by itself, for the first layer only, leaves a transformer's answers wrong there.

Weights that were trained as INT8 has them are left as they are: SmoothQuant and bias correction would move them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mct.compress.openvino.export import MODEL, save
from mct.compress.openvino.head import head_products
from mct.compress.openvino.length_buckets import buckets_for
from mct.compress.openvino.quantise_blocks import product_weights
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.calibration import calibration_inputs, calibration_notes
from mct.compress.run.quiet import quiet
from mct.models.tasks.tokens import Tokens
from mct.models.training.grids import REDUCED_BITS, Grid, lies_on
from mct.targets.arithmetic import Arithmetic, arithmetic_of
from mct.targets.runtimes.batches import Arrays, padded
from mct.targets.runtimes.private_openvino import ov

GRIDS = (Grid(8), Grid(REDUCED_BITS))
OFF = -1.0  # NNCF's own word for no SmoothQuant


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `openvino_model.xml` and `.bin` in INT8. MctError where there are no texts to calibrate on."""
    inputs = calibration_inputs(resources)
    model = ov.Core().read_model(source.folder / source.model)
    arithmetic = arithmetic_of(resources.machine)
    quantised = quantise(model, inputs, int(source.settings["pad_id"]), head_products(model), arithmetic)
    save(quantised, draft / MODEL)
    notes = {"reduce_range": arithmetic.saturates} | calibration_notes(resources, inputs)
    return Product(draft, MODEL, {**source.settings, "buckets": list(buckets_for(resources))}, notes)


def arrays_for(model: ov.Model, inputs: Sequence[Tokens], pad_id: int) -> list[Arrays]:
    """Each input as the model takes it, unpadded."""
    names = [port.any_name for port in model.inputs]
    return [padded([tokens], names, pad_id) for tokens in inputs]


def quantise(
    model: ov.Model, inputs: Sequence[Tokens], pad_id: int, kept: Sequence[str], arithmetic: Arithmetic
) -> ov.Model:
    """The model in INT8 for a machine of that arithmetic, ranges from `inputs`, but for the products named `kept`."""
    import nncf

    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.ENABLE if arithmetic.saturates else nncf.OverflowFix.DISABLE
    )
    if was_trained(model, kept):
        advanced.smooth_quant_alphas = nncf.AdvancedSmoothQuantParameters(convolution=OFF, matmul=OFF)
        advanced.disable_bias_correction = True
    with quiet():
        quantised: ov.Model = nncf.quantize(
            model,
            nncf.Dataset(arrays_for(model, inputs, pad_id)),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=list(kept)),
            advanced_parameters=advanced,
        )
    return quantised


def was_trained(model: ov.Model, kept: Sequence[str]) -> bool:
    """Whether the weights of every product but `kept` lie where INT8 has them, as training for it leaves them."""
    nodes = [node for node in model.get_ordered_ops() if node.get_friendly_name() not in kept]
    weights = [found for node in nodes if (found := product_weights(node)) is not None]
    return bool(weights) and all(any(lies_on(each, grid) for grid in GRIDS) for each in weights)
