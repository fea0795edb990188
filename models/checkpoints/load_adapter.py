"""An adapter on its base, as peft itself runs it, or merged into it: a leaf.

Weights come from safetensors alone, the base's through `mct.models.checkpoints.load`. Which weights an adapter must
bring is known once peft has put it together: one that lacks some, or holds others besides, is refused and not half
loaded. Everything is in fp32, whatever the files were saved in.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.tuners.trainable_tokens import TrainableTokensLayer
from peft.utils import AuxiliaryTrainingWrapper, ModulesToSaveWrapper
from transformers import DynamicCache, PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.base import get_keys_to_not_convert

from mct import MctError
from mct.models.checkpoints.adapted import Adaptation, adapter_name
from mct.models.checkpoints.adapters import PROMPTS, WEIGHTS, Adapter
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import read_config
from mct.models.checkpoints.four_bit import rounded
from mct.models.checkpoints.load import REFUSALS, cannot_load, load_base, unread
from mct.models.checkpoints.tensor_files import read_tensors

Prefix = tuple[NDArray[np.float32], NDArray[np.float32]]

MIX = "mix"
SHOWN = 3


class Prompted(torch.nn.Module):
    """A model with virtual tokens before every text, which gives outputs for the text's own tokens alone."""

    def __init__(self, adapted: PeftModel) -> None:
        super().__init__()
        self.adapted = adapted
        self.inner = inner_model(adapted)
        self.config = self.inner.config

    def forward(self, input_ids: torch.Tensor, past_key_values: Any = None, **inputs: Any) -> Any:
        """As transformers' own model: what follows on `past_key_values` has the virtual tokens behind it already."""
        if past_key_values is not None:
            return self.inner(input_ids, past_key_values=past_key_values, **inputs)
        output = self.adapted(input_ids=input_ids, **inputs)
        if output.logits.dim() == 3:
            output.logits = output.logits[:, -input_ids.shape[1] :]
        return output


def load_adapted(checkpoint: Checkpoint) -> PreTrainedModel | Prompted:
    """The adapted model as it was trained, unmerged, in evaluation mode; the base where adapters are kept beside it."""
    if checkpoint.keeps_adapters:
        return plain_base(checkpoint)
    adapted = load_peft(checkpoint, trained_on(checkpoint))
    if checkpoint.adaptation is not None and checkpoint.adaptation.first.config.peft_type in PROMPTS:
        prompted = Prompted(adapted)
        prompted.train(False)
        return prompted
    return inner_model(adapted)


def load_with_prefix(checkpoint: Checkpoint) -> tuple[PreTrainedModel, list[Prefix]]:
    """The base of an adapter that puts keys and values before every layer's, and these: (1, heads, tokens, width)."""
    adapted = load_peft(checkpoint, plain_base(checkpoint))
    return inner_model(adapted), _prefix_of(adapted)


def _prefix_of(adapted: PeftModel) -> list[Prefix]:
    with torch.inference_mode():
        cache: Any = adapted.get_prompt(batch_size=1)
    return [(layer.keys.numpy().copy(), layer.values.numpy().copy()) for layer in cache.layers]


