"""The small files of a checkpoint folder, each as the type that mct reads it as.

Written by transformers, sentence-transformers and SetFit; what mct does not read is left to them. null stands in many
places for "not said", so most fields may be None.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta, Struct

from mct import MctError
from mct.models.data.declared import Amount, Count, Index, Name, Positive, Share, read_json, read_object
from mct.models.tables import load
from mct.models.tasks.table import Head

T = TypeVar("T")

CONFIG, TOKENIZER, GENERATION = "config.json", "tokenizer_config.json", "generation_config.json"
HEADS, SETFIT = "heads.json", "config_setfit.json"
MODULES, TRANSFORMER, SENTENCES = "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"
SHARDS = "model.safetensors.index.json"


MOST_LABELS = 100_000


class Config(Struct, frozen=True):
    """config.json. The sizes go by the names that families give them."""

    architectures: list[Name] | None = None
    model_type: Name = "?"
    problem_type: Literal["regression", "single_label_classification", "multi_label_classification"] | None = None
    id2label: dict[str, Name] | None = None
    label2id: dict[Name, Index] | None = None
    num_labels: Annotated[int, Meta(ge=1, le=MOST_LABELS)] | None = None
    pad_token_id: int | None = None
    eos_token_id: Index | list[Index] | None = None
    bos_token_id: Index | list[Index] | None = None
    max_position_embeddings: Count | None = None
    n_positions: Count | None = None
    seq_length: Count | None = None
    vocab_size: Count | None = None
    type_vocab_size: Index | None = None
    hidden_size: Count | None = None
    num_hidden_layers: Count | None = None
    num_attention_heads: Count | None = None
    num_key_value_heads: Count | None = None
    head_dim: Count | None = None
    intermediate_size: Count | None = None
    dim: Count | None = None
    n_layers: Count | None = None
    n_heads: Count | None = None
    hidden_dim: Count | None = None
    n_embd: Count | None = None
    n_layer: Count | None = None
    n_head: Count | None = None
    n_inner: Count | None = None
    hidden_act: str | None = None
    activation: str | None = None
    activation_function: str | None = None
    layer_norm_eps: Positive | None = None
    layer_norm_epsilon: Positive | None = None
    rms_norm_eps: Positive | None = None
    initializer_range: Amount | None = None
    hidden_dropout_prob: Share | None = None
    attention_probs_dropout_prob: Share | None = None
    classifier_dropout: Share | None = None
    dtype: str | None = None
    torch_dtype: str | None = None
    tie_word_embeddings: bool | None = None
    is_decoder: bool | None = None
    add_cross_attention: bool | None = None
    use_cache: bool | None = None
    quantization_config: dict[str, Any] | None = None
    rope_parameters: dict[str, Any] | None = None
    rope_scaling: dict[str, Any] | None = None


class Token(Struct, frozen=True):
    """A special token with its settings, where it is not only a text."""

    content: Name


class Template(Struct, frozen=True):
    """One of several templates of a conversation."""

    name: Name
    template: str


class TokenizerConfig(Struct, frozen=True):
    """tokenizer_config.json. A tokenizer without a limit is written with one of 10^30."""

    model_max_length: Positive | None = None
    bos_token: str | Token | None = None
    eos_token: str | Token | None = None
    unk_token: str | Token | None = None
    sep_token: str | Token | None = None
    pad_token: str | Token | None = None
    cls_token: str | Token | None = None
    mask_token: str | Token | None = None
    chat_template: str | list[Template] | None = None
    tokenizer_class: str | None = None
    do_lower_case: bool | None = None
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool | None = None
    add_prefix_space: bool | None = None


class Generation(Struct, frozen=True):
    """generation_config.json. Instruction-tuned models name more ends of a text there than in config.json."""

    eos_token_id: Index | list[Index] | None = None
    pad_token_id: int | None = None
    bos_token_id: Index | list[Index] | None = None


class Module(Struct, frozen=True):
    """One row of modules.json: a step of an embedder, in the folder `path`."""

    type: Name
    path: str = ""
    name: str = ""
    idx: Index = 0


class Modality(Struct, frozen=True):
    """How the transformer is called for one kind of input, and which of its outputs is taken."""

    method: Name = "forward"
    method_output_name: Name = "last_hidden_state"


class Transformer(Struct, frozen=True):
    """sentence_bert_config.json."""

    max_seq_length: Count | None = None
    do_lower_case: bool = False
    transformer_task: Name = "feature-extraction"
    modality_config: dict[Name, Modality] | None = None
    module_output_name: Name = "token_embeddings"

    @property
    def reads_text(self) -> bool:
        """True where texts go in and every token's last hidden state comes out, as older folders leave unsaid."""
        text = Modality() if self.modality_config is None else self.modality_config.get("text")
        return text == Modality() and self.module_output_name == "token_embeddings"


