"""What each channel inside a layer is worth to the model's answers, on the user's own texts: to first order.

To leave a unit out is to set its activation to zero, which changes the loss by about activation times gradient, summed
over the tokens of a text (neurons: Molchanov et al. 2019, arXiv:1906.10771; heads: Michel et al. 2019,
arXiv:1905.10650). A unit's importance is the mean of that change over texts, regardless of its sign. The loss is that
of the model's own answers, so no labels are needed: the cross-entropy with the answer that it gives; where an answer is
numbers (an embedding, a score), a sum of them under random signs, whose change says how far they move.

One thread, so that ties break alike on every machine of a kind.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from mct.compress.plan.passes import Resources
from mct.compress.run.calibration import calibration_inputs
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import pad_id
from mct.models.checkpoints.load import load_module
from mct.models.families.table import Family
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.run_torch import input_names

TEXTS, TOKENS = 256, 128
LOGITS = "logits"


def layer_pattern(family: Family, part: str) -> re.Pattern[str]:
    """Matches the name of that part of any layer, and of its weight and bias; group 1 is the layer's number."""
    place = re.escape(family.parts[part]).replace(re.escape("{layer}"), rf"{re.escape(family.layers)}\.(\d+)")
    return re.compile(rf"(?:^|\.){place}(?:\.(?:weight|bias))?$")


def importance(resources: Resources, family: Family, part: str, channels: int = 1) -> list[torch.Tensor]:
    """Layer by layer, what each run of so many `channels` that the part reads is worth: (runs,) each.

    From at most 256 calibration texts, of each its first 128 tokens; MctError without any.
    """
    module = load_module(resources.checkpoint).requires_grad_(False)
    pattern = layer_pattern(family, part)
    parts = {int(found[1]): layer for name, layer in module.named_modules() if (found := pattern.search(name))}
    total: list[torch.Tensor] = []
    with _one_thread(), _reading([parts[number] for number in sorted(parts)]) as reads:
        for number, tokens in enumerate(calibration_inputs(resources, TEXTS)):
            random = torch.Generator().manual_seed(resources.seed * TEXTS + number)
            changes = _changes(module, resources.checkpoint, tokens, reads, random)
            runs = [change.view(-1, channels).sum(1).abs() for change in changes]
            total = [have + run for have, run in zip(total, runs, strict=True)] if total else runs
    return [each / (number + 1) for each in total]


def _changes(
    module: torch.nn.Module,
    checkpoint: Checkpoint,
    tokens: Tokens,
    reads: list[torch.Tensor],
    random: torch.Generator,
) -> list[torch.Tensor]:
    """How much the loss of one text would change without each channel, layer by layer."""
    reads.clear()
    cut = tokens._replace(ids=tokens.ids[:TOKENS], type_ids=tokens.type_ids[:TOKENS])
    arrays = padded([cut], input_names(module.model), pad_id(checkpoint.sizes))  # type: ignore[arg-type]
    outputs = module(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    kinds = {f"{head.name}_{LOGITS}": head.kind for head in checkpoint.heads}
    pulls = [_pull(output, kinds.get(name, checkpoint.task), random) for name, output in outputs.items()]
    gradients = torch.autograd.grad(list(outputs.values()), reads, pulls)
    return [(read * gradient).flatten(0, -2).sum(0).detach() for read, gradient in zip(reads, gradients, strict=True)]


def _pull(output: torch.Tensor, kind: str, random: torch.Generator) -> torch.Tensor:
    """The gradient of the loss by an output: of the answers that it is, or of random signs."""
    found = output.detach()
    if kind in {"multi-label-classification", "labels"}:
        return torch.sigmoid(found) - (found > 0).to(found.dtype)
    if kind.startswith("sentence-embedding") or found.shape[-1] == 1:
        return torch.randint(0, 2, found.shape, generator=random).to(found.dtype) * 2 - 1
    own = torch.nn.functional.one_hot(found.argmax(-1), found.shape[-1])
    return torch.softmax(found, -1) - own


@contextmanager
def _reading(layers: Sequence[torch.nn.Module]) -> Iterator[list[torch.Tensor]]:
    """Collects what each of the layers reads, in a form that gradients reach."""
    reads: list[torch.Tensor] = []

    def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if not inputs[0].requires_grad:
            inputs[0].requires_grad_(True)
        reads.append(inputs[0])

    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        yield reads
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def most_important(worth: Sequence[torch.Tensor], keep: int) -> list[list[int]]:
    """The `keep` units of each layer that are worth most, in their own order; the first of equal ones."""
    return [sorted(each.sort(descending=True, stable=True).indices[:keep].tolist()) for each in worth]


def kept_share(worth: Sequence[torch.Tensor], kept: Sequence[Sequence[int]]) -> list[float]:
    """For the lineage: of each layer, which share of all importance stays."""
    return [
        round(float(each[list(stay)].sum() / each.sum().clamp(min=1e-30)), 4)
        for each, stay in zip(worth, kept, strict=True)
    ]