class Prefixed(torch.nn.Module):
    """A classifier with keys and values of its own before those of every text, as constants: what is traced.

    `forward` is peft's, which tells no segments apart; there the prefix is made anew at every call.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        adapted = load_peft(checkpoint, plain_base(checkpoint))
        self.model = unwrapped(inner_model(adapted), adapter_name(_adaptation(checkpoint).first))
        self.backbone = self.model.get_submodule(adapted.transformer_backbone_name)
        self.head = self.model.get_submodule(adapted.cls_layer_name)
        for number, pair in enumerate(_prefix_of(adapted)):
            for name, tensor in zip(("keys", "values"), pair, strict=True):
                self.register_buffer(f"{name}_{number}", torch.from_numpy(tensor))
        self.layers, self.tokens = number + 1, pair[0].shape[2]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **others: Any) -> dict[str, torch.Tensor]:
        """Token ids and their mask, (batch, tokens), to "logits"."""
        rows, cache = input_ids.shape[0], DynamicCache()
        for number in range(self.layers):
            pair = (getattr(self, f"{name}_{number}").expand(rows, -1, -1, -1) for name in ("keys", "values"))
            cache.update(*pair, number)
        seen = torch.ones(rows, self.tokens, dtype=attention_mask.dtype)
        mask = torch.cat([seen, attention_mask], dim=1)
        outputs = self.backbone(input_ids=input_ids, attention_mask=mask, past_key_values=cache, use_cache=False)
        pooled = getattr(outputs, "pooler_output", None)
        return {"logits": self.head(outputs.last_hidden_state if pooled is None else pooled)}


def inner_model(adapted: PeftModel) -> PreTrainedModel:
    """transformers' own model, with the adapter's layers within it."""
    model = adapted.get_base_model()
    assert isinstance(model, PreTrainedModel)
    return model


def merge(checkpoint: Checkpoint, base: PreTrainedModel) -> PreTrainedModel:
    """The adapter taken up into the weights of `base`, which is changed: an ordinary model."""
    adapted = load_peft(checkpoint, base)
    _part_shared_weights(inner_model(adapted))
    with _refused_in_one_line(checkpoint.path):
        model: PreTrainedModel = adapted.merge_and_unload(safe_merge=True)
    _tie_words_where_equal(model)
    model.train(False)
    return model


def trained_on(checkpoint: Checkpoint) -> PreTrainedModel:
    """The base as the adapter met it in training: rounded to 4 bits where it was held so."""
    adaptation = _adaptation(checkpoint)
    base = plain_base(checkpoint)
    if adaptation.base_quant:
        config = read_config(adaptation.base)
        round_linear_layers(base, adaptation.base_quant, config.dtype or config.torch_dtype or "float32")
    return base


def plain_base(checkpoint: Checkpoint) -> PreTrainedModel:
    """The base as its folder has it, in fp32, with room for the adapter's head and tokens."""
    adaptation = _adaptation(checkpoint)
    labels = checkpoint.labels
    sizes = {"num_labels": len(labels)} if labels else {}
    if checkpoint.network in {"reward", "pair-scoring"}:
        sizes = {"num_labels": 1}
    base, missing = load_base(adaptation.base, checkpoint.network, checkpoint.quantised, sizes)
    if labels:
        base.config.id2label = dict(enumerate(labels))
        base.config.label2id = {label: number for number, label in enumerate(labels)}
    brought = [name for adapter in adaptation.adapters for name in adapter.tensors]
    lost = [name for name in unread(checkpoint.network, missing) if not any(_is_same(name, each) for each in brought)]
    if lost:
        raise MctError(
            f"neither {adaptation.base} nor its adapter has {len(lost)} of the weights: {', '.join(lost[:SHOWN])}",
            "an adapter trained with a new head must be saved with it (modules_to_save)",
        )
    for adapter in adaptation.adapters:
        _make_room(base, adapter)
    return base


def _part_shared_weights(model: PreTrainedModel) -> None:
    """Give each module weights of its own: what is merged into the one must not show, or be added again, in the other.

    Tables of words that are the output too, and layers that an adapter's training repeated (`layer_replication`).
    """
    seen: set[int] = set()
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if id(weight) in seen:
                setattr(module, name, torch.nn.Parameter(weight.detach().clone(), requires_grad=False))
            seen.add(id(weight))


def _tie_words_where_equal(model: PreTrainedModel) -> None:
    """Make the output the table of words again where it was so, and the adapter changed both alike."""
    words, output = model.get_input_embeddings(), model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if not isinstance(words, torch.nn.Embedding) or not isinstance(output, torch.nn.Linear):
        return
    if model.config.tie_word_embeddings and torch.allclose(words.weight, output.weight, atol=1e-6):
        output.weight = words.weight


def _is_same(name: str, brought: str) -> bool:
    """Whether a weight of the base is one that the adapter brings, whose names have more before and within them."""
    return brought.endswith(f".{name}") or brought.replace(".modules_to_save.default", "").endswith(f".{name}")


