"""How far a student is from its teacher inside: at the last layer of both, for texts that both cut into as many pieces.

- "hidden": the angles of the tokens' hidden states, where both are as wide (Sanh et al. 2019, arXiv:1910.01108).
- "relations": how the tokens relate to one another in queries, keys and values, which needs no like width: softened
  products of each with itself, in as many groups of channels as divide both (Wang et al. 2021, arXiv:2012.15828).

What the layers give is caught as it passes, so the models stay as they are.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import gcd, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from mct.compress.train.lessons import Asked
from mct.compress.train.obstacles import RELATED
from mct.models.families.table import find_family
from mct.models.tasks.tokens import Tokens

MOST_GROUPS = 12


@contextmanager
def caught(asked: Asked, match: str) -> Iterator[list[Tensor]]:
    """A list that holds, after each call of the model, what is compared of it: (batch, tokens, width) each."""
    found: list[Tensor] = []
    modules = _last_layer(asked, match)

    def keep(number: int, output: Any) -> None:
        del found[number:]
        found.append(output.last_hidden_state if match == "hidden" else output)

    hooks = [
        module.register_forward_hook(lambda module, inputs, output, number=number: keep(number, output))
        for number, module in enumerate(modules)
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _last_layer(asked: Asked, match: str) -> list[torch.nn.Module]:
    model = asked.module.model
    assert isinstance(model, PreTrainedModel)
    backbone = model.base_model
    assert isinstance(backbone, torch.nn.Module)
    if match == "hidden":
        return [backbone]
    family = find_family(model.config.model_type)
    assert family is not None
    layer = family.layer(int(getattr(model.config, family.keys.layers)) - 1)
    return [backbone.get_submodule(family.parts[part].format(layer=layer)) for part in RELATED]


def distance(
    match: str, ours: Sequence[Tensor], theirs: Sequence[Tensor], inputs: Sequence[Tokens], asked: Sequence[Tokens]
) -> Tensor:
    """The mean over texts that both cut alike, (): of an angle, or of the divergence of relations."""
    alike = [place for place, (mine, other) in enumerate(zip(inputs, asked, strict=True)) if _as_long(mine, other)]
    compare = _angle if match == "hidden" else _relations
    losses = [
        compare(mine[place, :length].float(), other[place, :length].float())
        for place in alike
        for length in [len(inputs[place].ids)]
        for mine, other in zip(ours, theirs, strict=True)
    ]
    return torch.stack(losses).mean() if losses else torch.zeros((), device=ours[0].device)


def _as_long(mine: Tokens, other: Tokens) -> bool:
    return len(mine.ids) == len(other.ids)


def _angle(ours: Tensor, theirs: Tensor) -> Tensor:
    return 1 - functional.cosine_similarity(ours, theirs, dim=-1).mean()


def _relations(ours: Tensor, theirs: Tensor) -> Tensor:
    """Of one text: the divergence of the student's relations from the teacher's, mean over groups and tokens."""
    common = gcd(ours.shape[-1], theirs.shape[-1])
    groups = max(count for count in range(1, MOST_GROUPS + 1) if common % count == 0)
    mine, other = (_related(each, groups) for each in (ours, theirs))
    return functional.kl_div(mine, other, reduction="sum", log_target=True) / (groups * len(ours))


def _related(vectors: Tensor, groups: int) -> Tensor:
    """(groups, tokens, tokens): the logarithms of how much each token is like each, summing to 1 in a row."""
    parts = vectors.reshape(len(vectors), groups, -1).transpose(0, 1)
    return functional.log_softmax(parts @ parts.transpose(1, 2) / sqrt(parts.shape[-1]), -1)
