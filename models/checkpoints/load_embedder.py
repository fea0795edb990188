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
from msgspec import Struct
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from mct import MctError
from mct.models.checkpoints.checkpoint import MOST_OF_A_TABLE, STATIC, STATIC_EMBEDDING, Checkpoint
from mct.models.checkpoints.files import (
    CONFIG,
    MODULES,
    SENTENCES,
    SETFIT,
    TRANSFORMER,
    Module,
    Sentences,
    SetFit,
    Transformer,
    read_if_there,
)
from mct.models.checkpoints.load import load_model
from mct.models.checkpoints.setfit_head import LinearHead, read_head
from mct.models.checkpoints.tensor_files import read_tensors
from mct.models.data.declared import Count, read_json, read_text
from mct.models.tasks.tokens import open_tokenizer, table_place

Tensor = torch.Tensor

# What version 5 of sentence-transformers called the modes, one switch each.
OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}

# Nothing happens there but in training.
DROPOUT = "Dropout"

# Dense layers name a class to import; only these are built, and nothing is imported.
ACTIVATIONS: Mapping[str, type[torch.nn.Module]] = {
    "torch.nn.modules.linear.Identity": torch.nn.Identity,
    "torch.nn.modules.activation.Tanh": torch.nn.Tanh,
    "torch.nn.modules.activation.ReLU": torch.nn.ReLU,
    "torch.nn.modules.activation.GELU": torch.nn.GELU,
    "torch.nn.modules.activation.Sigmoid": torch.nn.Sigmoid,
}


class StepConfig(Struct, frozen=True):
    """A step's config.json, as far as every step may have it: which of a text's values it works on."""

    module_input_name: str | None = None
    module_output_name: str | None = None


class PoolingConfig(StepConfig, frozen=True):
    """Of a pooling: the mode or modes by name, or switches by the older names."""

    pooling_mode: str | list[str] | None = None
    embedding_dimension: Count | None = None
    word_embedding_dimension: Count | None = None
    include_prompt: bool = True
    pooling_mode_cls_token: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False


class DenseConfig(StepConfig, frozen=True):
    """Of a dense layer."""

    in_features: Count = 1
    out_features: Count = 1
    bias: bool = True
    activation_function: str = "torch.nn.modules.activation.Tanh"
    use_residual: bool = False


class LayerNormConfig(StepConfig, frozen=True):
    """Of a layer norm."""

    dimension: Count = 1


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


class LayerNorm(torch.nn.LayerNorm):
    """To mean 0 and variance 1, then by a weight and a bias."""


class Embedder(torch.nn.Module):
    """Token ids to "sentence_embedding", (batch, width): the backbone `model`, its `pooling`, the `steps` behind it."""

    def __init__(self, model: PreTrainedModel, pooling: Pooling, steps: list[torch.nn.Module]) -> None:
        super().__init__()
        self.model, self.pooling, self.steps = model, pooling, torch.nn.ModuleList(steps)

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Token ids and masks of shape (batch, tokens)."""
        return {"sentence_embedding": self.embed(self.model(**inputs).last_hidden_state, inputs["attention_mask"])}

    def embed(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """The backbone's token vectors to one vector a text."""
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
        """The backbone."""
        return self.embedder.model

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Token ids and masks of shape (batch, tokens)."""
        return {"logits": self.head(self.embedder(**inputs)["sentence_embedding"])}


class Table(PreTrainedModel):
    """A backbone that looks each piece's vector up, and no more: as other models, for whoever expects one."""

    config_class = PretrainedConfig

    def __init__(self, vectors: Tensor) -> None:
        sizes = {"vocab_size": len(vectors), "hidden_size": vectors.shape[1], "pad_token_id": 0}
        super().__init__(PretrainedConfig.from_dict(sizes))
        self.words = torch.nn.Embedding.from_pretrained(vectors)  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutput:
        """Token ids (batch, tokens) to their vectors."""
        return BaseModelOutput(last_hidden_state=self.words(input_ids))