def _make_room(base: PreTrainedModel, adapter: Adapter) -> None:
    """Widen the table of words where the adapter was saved with a longer one, for tokens that were added to it."""
    table = base.get_input_embeddings()
    if not isinstance(table, torch.nn.Embedding):
        return
    name = next(name for name, module in base.named_modules() if module is table)
    found = [shape[0] for key, shape in adapter.tensors.items() if len(shape) == 2 and key.endswith(f"{name}.weight")]
    if found and found[0] > table.num_embeddings:
        base.resize_token_embeddings(found[0], mean_resizing=False)


def round_linear_layers(model: PreTrainedModel, kind: Literal["nf4", "fp4"], dtype: str) -> None:
    """Round in place every linear layer that bitsandbytes would hold in 4 bits; `dtype` is what it was loaded in."""
    kept = get_keys_to_not_convert(model)
    for name, module in model.named_modules():
        is_conv = isinstance(module, Conv1D)
        if not (is_conv or type(module) is torch.nn.Linear) or any(name == key or key in name for key in kept):
            continue
        weight = module.weight.data.T if is_conv else module.weight.data
        found = torch.from_numpy(rounded(weight.contiguous().numpy(), kind, dtype).copy())
        module.weight.data = found.T.contiguous() if is_conv else found


def load_peft(checkpoint: Checkpoint, base: PreTrainedModel) -> PeftModel:
    """The adapters put on `base` by peft, the chosen one or their mix active. MctError where they do not fit it."""
    adaptation = _adaptation(checkpoint)
    for adapter in adaptation.adapters:
        _require_finite(adapter)
    first, *others = sorted(adaptation.adapters, key=_has_rows)  # peft takes none without rows of words after one
    with _refused_in_one_line(checkpoint.path):
        adapted = PeftModel.from_pretrained(
            base, str(first.folder), adapter_name(first), config=_config(first), autocast_adapter_dtype=True
        )
        _require_all(adapted, first)
        for adapter in others:
            adapted.load_adapter(str(adapter.folder), adapter_name(adapter), peft_config=_config(adapter))
            _require_all(adapted, adapter)
        _activate(adapted, adaptation)
    return adapted.to(torch.float32).train(False)


def _config(adapter: Adapter) -> PeftConfig:
    config: PeftConfig = PeftConfig.from_pretrained(str(adapter.folder))
    config.inference_mode = True
    return config


def _has_rows(adapter: Adapter) -> bool:
    return any("token_adapter" in name for name in adapter.tensors)


def _require_finite(adapter: Adapter) -> None:
    for name, tensor in read_tensors(adapter.folder / WEIGHTS).items():
        if not torch.isfinite(tensor).all():
            raise MctError(
                f"{adapter.folder / WEIGHTS} holds NaN or infinite numbers: {name}",
                "its training diverged, or the file is damaged: take an earlier one",
            )


def _require_all(adapted: PeftModel, adapter: Adapter) -> None:
    """MctError unless the file holds the tensors that the adapter is made of, and no others."""
    if adapter.config.peft_type in PROMPTS:
        return
    name = adapter_name(adapter)
    wanted = set(get_peft_model_state_dict(adapted, adapter_name=name, save_embedding_layers=False))
    besides = [each for each in adapter.tensors if each not in wanted and not _is_of_the_base(adapted, each)]
    lost = sorted(wanted - adapter.tensors.keys())
    if besides:
        raise MctError(
            f"{adapter.folder / WEIGHTS} holds {len(besides)} tensors of no part of this adapter: {besides[0]}",
            "is the file that of another adapter, or of two? save each into a folder of its own",
        )
    if lost:
        raise MctError(
            f"{adapter.folder / WEIGHTS} lacks {len(lost)} tensors of its adapter: {lost[0]}",
            "is the base the one that it was trained on? save it again with peft",
        )


def _is_of_the_base(adapted: PeftModel, name: str) -> bool:
    """Tables of words, which peft saves with the adapter where they were widened."""
    known = {each for each, _ in inner_model(adapted).named_parameters(remove_duplicate=False)}
    return name.removeprefix("base_model.model.") in known


