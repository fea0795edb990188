"""The models of results/onnx_graphs.py: its checkpoints, what they are asked, and what is said of a file made of one.

The checkpoints are real architectures that cost seconds to make: latency and rounding hang little on a model's skill.

- minilm: the packaged all-MiniLM-L6-v2 with an untrained head;
- distilbert: the same layers under DistilBERT's names;
- roberta: as wide and as deep, random weights;
- llama: six layers of width 512, random weights;
- mixtral, gpt2: small ones, random weights;
- tinystories: the pretrained TinyStories-656K, where it lies in ../shared.

Each is made once, below `.cache/onnx-graphs/checkpoints`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from banking77_checkpoints import distilbert_weights
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, RobertaTokenizer

from mct import MctError
from mct.bench.statistics.ratio import Ratio
from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.scenarios.shop.intents import INTENTS, generate
from mct.models.training.classification import Classifier, label_names, load_base, save, seeded
from mct.models.writing.folders import write_atomically
from mct.models.writing.replacing import appearing

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".cache" / "onnx-graphs"
MESSAGES = WORK / "messages.jsonl"
TINYSTORIES = ROOT.parent / "shared" / "weights" / "tinystories656K"
LAYERS, WIDTH, HEADS = 6, 384, 12
VOCABULARY = 4_000


def minilm() -> Classifier:
    """The packaged encoder with its pooler."""
    return load_base(str(packaged_minilm()), INTENTS)


def distilbert() -> Classifier:
    """The packaged encoder's layers as DistilBERT has them."""
    bert = minilm()
    old: Any = bert.model
    config = AutoConfig.for_model(
        "distilbert", vocab_size=old.config.vocab_size, dim=WIDTH, hidden_dim=4 * WIDTH, n_layers=LAYERS, n_heads=HEADS,
        **label_names(INTENTS),
    )  # fmt: skip
    model: Any = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    model.distilbert.load_state_dict(distilbert_weights(old))
    return Classifier(model, bert.tokenizer, INTENTS)


def roberta() -> Classifier:
    """Random weights."""
    tokenizer = learned_tokenizer()
    config = AutoConfig.for_model(
        "roberta", vocab_size=len(tokenizer), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH, max_position_embeddings=514, type_vocab_size=1, **label_names(INTENTS),
    )  # fmt: skip
    model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    return Classifier(model, tokenizer, INTENTS)


def llama() -> Classifier:
    """Random weights; a language model has no labels."""
    tokenizer = learned_tokenizer()
    config = AutoConfig.for_model(
        "llama", vocab_size=len(tokenizer), hidden_size=512, intermediate_size=1536, num_hidden_layers=LAYERS,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=512, bos_token_id=0, eos_token_id=2,
        pad_token_id=1,
    )  # fmt: skip
    return Classifier(AutoModelForCausalLM.from_config(config), tokenizer, ())  # type: ignore[no-untyped-call]


def mixtral() -> Classifier:
    """Random weights, two experts of four at work."""
    tokenizer = learned_tokenizer()
    config = AutoConfig.for_model(
        "mixtral", vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, num_local_experts=4, max_position_embeddings=512,
        bos_token_id=0, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    return Classifier(AutoModelForCausalLM.from_config(config), tokenizer, ())  # type: ignore[no-untyped-call]


def gpt2() -> Classifier:
    """Random weights."""
    tokenizer = learned_tokenizer()
    config = AutoConfig.for_model(
        "gpt2", vocab_size=len(tokenizer), n_embd=128, n_layer=2, n_head=4, n_positions=512, bos_token_id=0,
        eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    return Classifier(AutoModelForCausalLM.from_config(config), tokenizer, ())  # type: ignore[no-untyped-call]


def learned_tokenizer() -> RobertaTokenizer:
    """A byte-level BPE learned from shop messages."""
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    texts = [row["text"] for row in generate(0, production=4_000, synthetic=0).train]
    bpe.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=special, show_progress=False)
    with TemporaryDirectory() as folder:
        vocabulary, merges = bpe.save_model(folder)
        return RobertaTokenizer(vocabulary, merges, model_max_length=512)


MADE: dict[str, Callable[[], Classifier]] = {
    "minilm": minilm, "distilbert": distilbert, "roberta": roberta, "llama": llama, "mixtral": mixtral, "gpt2": gpt2,
}  # fmt: skip


def checkpoint_folder(name: str) -> Path:
    """Where the checkpoint lies, made if need be. MctError where what it is made of is missing."""
    if name == "tinystories":
        if not TINYSTORIES.is_dir():
            raise MctError("../shared/weights/tinystories656K is not here", "put TinyStories-656K there")
        return TINYSTORIES
    folder = WORK / "checkpoints" / name
    if not folder.is_dir():
        with appearing(folder) as draft, seeded(0):
            save(MADE[name](), draft)
    return folder


def messages(count: int) -> Path:
    """A file of so many shop messages with their intents."""
    rows = generate(0, production=4 * count, synthetic=0).test[:count]
    lines = [json.dumps({"text": row["text"], "label": row["label"]}) for row in rows]
    write_atomically(MESSAGES, "\n".join(lines) + "\n")
    return MESSAGES


def figures(file: Path, deltas: Mapping[str, float]) -> dict[str, Any]:
    """Of an ONNX file: nodes, size with the weights beside it, and how far its logits are from torch's.

    Of the |differences| the largest and the mean, and the largest in spreads of the logits, by the names that
    `mct.compress.run.parity.Parity` has for them.
    """
    nodes = onnx.load(file, load_external_data=False).graph.node
    size = sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))
    return {
        "nodes": len(nodes),
        "fused_operators": sorted({node.op_type for node in nodes if node.domain == "com.microsoft"}),
        "size_mb": round(size / 1e6, 3),
        **{name: deltas[name] for name in ("max_abs_delta", "mean_abs_delta", "max_delta")},
    }


def times_faster(ratio: Ratio) -> dict[str, float]:
    """A ratio of our latency to theirs, turned round, and the rounds that it was told from."""
    times = {"value": 1 / ratio.value, "low": 1 / ratio.high, "high": 1 / ratio.low}
    return {name: round(value, 3) for name, value in times.items()} | {"rounds": ratio.rounds}