def _load_table(folder: Path) -> Table:
    """The table of a static embedding; model2vec's with its mapping and weights is written out, a row a piece."""
    place = table_place(folder)
    assert place is not None
    if not (file := place / "model.safetensors").is_file():
        raise MctError(f"{place} has no model.safetensors", "save it again with sentence-transformers")
    found = read_tensors(file)
    rows = found.get("embedding.weight", found.get("embeddings"))
    assert rows is not None
    rows = rows.float()
    if (mapping := found.get("mapping")) is not None:
        if int(mapping.max()) >= len(rows) or int(mapping.min()) < 0:
            raise _refused(folder, "its mapping names rows that its table does not have")
        rows = rows[mapping.long()]
    if (weights := found.get("weights")) is not None:
        rows = rows * weights.float()[:, None]
    if len(rows) < open_tokenizer(folder, MOST_OF_A_TABLE).tokenizer.get_vocab_size():
        raise _refused(folder, f"its tokenizer has more pieces than the {len(rows)} rows of its table")
    if not torch.isfinite(rows).all():
        raise MctError(f"{file} holds NaN or infinite numbers", "its training diverged, or the file is damaged")
    return Table(rows.contiguous())


def load_embedder(checkpoint: Checkpoint) -> Embedder:
    """The folder as a module in evaluation mode. MctError for a step that is not known here."""
    folder = checkpoint.steps
    _check_text(folder)
    modules = [each for each in _modules_behind_the_backbone(folder) if _module_type(each) != DROPOUT]
    steps = [_load_step(folder, module) for module in modules]
    if checkpoint.model_type == STATIC:
        embedder = Embedder(_load_table(folder), Pooling(("mean",)), steps)
    elif not steps or not isinstance(steps[0], Pooling) or any(isinstance(step, Pooling) for step in steps[1:]):
        raise _refused(folder, "it does not pool its tokens once, right after the transformer")
    else:
        embedder = Embedder(load_model(checkpoint), steps[0], steps[1:])
    if length := read_if_there(folder / SENTENCES, Sentences).truncate_dim:
        embedder.steps.append(_first_values(_width(embedder), length))
    return embedder.train(False)


def _width(embedder: Embedder) -> int:
    """How many values its vectors have."""
    widths = [step.linear.out_features for step in embedder.steps if isinstance(step, Dense)]
    return widths[-1] if widths else int(embedder.model.config.hidden_size) * len(embedder.pooling.modes)


def _first_values(width: int, length: int) -> Dense:
    """The first `length` values of a vector (`truncate_dim`), behind all modules: ones and zeros, which every format
    has a place for, and which round nothing."""
    linear = torch.nn.Linear(width, min(length, width), bias=False)
    linear.load_state_dict({"weight": torch.eye(min(length, width), width)})
    return Dense(linear, torch.nn.Identity())


def load_with_head(checkpoint: Checkpoint) -> EmbedderWithHead:
    """A SetFit folder as a module in evaluation mode. MctError for a head that is no linear model."""
    embedder = load_embedder(checkpoint)
    settings = read_if_there(checkpoint.path / SETFIT, SetFit)
    if settings.normalize_embeddings:
        embedder.steps.append(Normalize())
    return EmbedderWithHead(embedder, _linear(read_head(checkpoint.path))).train(False)


def _linear(head: LinearHead) -> torch.nn.Linear:
    layer = torch.nn.Linear(head.weight.shape[1], head.weight.shape[0])
    layer.load_state_dict({"weight": torch.tensor(head.weight.copy()), "bias": torch.tensor(head.bias.copy())})
    return layer


def _modules_behind_the_backbone(folder: Path) -> list[Module]:
    """The rows of modules.json after the transformer, which must be first and in the folder itself."""
    modules = read_json(folder / MODULES, list[Module])
    if modules and _module_type(modules[0]) == STATIC_EMBEDDING and table_place(folder) is not None:
        return modules[1:]
    if not modules or _module_type(modules[0]) != "Transformer" or modules[0].path:
        first = f"{_module_type(modules[0])} in {modules[0].path or 'the folder'!r}" if modules else "nothing"
        raise _refused(folder, f"its first module is a {first}")
    return modules[1:]


def _module_type(module: Module) -> str:
    return module.type.rpartition(".")[2]


