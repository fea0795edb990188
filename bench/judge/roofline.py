"""How near a model comes to the machine's limit: the time its arithmetic and its weights must take, over what it took.

After the roofline model (Williams, Waterman, Patterson 2009): no request can be faster than its multiplications at the
machine's best rate, nor than its weights can be read. Both are lower bounds, so the share reached is what better
software could still win on the same machine with the same model. Small models at batch size 1 reach little of it:
starting each operator costs more than its arithmetic, and a product with few rows leaves most of the multipliers idle.

The rates come from ONNX Runtime and are used for every runtime; one that multiplies faster can pass 100 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mct import MctError
from mct.bench.samples.subject import Subject
from mct.bench.statistics.rounding import rounded
from mct.models.checkpoints.files import read_config
from mct.models.data.declared import Count, Index
from mct.models.families.table import find_family
from mct.models.tasks.table import find_task, network_of
from mct.targets.limit import MachineLimit

BYTES_PER_WEIGHT = {
    "fp32": 4.0, "f32": 4.0, "fp16": 2.0, "f16": 2.0, "bf16": 2.0, "int8": 1.0, "q8_0": 34 / 32, "int4": 0.5,
    "q4_0": 18 / 32,
}  # fmt: skip
"""By precision. The GGUF kinds hold a 2-byte scale for every 32 weights."""
IN_FLOAT = {"fp32", "f32", "fp16", "f16", "bf16"}
"""Multiplied at the FP32 rate; the others at the INT8 rate, 4-bit weights too, which runtimes widen first."""


@dataclass(frozen=True)
class Encoder:
    """What decides the arithmetic of an encoder with a classifier on top: of `labels`, or of `tags` for every token."""

    hidden: Count
    layers: Count
    intermediate: Count
    labels: Index
    tags: Index = 0

    @property
    def layer_weights(self) -> int:
        """Weights of the matrices that every token is multiplied with, over all layers."""
        return self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.intermediate) + self.hidden * self.tags

    @property
    def head_weights(self) -> int:
        """Weights of the matrices that only the first token is multiplied with."""
        return self.hidden**2 + self.hidden * self.labels if self.labels else 0

    def attention(self, tokens: float) -> float:
        """Multiply-adds of scores and weighted sums, which no weights take part in and no quantisation touches."""
        return 2 * self.layers * self.hidden * tokens**2


@dataclass(frozen=True)
class Limit:
    """The least time one request of mean length can take here. Times in ms, `weights_mb` in 10^6 bytes.

    `bound` names the larger of the two times, which is the limit: "compute" or "memory".
    """

    tokens: float
    multiply_adds: float
    weights_mb: float
    compute_ms: float
    memory_ms: float
    threads: int

    @property
    def least_ms(self) -> float:
        """What the request must take."""
        return max(self.compute_ms, self.memory_ms)

    @property
    def bound(self) -> str:
        """What keeps it from being faster."""
        return "compute" if self.compute_ms >= self.memory_ms else "memory"

    def as_json(self, model_p50_ms: float | None) -> dict[str, Any]:
        """As result.schema.json has it; `share` of the limit that the measured model-only P50 reached."""
        share = None if model_p50_ms is None else round(self.least_ms / model_p50_ms, 5)
        plain: dict[str, Any] = rounded(asdict(self), 6)
        return plain | {"least_ms": round(self.least_ms, 6), "bound": self.bound, "share": share}


def read_encoder(subject: Subject) -> Encoder | None:
    """The subject's arithmetic by its config.json; None for a task, architecture or precision not worked out here."""
    try:
        config = read_config(subject.executable.sizes)
    except MctError:
        return None
    family = find_family(config.model_type)
    if family is None or family.decoder:
        return None
    keys = (family.keys.hidden, family.keys.layers, family.keys.feed_forward)
    hidden, layers, intermediate = (getattr(config, key) for key in keys)
    if not (family.layers and hidden and layers and intermediate) or subject.precision not in BYTES_PER_WEIGHT:
        return None
    network = find_task(network_of(subject.task))
    if not network.head or network.auto == "AutoModel":  # several inputs a request, several heads: not worked out
        return None
    if network.head == "tags":
        return Encoder(hidden, layers, intermediate, labels=0, tags=len(subject.labels))
    return Encoder(hidden, layers, intermediate, len(subject.labels))


def limit_of(encoder: Encoder, precision: str, tokens: float, machine: MachineLimit) -> Limit:
    """The least time of a request of so many tokens, as the model is written: nothing left out, nothing padded."""
    products = encoder.layer_weights * tokens + encoder.head_weights
    rate = machine.fp32_gops if precision in IN_FLOAT else machine.int8_gops
    attention = encoder.attention(tokens)
    weights = encoder.layer_weights + encoder.head_weights + tokens * encoder.hidden
    megabytes = weights * BYTES_PER_WEIGHT[precision] / 1e6
    return Limit(
        tokens=tokens,
        multiply_adds=products + attention,
        weights_mb=megabytes,
        compute_ms=2e3 * (products / rate + attention / machine.fp32_gops) / 1e9,
        memory_ms=megabytes / machine.read_rate(megabytes),
        threads=machine.threads,
    )


def limit_inputs(subjects: Sequence[Subject], machine: MachineLimit) -> dict[str, Any]:
    """What a result needs to compute every limit again: the machine's rates, and each model's shape by its name."""
    found = {subject.name: read_encoder(subject) for subject in subjects}
    models = {name: None if encoder is None else asdict(encoder) for name, encoder in found.items()}
    return {"machine": machine.as_json(), "models": models}


def limit_from_inputs(inputs: Mapping[str, Any], subject: Subject, tokens: Sequence[int]) -> Limit | None:
    """The limit of one subject from what `limit_inputs` gave."""
    shape = inputs["models"].get(subject.name)
    if shape is None:
        return None
    return limit_of(Encoder(**shape), subject.precision, sum(tokens) / len(tokens), MachineLimit(**inputs["machine"]))