def _activate(adapted: PeftModel, adaptation: Adaptation) -> None:
    """Make the one adapter active, or the mix of several.

    Low-rank adapters of a mix are active together, each layer's by its weight. peft's own mix of them is one more
    adapter, which has nothing of what the others bring besides: no head, no rows of the table of words, no biases.
    """
    names = [adapter_name(adapter) for adapter in adaptation.adapters]
    if not adaptation.is_mix:
        adapted.set_adapter(names[0])
        return
    if adaptation.first.config.peft_type == "LORA":
        _activate_together(adapted, dict(zip(names, adaptation.weights, strict=True)))
    else:
        tuner: Any = adapted.base_model
        tuner.add_weighted_adapter(names, list(adaptation.weights), MIX)
        adapted.set_adapter(MIX)
    for module in adapted.modules():
        if isinstance(module, AuxiliaryTrainingWrapper):
            module.set_adapter([name for name in names if name in _names_in(module)][:1], inference_mode=True)
    require_all_used(adapted, adaptation)


def _activate_together(adapted: PeftModel, weights: Mapping[str, float]) -> None:
    tuner: Any = adapted.base_model
    for module in adapted.modules():
        if isinstance(module, LoraLayer):
            for name in weights.keys() & module.scaling.keys():
                module.scaling[name] *= weights[name]
            module.set_adapter(list(weights), inference_mode=True)
    tuner.active_adapter = list(weights)


def _names_in(wrapper: AuxiliaryTrainingWrapper) -> set[str]:
    """The adapters that have a module, or rows of it, of their own."""
    if isinstance(wrapper, ModulesToSaveWrapper):
        return set(wrapper.modules_to_save)
    return set(wrapper.token_adapter.trainable_tokens_delta)


def require_all_used(adapted: PeftModel, adaptation: Adaptation) -> None:
    """RuntimeError unless what a mix answers with has the weights that the files bring in the place of the base's.

    Both what is merged and what that is held against are put together here: a head that is lost would be lost in both.
    """
    model = inner_model(adapted)
    for adapter in adaptation.adapters:
        for name, tensor in read_tensors(adapter.folder / WEIGHTS).items():
            place, _, kind = name.removeprefix("base_model.model.").rpartition(".")
            if ".lora_" in name or ".ia3_" in name:
                continue
            module: Any = model.get_submodule(place)
            is_row = isinstance(module, TrainableTokensLayer)
            if not (adapter_name(adapter) in module.active_adapters if is_row else _has(module, kind, tensor)):
                raise RuntimeError(f"{name} of the adapter {adapter.name!r} is not used")


def _has(module: torch.nn.Module, kind: str, tensor: torch.Tensor) -> bool:
    return torch.equal(getattr(module, kind).float(), tensor.float())


def unwrapped(model: PreTrainedModel, name: str) -> PreTrainedModel:
    """The model with the modules that an adapter was saved with in the place of its own."""
    for path, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            parent, _, child = path.rpartition(".")
            setattr(model.get_submodule(parent), child, module.modules_to_save[name])
    return model


def _adaptation(checkpoint: Checkpoint) -> Adaptation:
    assert checkpoint.adaptation is not None
    return checkpoint.adaptation


@contextmanager
def _refused_in_one_line(folder: Path) -> Iterator[None]:
    """What peft says of an adapter that does not fit, as one line: it raises what Python has, and warns of the rest."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (*REFUSALS, NotImplementedError) as error:
        raise _does_not_fit(folder, error) from error


def _does_not_fit(folder: Path, error: Exception) -> MctError:
    reason = cannot_load(folder, error).message.partition(": ")[2]
    hint = "give the base that it was trained on: --base DIR_OR_HUB_NAME"
    if "size mismatch" in reason:
        reason = f"its base has other sizes ({reason[reason.find('size mismatch') :]})"
    elif "lora_bias" in reason or "one adapter" in reason.lower():
        hint = "it is peft that cannot: change how it is trained (lora_bias=False), or take one adapter alone"
    return MctError(f"peft cannot put the adapter in {folder} on its base: {reason}", hint)
