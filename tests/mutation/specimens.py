"""Valid files of every kind that mct reads, tiny, written by the libraries and functions that write them for users."""

import gzip
import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).resolve().parents[1]
LABELS = ("order", "returns", "other")
WORDS = ("where", "is", "my", "order", "return", "this", "please", "now", "a", "b")
TEXTS = ("where is my order", "return this please", "a b now")

BUDGETS = """\
[own]
task = "sequence-classification"
p95_ms = 15.0
quality_at_least = 0.92
quality_max_drop = 0.005
slices = ["order", "returns"]
slice_max_drop = 0.01
size_mb = 25.0
peak_rss_mb = 500.0

[writer]
task = "causal-lm"
assumed = true
p95_ms = 1500
perplexity_max_increase = 0.05
metric_max_drop = { "next_token_accuracy" = 0.01 }
"""

TARGETS = """\
[box]
device = "cpu"
about = "a box in the shop"
threads = 2
price_per_hour = 0.04

[edge]
device = "cpu"
about = "an older one"
architecture = "x86_64"
instruction_sets = ["avx2", "fma"]
"""

ROWS = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)] * 2


def write_specimens(folder: Path) -> None:
    """All of them, each in a folder of its own below `folder`."""
    write_data(folder / "data")
    write_results(folder / "results")
    write_checkpoints(folder)
    _bench_tests().write_tiny_artifact(folder / "artifact")
    (folder / "limits").mkdir()
    (folder / "limits" / "budgets.toml").write_text(BUDGETS)
    (folder / "limits" / "targets.toml").write_text(TARGETS)


def write_data(folder: Path) -> None:
    """Rows of several task kinds, in three spellings."""
    folder.mkdir()
    files = {
        "rows.jsonl": ROWS,
        "labels.jsonl": [{"text": "a b", "labels": ["order", "other"]}, {"text": "b", "labels": []}],
        "tags.jsonl": [{"text": "where is b", "slots": ["O", "O", "B-order"]}, {"text": "a b", "slots": "B-order O"}],
        "pairs.jsonl": [{"query": "q", "doc_id": 1, "grade": 2}, {"query": "q", "doc_id": "x2", "grade": 0.5}],
        "docs.jsonl": [{"doc_id": 1, "doc": "one"}, {"doc_id": "x2", "doc": "two"}],
        "choices.jsonl": [{"prompt": "p", "chosen": "yes", "rejected": "no"}],
        "heads.jsonl": [{"text": "where is b", "label": "order", "slots": ["O", "O", "B-order"]}],
        "texts.jsonl": [{"text": "a b c d", "prompt": "a b"}, {"text": "b"}],
    }
    for name, rows in files.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress((folder / "rows.jsonl").read_bytes(), mtime=0))
    (folder / "rows.csv").write_text(
        "text,label\n" + "".join(f'"{row["text"]}, now",{row["label"]}\n' for row in ROWS) + "plain,order\n"
    )


def write_results(folder: Path) -> None:
    """A run of three artifacts, the first of them the baseline, one of which died: the result and its samples."""
    from mct.bench.measure.sampling import BenchPlan
    from mct.bench.samples.measurement import Failure
    from mct.bench.store.store import append, make_question
    from mct.models.tasks.datasets import Dataset
    from mct.targets.budget import Budget
    from mct.targets.target import Target

    tests = _bench_tests()
    measure = tests.measured._get_wrapped_function()()
    truth = ("order", "returns", "human") * 20
    dataset = Dataset("rows.jsonl", tuple({"text": "t", "label": label} for label in truth), "a" * 64)
    blocks = tests.lognormal_blocks(1.0, rounds=2, size=40)
    measurements = [
        measure("original", truth, truth, blocks=blocks),
        measure("onnx-int8", truth, ("returns", *truth[1:]), blocks=blocks),
        measure("gguf-q8_0", truth, None, blocks=(), failure=Failure("it died", "try again", ("last words",))),
    ]
    budget = Budget("own", "sequence-classification", p95_ms=5.0, quality_max_drop=0.1, slices=("order",))
    question = make_question(
        [each.subject for each in measurements], dataset, BenchPlan(2, (0, 1)), target=Target("cpu", "cpu", "here"),
        budget=budget, baseline="original",
    )  # fmt: skip
    append(folder, question, measurements, dataset)


def write_checkpoints(folder: Path) -> None:
    """A classifier, the same in shards, several heads, an embedder, SetFit's, and an adapter with its base."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import BertConfig, BertForSequenceClassification, BertModel, GenerationConfig

    torch.manual_seed(0)
    tokenizer = _tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=32, id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    for name, most in (("classifier", "1GB"), ("sharded", "5KB")):
        model.save_pretrained(folder / name, max_shard_size=most)
        tokenizer.save_pretrained(folder / name)
    GenerationConfig(eos_token_id=3, pad_token_id=0).save_pretrained(folder / "classifier")
    _write_heads(folder / "heads", BertModel(config, add_pooling_layer=False), tokenizer)
    BertModel(config).save_pretrained(folder / "backbone")
    tokenizer.save_pretrained(folder / "backbone")
    _write_embedders(folder)
    shutil.copytree(folder / "classifier", folder / "adapter")
    lora = LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"], init_lora_weights=False)
    get_peft_model(model, lora).save_pretrained(folder / "adapter")


def _write_heads(folder: Path, backbone: object, tokenizer: object) -> None:
    import torch

    from mct.models.checkpoints.load_heads import save_heads
    from mct.models.tasks.table import Head

    backbone.save_pretrained(folder)  # type: ignore[attr-defined]
    tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
    heads = (Head("label", "label", LABELS), Head("slots", "tags", ("O", "B-order")))
    save_heads(folder, heads, {head.name: torch.nn.Linear(16, len(head.labels)) for head in heads})


def _write_embedders(folder: Path) -> None:
    import joblib
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
    from sklearn.linear_model import LogisticRegression

    transformer = Transformer(str(folder / "backbone"), max_seq_length=24)
    steps = [transformer, Pooling(16), Dense(16, 8), Normalize()]
    SentenceTransformer(modules=steps, device="cpu").save(str(folder / "embedder"))
    shutil.copytree(folder / "embedder", folder / "setfit")
    vectors = np.random.default_rng(0).normal(size=(30, 8))
    head = LogisticRegression().fit(vectors, np.arange(30) % 3)
    joblib.dump(head, folder / "setfit" / "model_head.pkl")
    (folder / "setfit" / "config_setfit.json").write_text(json.dumps({"normalize_embeddings": False, "labels": LABELS}))


def _tokenizer() -> "object":
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertTokenizerFast

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = Tokenizer(models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=32)


def _bench_tests() -> ModuleType:
    """The bench tests' shared functions: a tiny artifact, and measurements made up by hand."""
    specification = importlib.util.spec_from_file_location("bench_tests", TESTS / "bench" / "conftest.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