class Sentences(Struct, frozen=True):
    """config_sentence_transformers.json."""

    default_prompt_name: Name | None = None
    prompts: dict[str, str | None] | None = None
    similarity_fn_name: str | None = None
    truncate_dim: Count | None = None
    model_type: str | None = None


class SetFit(Struct, frozen=True):
    """config_setfit.json."""

    labels: list[Name] | None = None
    normalize_embeddings: bool = False


class Shards(Struct, frozen=True):
    """model.safetensors.index.json: the file that each tensor lies in."""

    weight_map: dict[Name, Name]


class _HeadRow(Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["label", "labels", "tags"]
    labels: list[Name]


def read_config(folder: Path) -> Config:
    """The folder's config.json. MctError where it is missing, or not what transformers writes."""
    return read_json(folder / CONFIG, Config)


def read_if_there(path: Path, wanted: type[T]) -> T:
    """The file at `path` as `kind`; `kind` without anything said where there is none."""
    return read_json(path, wanted) if path.exists() or path.is_symlink() else wanted()


def read_heads(folder: Path) -> tuple[Head, ...]:
    """The heads that heads.json names. MctError for none, for one named like the text, and for one without labels."""
    path = folder / HEADS
    rows: Mapping[str, _HeadRow] = read_json(path, dict[Name, _HeadRow])
    if not rows or "text" in rows:
        raise MctError(
            f"{path} names {'no head' if not rows else 'a head `text`, which is the field that asks'}",
            'one entry a head, like {"label": {"kind": "label", "labels": ["returns", "other"]}}',
        )
    return tuple(Head(name, row.kind, distinct(row.labels, f"{path}: head {name!r}")) for name, row in rows.items())


def pad_id(folder: Path) -> int:
    """The token id that fills up shorter inputs of a batch; some families count their positions by it."""
    return max(read_if_there(folder / CONFIG, Config).pad_token_id or 0, 0)  # -1 stands for none in old configurations


def stop_ids(folder: Path) -> frozenset[int]:
    """The token ids that end a text, as the folder's configuration names them; none where it does not."""
    for config in (read_if_there(folder / GENERATION, Generation), read_if_there(folder / CONFIG, Config)):
        if (ids := config.eos_token_id) is not None:
            return frozenset(ids if isinstance(ids, list) else [ids])
    return frozenset()


def labels_of(config: Config, path: Path) -> tuple[str, ...]:
    """The labels of config.json in the order of the model's outputs, which `id2label` numbers from 0."""
    if config.id2label is None:
        return tuple(f"LABEL_{number}" for number in range(config.num_labels or 2))
    numbers = [str(number) for number in range(len(config.id2label))]
    if set(config.id2label) != set(numbers) or config.num_labels not in (None, len(numbers)):
        raise MctError(
            f"{path}: `$.id2label` does not number {len(numbers)} labels from 0",
            "save it again with: model.save_pretrained(folder)",
        )
    return distinct([config.id2label[number] for number in numbers], f"{path}: `$.id2label`")


def distinct(labels: Sequence[str], place: str) -> tuple[str, ...]:
    """The labels, of which there is at least one and none twice."""
    if not labels:
        raise MctError(f"{place} has no labels", "name each output's label, in order")
    if twice := [label for label, times in Counter(labels).items() if times > 1]:
        raise MctError(
            f"{place} has the label {twice[0]!r} twice", "an answer could not be told from another: rename one"
        )
    return tuple(labels)


def read_tokenizer(folder: Path) -> dict[str, Any]:
    """What tokenizer.json says. One that leaves out the kind of its model, as old ones do, is read by its library."""
    path = folder / "tokenizer.json"
    found = read_object(path)
    model = found.get("model")
    if not isinstance(model, dict) or "type" not in model:
        found = load("mct.models.tasks.tokens:read_whole")(folder)
    return found


def pieces_of(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    """Every piece with its id, those added beside the model's own among them."""
    model = tokenizer["model"]
    if model["type"] == "Unigram":
        found = {piece: number for number, (piece, _) in enumerate(model["vocab"])}
    else:
        found = dict(model["vocab"])
    return found | {added["content"]: added["id"] for added in tokenizer.get("added_tokens", ())}
