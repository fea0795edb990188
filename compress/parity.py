"""Is it still the same model? Every artifact is run against its checkpoint on real inputs before it is called one.

At full precision the answers must be equal: the largest difference of any output is bounded per format, and the top
answer may differ only where the original itself cannot tell two answers apart. Below full precision the agreement is
recorded, and the budget decides.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.models.checkpoint import Checkpoint
from mct.models.tokens import Tokens, open_tokenizer
from mct.targets.runtimes import Executable, Session, open_session, original, runtime_for

FULL_PRECISIONS = {"fp32", "f32"}

# Largest |difference| of an output at full precision. llama.cpp takes GELU by its tanh approximation from a table in
# half precision: that alone moved logits of real classifiers by 0.01. A tensor in the wrong place moves them by tenths.
TOLERANCE = {"onnx": 1e-3, "openvino": 1e-3, "gguf": 3e-2}


@dataclass(frozen=True)
class Reference:
    """The checkpoint's own outputs, float32 of shape (inputs, labels), on encoded real inputs."""

    inputs: tuple[Tokens, ...]
    outputs: NDArray[np.float32]
    inputs_sha256: str


@dataclass(frozen=True)
class Parity:
    """How far an artifact is from its checkpoint. `agreement` is the share of inputs with the same top answer.

    `near_ties` counts differing answers where the original's two best outputs lie within twice the tolerance.
    """

    inputs: int
    inputs_sha256: str
    max_abs_delta: float
    mean_abs_delta: float
    agreement: float
    near_ties: int
    tolerance: float

    def as_json(self) -> dict[str, Any]:
        """Plain values, for mct.json."""
        return asdict(self)


def run_original(checkpoint: Checkpoint, texts: Sequence[str], threads: int) -> Reference:
    """Outputs of the checkpoint, run by torch at fp32, on `texts`."""
    encode = open_tokenizer(checkpoint.path, checkpoint.max_tokens)
    inputs = tuple(encode(text) for text in texts)
    session = open_session(runtime_for("checkpoint"), original(checkpoint), threads)
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return Reference(inputs, _outputs(session, inputs), digest)


def measure_parity(reference: Reference, form: str, executable: Executable, threads: int) -> Parity:
    """Run an exported model on the reference's inputs and compare. `form` is "<format>-<precision>"."""
    format_name, _, _ = form.partition("-")
    outputs = _outputs(open_session(runtime_for(format_name), executable, threads), reference.inputs)
    return _compare(reference, outputs, TOLERANCE[format_name])


def require_parity(parity: Parity, form: str, folder: Path) -> None:
    """MctError where a full-precision export is not the model it was made from."""
    differing = round((1 - parity.agreement) * parity.inputs) - parity.near_ties
    if parity.max_abs_delta <= parity.tolerance and differing <= 0:
        return
    raise MctError(
        f"{form} of {folder} is not the same model: max |difference| {parity.max_abs_delta:.2g} "
        f"(at most {parity.tolerance:g}), {differing} of {parity.inputs} answers differ",
        "this export is refused; please report the architecture, or try another format",
    )


def _outputs(session: Session, inputs: Sequence[Tokens]) -> NDArray[np.float32]:
    return np.concatenate([session([tokens])["logits"] for tokens in inputs])


def _compare(reference: Reference, outputs: NDArray[np.float32], tolerance: float) -> Parity:
    if not np.isfinite(outputs).all():
        raise MctError("the exported model gives NaN or infinite outputs", "try another precision")
    delta = np.abs(outputs - reference.outputs)
    top_two = np.sort(reference.outputs, axis=1)[:, -2:]
    same = outputs.argmax(axis=1) == reference.outputs.argmax(axis=1)
    tied = (top_two[:, -1] - top_two[:, 0]) <= 2 * tolerance
    return Parity(
        inputs=len(reference.inputs),
        inputs_sha256=reference.inputs_sha256,
        max_abs_delta=float(delta.max()),
        mean_abs_delta=float(delta.mean()),
        agreement=float(same.mean()),
        near_ties=int((~same & tied).sum()),
        tolerance=tolerance,
    )
