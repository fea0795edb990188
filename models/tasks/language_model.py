"""The next token, and so a whole text: the causal language model.

What is timed is a greedy continuation of a prompt; what is scored is each next token of a real text, given those
before it, which needs no sampling and no judge. Logits of a whole text are many megabytes, so each text's are condensed
to a few figures as they come: how likely its tokens were and, beside what was kept of the original's, how far the two
foresee other things.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from mct.models.tasks.examples import (
    BALANCE,
    KL,
    NLL,
    Answer,
    Example,
    Kind,
    Outputs,
    Part,
    Request,
    Row,
    Sketch,
    Truth,
    column,
)
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokenize, Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PROMPT_SHARE = 2
KEPT_TOKENS = 64
"""Likeliest next tokens whose probability is kept of the original; all others count as one."""


class Foreseen(TypedDict):
    """How well a text was foreseen: see `condense`. `kl` and what is the same: where the original's was at hand.

    `load`: how many tokens went to each expert, layer by layer, where the runtime shows it.
    """

    tokens: int
    right: int
    nll: float
    kl: NotRequired[float]
    same_top: NotRequired[int]
    load: NotRequired[list[list[int]]]
    routes: NotRequired[int]
    same_routes: NotRequired[int]


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """`text` is scored; its first half of words is the prompt that is timed, unless the row has a `prompt`."""
    return tuple(Example(row.get("prompt") or _first_half(row["text"]), None, row["text"], row["text"]) for row in rows)


def _first_half(text: str) -> str:
    words = text.split(" ")
    return " ".join(words[: max(1, len(words) // PROMPT_SHARE)])


def encode(tokenize: Tokenize, request: Request) -> list[Tokens]:
    """One text, one input."""
    return [tokenize(request)]


def condense(outputs: Outputs, tokens: Tokens, original: Sketch | None) -> Outputs:
    """One text's `logits`, (1, tokens, vocabulary), as figures over the tokens that were not given, one row each.

    "nll" is the negative log-likelihood in nats, summed over these "tokens"; "right" counts those that the model puts
    first. Beside the original's sketch of the same tokens "kl" is the Kullback-Leibler divergence from it in nats, over
    its `KEPT_TOKENS` likeliest and all others as one (so at most what it is over all), "same_top" counts equal
    favourites. Where "experts" are among the outputs, "load" counts the tokens of each, and "same_routes" those of all
    "routes", a token in a layer each, that go to the same ones.
    """
    import numpy as np

    log_shares, ids = _log_shares(outputs, tokens)
    favourites = log_shares.argmax(axis=-1)
    found = {
        "tokens": len(ids),
        "right": int((favourites == ids).sum()),
        "nll": -float(log_shares[np.arange(len(ids)), ids].sum()),
    }
    if original is not None and np.array_equal(original["ids"], ids):
        found["kl"] = _divergence(original, log_shares)
        found["same_top"] = int((original["likeliest"][:, 0] == favourites).sum())
    condensed: dict[str, Any] = {name: np.array([value], dtype=np.float64) for name, value in found.items()}
    return condensed | (_routed(outputs, original) if "experts" in outputs else {})


def _routed(outputs: Outputs, original: Sketch | None) -> "dict[str, Floats]":
    import numpy as np

    chosen = np.asarray(outputs["experts"])
    found = {"load": chosen.sum(axis=1).astype(np.float64)}
    if original is not None and "experts" in original and original["experts"].shape == chosen.shape:
        same = (chosen == original["experts"]).all(axis=-1)
        found["routes"], found["same_routes"] = np.array([float(same.size)]), np.array([float(same.sum())])
    return found


def sketch(outputs: Outputs, tokens: Tokens) -> Sketch:
    """What is kept of the original: the tokens that were not given, of each the `KEPT_TOKENS` likeliest next ones, the
    favourite first, and their log-shares."""
    import numpy as np

    log_shares, ids = _log_shares(outputs, tokens)
    most = min(KEPT_TOKENS, log_shares.shape[-1])
    likeliest = np.argpartition(-log_shares, most - 1, axis=-1)[:, :most]
    kept = np.take_along_axis(log_shares, likeliest, axis=-1)
    order = np.lexsort((likeliest, -kept), axis=-1)  # of equal ones the first, as argmax takes it
    likeliest, kept = np.take_along_axis(likeliest, order, axis=-1), np.take_along_axis(kept, order, axis=-1)
    found: dict[str, Any] = {"ids": ids, "likeliest": likeliest.astype(np.int32), "log_shares": kept}
    return found | ({"experts": outputs["experts"]} if "experts" in outputs else {})


def _log_shares(outputs: Outputs, tokens: Tokens) -> "tuple[Floats, NDArray[np.intp]]":
    """The log-probabilities of every next token that was not given, and what came."""
    import numpy as np

    ids = np.asarray(tokens.ids[tokens.given :], dtype=np.intp)
    logits = outputs["logits"][0, tokens.given - 1 : len(tokens.ids) - 1].astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return logits, ids


def _divergence(original: Sketch, log_shares: "Floats") -> float:
    """KL(original || model), summed over the tokens: that of the kept ones and the rest as one."""
    import numpy as np

    kept = np.take_along_axis(log_shares, original["likeliest"].astype(np.intp), axis=-1)
    before = np.asarray(original["log_shares"], dtype=np.float64)
    shares = np.exp(before)
    rest, rest_now = (np.maximum(1 - each.sum(axis=-1), 1e-12) for each in (shares, np.exp(kept)))
    each = (shares * (before - kept)).sum(axis=-1)
    if original["likeliest"].shape[-1] < log_shares.shape[-1]:
        each += rest * np.log(rest / rest_now)
    return float(np.maximum(each, 0.0).sum())


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """How well the text was foreseen, from what `condense` gave."""
    found: dict[str, Any] = {name: int(outputs[name][0]) for name in ("tokens", "right")}
    found["nll"] = round(float(outputs["nll"][0]), 4)
    if "load" in outputs:
        found["load"] = outputs["load"][0].astype(int).tolist()
    if "routes" in outputs:
        found |= {name: int(outputs[name][0]) for name in ("routes", "same_routes")}
    return found | beside_original(outputs)


def beside_original(outputs: Outputs) -> dict[str, Any]:
    """What `condense` found beside the original, over all inputs; nothing where that was not at hand."""
    if "kl" not in outputs:
        return {}
    return {"kl": float(f"{float(outputs['kl'].sum()):.6g}"), "same_top": int(outputs["same_top"].sum())}


def score(truth: Truth, answer: Mapping[str, Any]) -> Mapping[str, Part]:
    """The share of tokens that the model puts first."""
    return {"next_token_accuracy": Part(float(answer["right"]), float(answer["tokens"]))}


def amounts(truth: Truth, answer: Mapping[str, Any]) -> Mapping[str, Part]:
    """Nats a token: what the text costs, and by how much it is foreseen otherwise than by the original."""
    found = {NLL: Part(answer["nll"], float(answer["tokens"]))}
    if "load" in answer:
        found[BALANCE] = Part(_balance(answer["load"]), 1.0)
    return found | ({KL: Part(answer["kl"], float(answer["tokens"]))} if "kl" in answer else {})


def _balance(load: Sequence[Sequence[int]]) -> float:
    """The entropy of a text's load over the experts, a mean over layers: 1 where all get as many tokens, 0 where one
    gets all."""
    entropies = []
    for layer in load:
        shares = [count / sum(layer) for count in layer if count]
        entropies.append(-sum(share * log(share) for share in shares) / log(len(layer)) if len(layer) > 1 else 1.0)
    return sum(entropies) / len(entropies)


def beside(before: Answer, after: Mapping[str, Any]) -> Mapping[str, Part]:
    """The share of tokens at which both put the same one first, and that go to the same experts; the load that is kept.

    "expert_load_kept": of each layer's tokens the share that would not have to go to another expert for both loads to
    be the same, 1 minus the total variation distance.
    """
    found = {"same_top_token": Part(float(after["same_top"]), float(after["tokens"]))} if "same_top" in after else {}
    if "routes" in after:
        found["same_experts"] = Part(float(after["same_routes"]), float(after["routes"]))
    if "load" in before and "load" in after:
        layers = list(zip(before["load"], after["load"], strict=True))
        kept = sum(sum(map(min, one, other)) / sum(one) for one, other in layers) / len(layers)
        found["expert_load_kept"] = Part(kept, 1.0)
    return found


def labels(truth: Truth) -> Iterable[str]:
    """None."""
    return ()


KIND = Kind(
    read, encode, decode, score, labels, column, None, Foreseen,
    beside=beside, amounts=amounts, condense=condense, sketch=sketch,
)  # fmt: skip
