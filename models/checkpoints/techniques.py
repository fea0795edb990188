"""How a checkpoint was fine-tuned, told from its folder: one row a technique, each with the clues that tell it.

Several may hold: a DPO policy can be a LoRA adapter. Every statement carries its evidence, and where nothing tells the
answer is "unknown": RAFT leaves a plain folder where its prompt format (raft.json) does not lie in it, and is told by
`--technique` then. Another package adds a row by its entry point of the group `mct.techniques`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mct.models.checkpoints.adapted import head_rows, head_tensor
from mct.models.checkpoints.adapters import ALTERED_BASE, REFERENCE, Adapter
from mct.models.checkpoints.evidence import Contents
from mct.models.families.table import find_family
from mct.models.tables import added_by_others, unknown
from mct.models.tasks.prompt_format import FILE as PROMPT_FORMAT

UNKNOWN = "unknown"
CLASSIFIER = "ForSequenceClassification"
SHOWN = 3

Evidence = tuple[str, ...]
Clue = Callable[[Contents], Evidence]


@dataclass(frozen=True)
class Statement:
    """One thing that is so of a folder ("technique": "lora"), and what in it says so."""

    what: str
    value: str
    evidence: Evidence

    def as_json(self) -> dict[str, Any]:
        """Plain values, for --json."""
        return {"what": self.what, "value": self.value, "evidence": list(self.evidence)}


@dataclass(frozen=True)
class Technique:
    """One table row: a name, what it means, and the clue that tells it of a folder's contents ("" evidence if not)."""

    name: str
    about: str
    clue: Clue


def _adapters(contents: Contents) -> Iterable[tuple[str, Adapter]]:
    for name, adapter in contents.adapters.items():
        yield "adapter_config.json" if adapter.folder == contents.path else f"{name}/adapter_config.json", adapter


def _counted(adapter: Adapter, parts: tuple[str, ...]) -> str:
    """How many of the adapter's tensors are named by each part: ", 24 tensors `.lora_A`"."""
    counts = {part: sum(part in name for name in adapter.tensors) for part in parts}
    return "".join(f", {count} tensor{'s' * (count > 1)} `{part}`" for part, count in counts.items() if count)


def by_peft(kind: str, *parts: str, unless: Callable[[Adapter], bool] = lambda adapter: False) -> Clue:
    """Told by an adapter's peft_type, and tensors whose names have these parts."""

    def clue(contents: Contents) -> Evidence:
        return tuple(
            f"{file}: peft_type {kind}{_counted(adapter, parts)}"
            for file, adapter in _adapters(contents)
            if adapter.config.peft_type == kind and not unless(adapter)
        )

    return clue


def by_tag(*tags: str) -> Clue:
    """Told by what a training library wrote among the README's tags."""
    return lambda contents: tuple(f"README.md: tag {tag}" for tag in contents.tags if tag in tags)


def by_module(*kinds: str) -> Clue:
    """Told by a step of sentence-transformers: the last part of its long name."""

    def clue(contents: Contents) -> Evidence:
        found = (name for name in contents.modules if name.rpartition(".")[2] in kinds)
        return tuple(f"modules.json: {name.rpartition('.')[2]}" for name in found)

    return clue


def by_file(name: str) -> Clue:
    """Told by a file that lies in the folder."""
    return lambda contents: (name,) if name in contents.files else ()


def by_step(step: str) -> Clue:
    """Told by how mct itself made the folder."""
    return lambda contents: tuple(f"mct-lineage.json: step {step}" for name in contents.steps if name == step)


def any_of(*clues: Clue) -> Clue:
    """Told by any of these clues."""
    return lambda contents: tuple(line for clue in clues for line in clue(contents))


def _is_dora(adapter: Adapter) -> bool:
    return adapter.config.use_dora or any(".lora_magnitude_vector" in name for name in adapter.tensors)


def _qlora(contents: Contents) -> Evidence:
    """peft leaves no key that says so: only what is said of the base."""
    for file, adapter in _adapters(contents):
        if adapter.config.peft_type == "LORA" and (said := base_in_four_bits(contents, file, adapter)):
            return said
    return ()


def base_in_four_bits(contents: Contents, file: str, adapter: Adapter) -> Evidence:
    """What says that an adapter's base was held in 4 bits while it was trained."""
    found = []
    if any(mark in adapter.base_name.lower() for mark in ("bnb-4bit", "-4bit", "_4bit")):
        found.append(f"{file}: base_model_name_or_path {adapter.base_name}")
    if adapter.config.loftq_config:
        found.append(f"{file}: loftq_config")
    card = contents.path / "README.md"
    if "README.md" in contents.files and "load_in_4bit: True" in card.read_text(encoding="utf-8", errors="replace"):
        found.append("README.md: load_in_4bit: True")
    method = contents.config.get("quantization_config")
    if isinstance(method, dict) and method.get("load_in_4bit"):
        found.append("config.json: quantization_config load_in_4bit")
    return tuple(found)


