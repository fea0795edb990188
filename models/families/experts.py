"""Which experts a mixture sends each token to, from what its routers say: the same for every runtime that shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUTER_SCORES = ".router_scores"
"""Ends the names of what the routers say in a graph of ours, (tokens, experts) a layer."""

_USED = ("num_experts_per_tok", "num_experts_per_token", "moe_top_k")


def experts_used(config: Mapping[str, Any]) -> int:
    """How many experts each token goes to, by config.json; 0 where there are none."""
    return next((int(config[name]) for name in _USED if config.get(name)), 0)


def chosen_experts(scores: Sequence[NDArray[np.float32]], used: int) -> NDArray[np.bool_]:
    """(1, tokens, layers, experts): True for the `used` highest of each router's scores, (tokens, experts) a layer."""
    table = np.stack(scores, axis=1)
    best = np.argsort(-table, axis=-1, kind="stable")[..., :used]
    chosen = np.zeros(table.shape, dtype=np.bool_)
    np.put_along_axis(chosen, best, True, axis=-1)
    return chosen[None]
