"""Load a sentence-transformers folder as one torch module, without that library: what comes out is what it encodes.

The folder lists its steps in modules.json: a transformer, a pooling of its tokens to one vector, perhaps dense layers,
perhaps a normalisation. Each is a few lines, so reading them here spares everyone who compresses a dependency; the
price is that a step not in the table below is refused rather than guessed. A SetFit folder is the same with a linear
head on top. A leaf.
"""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import PreTrainedModel

from mct import MctError
from mct.models.checkpoint import Checkpoint
from mct.models.folders import read_json
from mct.models.load import load_model
from mct.models.setfit_head import LinearHead, read_head

Tensor = torch.Tensor

OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}

# Dense layers name a class to import; only these are built, and nothing is imported.
ACTIVATIONS: Mapping[str, type[torch.nn.Module]] = {
    "torch.nn.modules.linear.Identity": torch.nn.Identity,
    "torch.nn.modules.activation.Tanh": torch.nn.Tanh,
    "torch.nn.modules.activation.ReLU": torch.nn.ReLU,
    "torch.nn.modules.activation.GELU": torch.nn.GELU,
    "torch.nn.modules.activation.Sigmoid": torch.nn.Sigmoid,
}


class Pooling(torch.nn.Module):
    """Token vectors (batch, tokens, width) and their mask to one vector a text; several modes are concatenated.

    Inputs are padded on the right, as every runtime here pads them.
    """

    def __init__(self, modes: tuple[str, ...]) -> None:
        super().__init__()
        self.modes = modes

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(batch, width x modes)."""
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return torch.cat([_POOL[mode](hidden, mask) for mode in self.modes], dim=-1)


class Dense(torch.nn.Module):
    """One linear layer and its activation."""

    def __init__(self, linear: torch.nn.Linear, activation: torch.nn.Module) -> None:
        super().__init__()
        self.linear, self.activation = linear, activation

    def forward(self, vector: Tensor) -> Tensor:
        """(batch, width) to (batch, new width)."""
        made: Tensor = self.activation(self.linear(vector))
        return made


class Normalize(torch.nn.Module):
    """To length 1."""

    def forward(self, vector: Tensor) -> Tensor:
        """(batch, width) to the same."""
        return functional.normalize(vector, p=2.0, dim=-1)


class Embedder(torch.nn.Module):
    """Token ids to "sentence_embedding", (batch, width): the trunk `model`, its `pooling`, the `steps` behind it."""

    def __init__(self, model: PreTrainedModel, pooling: Pooling, steps: list[torch.nn.Module]) -> None:
        super().__init__()
        self.model, self.pooling, self.steps = model, pooling, torch.nn.ModuleList(steps)

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Token ids and masks of shape (batch, tokens)."""
        return {"sentence_embedding": self.embed(self.model(**inputs).last_hidden_state, inputs["attention_mask"])}

    def embed(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """The trunk's token vectors to one vector a text."""
        vector: Tensor = self.pooling(hidden, attention_mask)
        for step in self.steps:
            vector = step(vector)
        return vector


class EmbedderWithHead(torch.nn.Module):
    """An embedder whose vector goes through one linear layer to "logits", (batch, labels)."""

    def __init__(self, embedder: Embedder, head: torch.nn.Linear) -> None:
        super().__init__()
        self.embedder, self.head = embedder, head

    @property
    def model(self) -> PreTrainedModel:
        """The trunk."""
        return self.embedder.model

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Token ids and masks of shape (batch, tokens)."""
        return {"logits": self.head(self.embedder(**inputs)["sentence_embedding"])}


def load_embedder(checkpoint: Checkpoint) -> Embedder:
    """The folder as a module in evaluation mode. MctError for a step that is not known here."""
    folder = checkpoint.path
    _check_text(folder)
    steps = [_load_step(folder, module) for module in _modules_behind_the_trunk(folder)]
    if not steps or not isinstance(steps[0], Pooling) or any(isinstance(step, Pooling) for step in steps[1:]):
        raise _refused(folder, "it does not pool its tokens once, right after the transformer")
    embedder = Embedder(load_model(checkpoint), steps[0], steps[1:])
    return embedder.train(False)


def load_with_head(checkpoint: Checkpoint) -> EmbedderWithHead:
    """A SetFit folder as a module in evaluation mode. MctError for a head that is no linear model."""
    embedder = load_embedder(checkpoint)
    settings = checkpoint.path / "config_setfit.json"
    if settings.is_file() and read_json(settings).get("normalize_embeddings"):
        embedder.steps.append(Normalize())
    return EmbedderWithHead(embedder, _linear(read_head(checkpoint.path))).train(False)


def _linear(head: LinearHead) -> torch.nn.Linear:
    layer = torch.nn.Linear(head.weight.shape[1], head.weight.shape[0])
    layer.load_state_dict({"weight": torch.tensor(head.weight.copy()), "bias": torch.tensor(head.bias.copy())})
    return layer


def _modules_behind_the_trunk(folder: Path) -> list[Mapping[str, Any]]:
    """The rows of modules.json after the transformer, which must be first and in the folder itself."""
    first, *rest = list[Mapping[str, Any]](read_json(folder / "modules.json"))
    if _kind(first) != "Transformer" or first.get("path"):
        raise _refused(folder, f"its first module is a {_kind(first)} in {first.get('path') or 'the folder'!r}")
    return rest


def _kind(module: Mapping[str, Any]) -> str:
    return str(module.get("type", "?")).rpartition(".")[2]


def _load_step(folder: Path, module: Mapping[str, Any]) -> torch.nn.Module:
    kind, path = _kind(module), PurePosixPath(str(module.get("path", "")))
    if kind not in _STEPS:
        raise _refused(folder, f"its module {kind} is not known here")
    if path.is_absolute() or ".." in path.parts:
        raise _refused(folder, f"its module {kind} lies outside the folder")
    file = folder / path / "config.json"
    config = read_json(file) if file.is_file() else {}
    for name in ("module_input_name", "module_output_name"):
        if config.get(name) not in (None, "sentence_embedding"):
            raise _refused(folder, f"its module {kind} works on {config[name]!r}")
    return _STEPS[kind](folder / path, config)


def _load_pooling(folder: Path, config: Mapping[str, Any]) -> Pooling:
    modes = config.get("pooling_mode") or [mode for key, mode in OLD_MODES.items() if config.get(key)] or "mean"
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if unknown := [mode for mode in modes if mode not in _POOL]:
        raise _refused(folder, f"its pooling {unknown[0]!r} is not known here")
    return Pooling(modes)


def _load_dense(folder: Path, config: Mapping[str, Any]) -> Dense:
    activation = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    if activation not in ACTIVATIONS:
        raise _refused(folder, f"its activation {activation!r} is not known here")
    if config.get("use_residual"):
        raise _refused(folder, "its dense layer has a residual connection")
    if not (folder / "model.safetensors").is_file():
        raise MctError(
            f"{folder} has no model.safetensors", "save the model again with sentence-transformers 3 or later"
        )
    weights = load_file(folder / "model.safetensors")
    width, narrow = int(config["in_features"]), int(config["out_features"])
    linear = torch.nn.Linear(width, narrow, bias=bool(config.get("bias", True)))
    try:
        linear.load_state_dict({name.removeprefix("linear."): value.float() for name, value in weights.items()})
    except RuntimeError as error:
        raise _refused(folder, "its weights are not those of the dense layer in its config.json") from error
    return Dense(linear, ACTIVATIONS[activation]())


def _check_text(folder: Path) -> None:
    """Refuse what changes the text before its tokenizer sees it: silently left out, every vector would be another."""
    transformer, settings = folder / "sentence_bert_config.json", folder / "config_sentence_transformers.json"
    config = read_json(transformer) if transformer.is_file() else {}
    if config.get("transformer_task", "feature-extraction") != "feature-extraction":
        raise _refused(folder, f"its transformer does {config['transformer_task']}")
    if config.get("do_lower_case") and '"lowercase":true' not in _squeezed(folder / "tokenizer.json"):
        raise _refused(folder, "its texts are lower-cased outside its tokenizer (do_lower_case)")
    prompts = read_json(settings) if settings.is_file() else {}
    if name := prompts.get("default_prompt_name"):
        raise MctError(
            f"{folder} puts its prompt {name!r} before every text, which no other program would do",
            "set default_prompt_name to null in config_sentence_transformers.json, and write the prompt into the texts",
        )


def _squeezed(path: Path) -> str:
    return "".join(path.read_text(encoding="utf-8").split()) if path.is_file() else ""


def _refused(folder: Path, reason: str) -> MctError:
    steps = ", ".join(("Transformer", *_STEPS))
    return MctError(f"{folder} is an embedder that mct cannot read: {reason}", f"modules that it reads: {steps}")


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)


def _mean_by_root(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9).sqrt()


def _mean_by_place(hidden: Tensor, mask: Tensor) -> Tensor:
    """Weights 1, 2, 3, …: later tokens count more."""
    weight = mask.cumsum(1) * mask
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9)


def _highest(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.masked_fill(mask == 0, -torch.inf).amax(1)


def _first(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[:, 0]


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    place = mask.sum(1, keepdim=True).long() - 1
    return hidden.gather(1, place.expand(-1, -1, hidden.shape[-1])).squeeze(1)


_POOL: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _first,
    "max": _highest,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_by_root,
    "weightedmean": _mean_by_place,
    "lasttoken": _last,
}

_STEPS: Mapping[str, Callable[[Path, Mapping[str, Any]], torch.nn.Module]] = {
    "Pooling": _load_pooling,
    "Dense": _load_dense,
    "Normalize": lambda folder, config: Normalize(),
}