def _load_step(folder: Path, module: Module) -> torch.nn.Module:
    module_type, path = _module_type(module), PurePosixPath(module.path)
    if module_type not in _STEPS:
        raise _refused(folder, f"its module {module_type} is not known here")
    if path.is_absolute() or ".." in path.parts:
        raise _refused(folder, f"its module {module_type} lies outside the folder")
    config_type, load_it = _STEPS[module_type]
    config = read_if_there(folder / path / CONFIG, config_type)
    for name in (config.module_input_name, config.module_output_name):
        if name not in (None, "sentence_embedding"):
            raise _refused(folder, f"its module {module_type} works on {name!r}")
    return load_it(folder / path, config)


def _load_pooling(folder: Path, config: PoolingConfig) -> Pooling:
    modes = config.pooling_mode or [mode for key, mode in OLD_MODES.items() if getattr(config, key)] or "mean"
    modes = [modes] if isinstance(modes, str) else modes
    if unknown := [mode for mode in modes if mode not in _POOL]:
        raise _refused(folder, f"its pooling {unknown[0]!r} is not known here")
    return Pooling(tuple(modes))


def _load_dense(folder: Path, config: DenseConfig) -> Dense:
    activation = config.activation_function
    if activation not in ACTIVATIONS:
        raise _refused(folder, f"its activation {activation!r} is not known here")
    if config.use_residual:
        raise _refused(folder, "its dense layer has a residual connection")
    weights = {name.removeprefix("linear."): value for name, value in _weights_of(folder).items()}
    shape = (config.out_features, config.in_features)
    wanted = {"weight": shape} | ({"bias": shape[:1]} if config.bias else {})
    if {name: tuple(value.shape) for name, value in weights.items()} != wanted:
        raise _refused(folder, "its weights are not those of the dense layer in its config.json")
    linear = torch.nn.Linear(config.in_features, config.out_features, bias=config.bias)
    linear.load_state_dict({name: value.float() for name, value in weights.items()})
    return Dense(linear, ACTIVATIONS[activation]())


def _load_layer_norm(folder: Path, config: LayerNormConfig) -> LayerNorm:
    shape = (config.dimension,)
    weights = {name.removeprefix("norm."): value for name, value in _weights_of(folder).items()}
    if {name: tuple(value.shape) for name, value in weights.items()} != {"weight": shape, "bias": shape}:
        raise _refused(folder, "its weights are not those of the layer norm in its config.json")
    norm = LayerNorm(config.dimension)
    norm.load_state_dict({name: value.float() for name, value in weights.items()})
    return norm


def _weights_of(folder: Path) -> dict[str, Tensor]:
    if not (folder / "model.safetensors").is_file():
        raise MctError(
            f"{folder} has no model.safetensors", "save the model again with sentence-transformers 3 or later"
        )
    return read_tensors(folder / "model.safetensors")


def _check_text(folder: Path) -> None:
    """Refuse what changes the text before its tokenizer sees it: silently left out, every vector would be another."""
    transformer = read_if_there(folder / TRANSFORMER, Transformer)
    if transformer.transformer_task != "feature-extraction":
        raise _refused(folder, f"its transformer does {transformer.transformer_task}")
    if not transformer.reads_text:
        raise _refused(folder, f"its transformer does not give every token of a text ({TRANSFORMER})")
    if transformer.do_lower_case and '"lowercase":true' not in _squeezed(folder / "tokenizer.json"):
        raise _refused(folder, "its texts are lower-cased outside its tokenizer (do_lower_case)")
    sentences = read_if_there(folder / SENTENCES, Sentences)
    if name := sentences.default_prompt_name:
        raise MctError(
            f"{folder} puts its prompt {name!r} before every text, which no other program would do",
            "set default_prompt_name to null in config_sentence_transformers.json, and write the prompt into the texts",
        )


def _squeezed(path: Path) -> str:
    return "".join(read_text(path).split()) if path.is_file() else ""


def _refused(folder: Path, reason: str) -> MctError:
    steps = ", ".join(("Transformer", STATIC_EMBEDDING, *_STEPS, DROPOUT))
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

_STEPS: Mapping[str, tuple[type[StepConfig], Callable[[Path, Any], torch.nn.Module]]] = {
    "Pooling": (PoolingConfig, _load_pooling),
    "Dense": (DenseConfig, _load_dense),
    "LayerNorm": (LayerNormConfig, _load_layer_norm),
    "Normalize": (StepConfig, lambda folder, config: Normalize()),
}