def _dora(contents: Contents) -> Evidence:
    return tuple(
        f"{file}: peft_type LORA, use_dora {str(adapter.config.use_dora).lower()}"
        f"{_counted(adapter, ('.lora_magnitude_vector',))}"
        for file, adapter in _adapters(contents)
        if adapter.config.peft_type == "LORA" and _is_dora(adapter)
    )


def _preference(contents: Contents) -> Evidence:
    held = [name for name in contents.adapters if name.rpartition("/")[2] == REFERENCE and len(contents.adapters) > 1]
    return (*by_tag(*_PREFERENCE_TAGS)(contents), *(f"{name}/: the adapter of the reference model" for name in held))


def _reward(contents: Contents) -> Evidence:
    family = find_family(str(contents.config.get("model_type", "")))
    decides = contents.architecture.endswith(CLASSIFIER) and _label_count(contents) == 1
    one = decides and family is not None and family.decoder
    said = (f"config.json: {contents.architecture} with one label, a decoder",) if one else ()
    return (*by_tag("reward-trainer")(contents), *said)


def _cross_encoder(contents: Contents) -> Evidence:
    if contents.sentences.get("model_type") == "CrossEncoder":
        return ("config_sentence_transformers.json: model_type CrossEncoder",)
    family = find_family(str(contents.config.get("model_type", "")))
    if contents.architecture.endswith(CLASSIFIER) and _label_count(contents) == 1 and not (family and family.decoder):
        return (f"config.json: {contents.architecture} with one label, an encoder",)
    return ()


def _label_count(contents: Contents) -> int:
    labels = contents.config.get("id2label")
    return len(labels) if isinstance(labels, dict) else int(contents.config.get("num_labels") or 2)


def _contrastive(contents: Contents) -> Evidence:
    if contents.sentences.get("model_type") == "CrossEncoder" or "config_setfit.json" in contents.files:
        return ()
    routers = ("router_config.json",) if "router_config.json" in contents.files else ()
    return (*by_module("Pooling", "WordWeights", "WordEmbeddings")(contents), *routers)


def _setfit(contents: Contents) -> Evidence:
    return tuple(name for name in ("config_setfit.json", "model_head.pkl") if name in contents.files)


def _heads(contents: Contents) -> Evidence:
    return (f"heads.json: {', '.join(contents.heads)}",) if contents.heads else ()


def _experts(contents: Contents) -> Evidence:
    return tuple(
        f"config.json: {key} {contents.config[key]}"
        for key in EXPERT_COUNTS
        if isinstance(contents.config.get(key), int) and contents.config[key] > 1
    )


def _full(contents: Contents) -> Evidence:
    """Whole weights with a head that no pretraining leaves, and nothing that tells a technique of its own."""
    heads = ("ForSequenceClassification", "ForTokenClassification")
    if contents.tensors and not contents.adapters and contents.architecture.endswith(heads):
        return (f"config.json: {contents.architecture}, {len(contents.tensors)} tensors, no adapter",)
    return by_tag("sft")(contents) if contents.tensors and not contents.adapters else ()


_PREFERENCE_TAGS = ("dpo", "kto", "orpo", "grpo", "cpo", "rloo", "online-dpo", "nash-md", "xpo", "bco", "gkd", "ppo")
EXPERT_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts")

TECHNIQUES = (
    Technique("qlora", "low-rank updates trained on a base in 4 bits", _qlora),
    Technique("dora", "low-rank updates with a magnitude of their own", _dora),
    Technique("lora", "low-rank updates of matrices", by_peft("LORA", ".lora_A", ".lora_B", unless=_is_dora)),
    Technique("adalora", "low-rank updates, ranks shared out by importance", by_peft("ADALORA", ".lora_E")),
    Technique("ia3", "learned scales of activations", by_peft("IA3", ".ia3_l")),
    Technique("vera", "scales of shared random matrices", by_peft("VERA", ".vera_lambda_b", ".vera_lambda_d")),
    Technique("oft", "orthogonal turns of matrices", by_peft("OFT", ".oft_R")),
    Technique("boft", "orthogonal turns in butterfly form", by_peft("BOFT", ".boft_R", ".boft_s")),
    Technique("ln-tuning", "the norms alone", by_peft("LN_TUNING", ".ln_tuning_layers")),
    Technique("prompt-tuning", "virtual tokens before every text", by_peft("PROMPT_TUNING", "prompt_embeddings")),
    Technique("p-tuning", "virtual tokens made by an encoder", by_peft("P_TUNING", "prompt_embeddings")),
    Technique("prefix-tuning", "keys and values before every layer", by_peft("PREFIX_TUNING", "prompt_embeddings")),
    Technique("setfit", "a contrastive embedder with a head, from few examples", _setfit),
    Technique("static-embedding", "a table of vectors, averaged", by_module("StaticEmbedding")),
    Technique("cross-encoder", "one score for two texts read together", _cross_encoder),
    Technique("contrastive", "vectors trained on pairs", _contrastive),
    Technique("multi-task", "several heads on one backbone", _heads),
    Technique("dpo", "trained on preferences, without a reward model or with one", _preference),
    Technique("reward", "a score of an answer, trained on preferences", _reward),
    Technique("moe", "experts, of which each token takes few", _experts),
    Technique("distilled", "trained on a teacher's answers", any_of(by_step("distil"), by_tag("distillation"))),
    Technique("qat", "trained with its weights rounded", by_file("qat.json")),
    Technique("raft", "answers from documents among distractors", by_file(PROMPT_FORMAT)),
    Technique("continual", "updated month by month", by_tag("continual-learning")),
    Technique("full", "all weights trained", _full),
)  # fmt: skip

# Where one of these holds, the folder needs no other word for how its weights came about.
_SAYS_IT_ALL = frozenset({"setfit", "static-embedding", "cross-encoder", "contrastive", "multi-task", "dpo", "reward"})


def techniques() -> tuple[Technique, ...]:
    """Every row, those that other packages add among them."""
    return (*TECHNIQUES, *added_by_others("mct.techniques", Technique))


def detect(contents: Contents, told: str = "", of_base: str = "") -> tuple[Statement, ...]:
    """The techniques that hold of a folder, each with its evidence; "unknown" where nothing tells.

    `told` is what the user says it is, which stands before what is seen. `of_base` says that an adapter's base was held
    in 4 bits, where that is known from elsewhere.
    """
    known = {row.name: row for row in techniques()}
    if told and told not in known:
        raise unknown("technique", told, known)
    found = {name: row.clue(contents) for name, row in known.items()}
    found |= _of_other_adapters(contents, found)
    seen = {name: said for name, said in found.items() if said and name != told}
    if of_base and "lora" in seen:
        seen = {"qlora": (of_base,)} | seen
    if "qlora" in seen or told == "qlora":
        seen.pop("lora", None)
    if told or seen.keys() & _SAYS_IT_ALL or contents.steps[1:]:
        seen.pop("full", None)
    if told:
        return tuple(_stated({told: ("--technique",)} | seen))
    return tuple(_stated(seen or {UNKNOWN: ("nothing in the folder tells",)}))


def _of_other_adapters(contents: Contents, found: Mapping[str, Evidence]) -> dict[str, Evidence]:
    """Types of peft that have no row: the technique goes by the type's name."""
    rows = {line for said in found.values() for line in said}
    others: dict[str, Evidence] = {}
    for file, adapter in _adapters(contents):
        kind = adapter.config.peft_type
        if not any(line.startswith(f"{file}: peft_type {kind}") for line in rows):
            others[kind.lower().replace("_", "-")] = (f"{file}: peft_type {kind}",)
    return others


def _stated(found: Mapping[str, Evidence]) -> Iterable[Statement]:
    return (Statement("technique", name, said[:SHOWN]) for name, said in found.items())


def describe(contents: Contents) -> tuple[Statement, ...]:
    """What else the folder alone says: family, base, adapters, heads, virtual tokens, experts, what is quantised."""
    found = []
    if family := contents.config.get("model_type"):
        found.append(Statement("family", str(family), ("config.json: model_type",)))
    found += [Statement("head", name, ("heads.json",)) for name in contents.heads]
    for file, adapter in _adapters(contents):
        count = f"{len(adapter.tensors)} tensor{'s' * (len(adapter.tensors) > 1)}"
        found.append(Statement("adapter", adapter.name, (f"{file}: peft_type {adapter.config.peft_type}, {count}",)))
        if adapter.config.task_type:
            found.append(Statement("adapter task", adapter.config.task_type, (f"{file}: task_type",)))
        if adapter.base_name:
            found.append(Statement("base", adapter.base_name, (f"{file}: base_model_name_or_path",)))
        if name := head_tensor(adapter):
            shape = " x ".join(map(str, adapter.tensors[name]))
            found.append(Statement("head", f"{head_rows(adapter)} outputs", (f"tensor {name}, {shape}",)))
        if adapter.virtual_tokens:
            found.append(Statement("virtual tokens", str(adapter.virtual_tokens), (f"{file}: num_virtual_tokens",)))
        if _alters_its_base(adapter):
            how = adapter.config.init_lora_weights or "loftq"
            found.append(Statement("altered base", str(how), (f"{file}: init_lora_weights, loftq_config",)))
        if said := base_in_four_bits(contents, file, adapter):
            found.append(Statement("base quantisation", "4 bits", said))
    if contents.quantised:
        found.append(Statement("quantisation", contents.quantised, ("tensors `.quant_state.bitsandbytes__…`",)))
    if said := _experts(contents):
        found.append(Statement("experts", said[0].rpartition(" ")[2], said))
    return tuple(dict.fromkeys(found))


def _alters_its_base(adapter: Adapter) -> bool:
    how = adapter.config.init_lora_weights
    return bool(adapter.config.loftq_config) or (isinstance(how, str) and how.startswith(ALTERED_BASE))
