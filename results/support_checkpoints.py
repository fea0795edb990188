"""One small checkpoint of every task kind and model family, with random weights, each written by its own library.

Wide enough (256) for every block-wise type, trained on nothing: whether a format can hold a kind of model does not
depend on what the model has learnt. Tokenizers are trained on the built-in shop messages.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from mct.models.checkpoints.load_heads import save_heads
from mct.models.scenarios.shop.intents import generate
from mct.models.tasks.table import Head

WIDTH, LAYERS, HEADS, LONGEST = 256, 2, 4, 128
SPREAD = 0.08
LABELS = ("returns", "checkout", "escalation")
TAGS = ("O", "B-title", "I-title", "B-volume")
LLAMA_3 = "|".join(
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
QWEN_2 = LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")


def messages() -> list[str]:
    """Texts of the built-in generator."""
    return [row["text"] for row in generate(0, production=1000, synthetic=200).train]


# -- tokenizers -----------------------------------------------------------------------------------------------------


def word_pieces() -> transformers.PreTrainedTokenizerFast:
    """WordPiece, as BERT has it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(messages(), trainers.WordPieceTrainer(vocab_size=1000, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=LONGEST)


def byte_pairs(pattern: str = "", special: tuple[str, ...] = ("<|endoftext|>",)) -> Tokenizer:
    """Byte-level BPE that splits by `pattern`, as GPT-2 does without one."""
    tokenizer = Tokenizer(models.BPE())
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern)
    split = [pre_tokenizers.Split(_regex(pattern), "isolated")] if pattern else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, bytes_only]) if pattern else bytes_only
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=list(special), initial_alphabet=alphabet)
    tokenizer.train_from_iterator(messages(), trainer)
    return tokenizer


def _regex(pattern: str) -> Any:
    from tokenizers import Regex

    return Regex(pattern)


def language_tokens(pattern: str = "") -> transformers.PreTrainedTokenizerFast:
    """A language model's tokenizer."""
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_pairs(pattern), eos_token="<|endoftext|>", bos_token="<|endoftext|>",
        pad_token="<|endoftext|>", model_max_length=LONGEST,
    )  # fmt: skip


def unigrams() -> transformers.PreTrainedTokenizerFast:
    """SentencePiece's Unigram, as XLM-RoBERTa has it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(messages(), trainers.UnigramTrainer(vocab_size=1000, unk_token="<unk>"))
    special = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]
    pieces = [(piece, score) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"] if piece != "<unk>"]
    return transformers.XLMRobertaTokenizer(vocab=[*special, *pieces], model_max_length=LONGEST)


def roberta_tokens() -> transformers.PreTrainedTokenizerFast:
    """Byte-level BPE with RoBERTa's special tokens."""
    special = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    tokenizer = byte_pairs(special=special)
    tokenizer.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls=("<s>", 0))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", sep_token="</s>",
        cls_token="<s>", unk_token="<unk>", mask_token="<mask>", model_max_length=LONGEST,
    )  # fmt: skip


# -- encoders -------------------------------------------------------------------------------------------------------


def _bert(size: int, **more: Any) -> transformers.PretrainedConfig:
    return transformers.BertConfig(
        vocab_size=size, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH, max_position_embeddings=LONGEST, initializer_range=SPREAD, **more,
    )  # fmt: skip


def _named(labels: tuple[str, ...]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: place for place, label in enumerate(labels)}}


def _save(model: torch.nn.Module, tokens: transformers.PreTrainedTokenizerFast, folder: Path) -> None:
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)


def label_bert(folder: Path) -> None:
    """One label, BERT."""
    tokens = word_pieces()
    _save(transformers.BertForSequenceClassification(_bert(len(tokens), **_named(LABELS))), tokens, folder)


def label_distilbert(folder: Path) -> None:
    """One label, DistilBERT."""
    tokens = word_pieces()
    config = transformers.DistilBertConfig(
        vocab_size=len(tokens), dim=WIDTH, n_layers=LAYERS, n_heads=HEADS, hidden_dim=2 * WIDTH,
        max_position_embeddings=LONGEST, initializer_range=SPREAD, **_named(LABELS),
    )  # fmt: skip
    _save(transformers.DistilBertForSequenceClassification(config), tokens, folder)


def label_roberta(folder: Path) -> None:
    """One label, RoBERTa."""
    tokens = roberta_tokens()
    config = transformers.RobertaConfig(
        vocab_size=len(tokens), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH, max_position_embeddings=LONGEST + 2, initializer_range=SPREAD, type_vocab_size=1,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, **_named(LABELS),
    )  # fmt: skip
    _save(transformers.RobertaForSequenceClassification(config), tokens, folder)


def _label(
    family: str, tokens: Callable[[], transformers.PreTrainedTokenizerFast], **more: Any
) -> Callable[[Path], None]:
    """One label, a family that takes its sizes as BERT does."""

    def write(folder: Path) -> None:
        made = tokens()
        sizes = {
            "vocab_size": len(made), "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "intermediate_size": 2 * WIDTH, "max_position_embeddings": LONGEST, "initializer_range": SPREAD,
            "pad_token_id": made.pad_token_id, **_named(LABELS),
        }  # fmt: skip
        config = transformers.AutoConfig.for_model(family, **(sizes | more))
        _save(transformers.AutoModelForSequenceClassification.from_config(config), made, folder)

    return write


def labels_bert(folder: Path) -> None:
    """Several labels."""
    tokens = word_pieces()
    config = _bert(len(tokens), problem_type="multi_label_classification", **_named(LABELS))
    _save(transformers.BertForSequenceClassification(config), tokens, folder)


def tags_bert(folder: Path) -> None:
    """A tag for every word."""
    tokens = word_pieces()
    _save(transformers.BertForTokenClassification(_bert(len(tokens), **_named(TAGS))), tokens, folder)


def heads_bert(folder: Path) -> None:
    """Two heads on one backbone."""
    tokens = word_pieces()
    _save(transformers.BertModel(_bert(len(tokens)), add_pooling_layer=False), tokens, folder)
    heads = (Head("label", "label", LABELS), Head("slots", "tags", TAGS))
    save_heads(folder, heads, {head.name: torch.nn.Linear(WIDTH, len(head.labels)) for head in heads})


def cross_bert(folder: Path) -> None:
    """A score for a pair, saved by sentence-transformers."""
    tokens = word_pieces()
    raw = folder.with_name(folder.name + ".raw")
    _save(transformers.BertForSequenceClassification(_bert(len(tokens), num_labels=1)), tokens, raw)
    CrossEncoder(str(raw), device="cpu").save_pretrained(str(folder))


def embedder(folder: Path) -> SentenceTransformer:
    """A sentence embedder: mean pooling, normalised."""
    tokens = word_pieces()
    raw = folder.with_name(folder.name + ".raw")
    _save(transformers.BertModel(_bert(len(tokens))), tokens, raw)
    parts = [Transformer(str(raw)), Pooling(WIDTH, pooling_mode="mean"), Normalize()]
    model = SentenceTransformer(modules=parts, device="cpu")
    model.save_pretrained(str(folder))
    return model


def setfit(folder: Path) -> None:
    """An embedder and scikit-learn's logistic regression, in SetFit's folder layout."""
    texts = messages()[:60]
    vectors = embedder(folder).encode(texts)
    truth = np.array(LABELS)[np.arange(len(texts)) % len(LABELS)]
    joblib.dump(LogisticRegression(max_iter=50).fit(vectors, truth), folder / "model_head.pkl")
    (folder / "config_setfit.json").write_text(json.dumps({"normalize_embeddings": False, "labels": list(LABELS)}))


# -- language models ------------------------------------------------------------------------------------------------


def _decoder(name: str, pattern: str, **more: Any) -> Callable[[Path], None]:
    """A family that takes its sizes as Llama does."""

    def write(folder: Path) -> None:
        tokens = language_tokens(pattern)
        config = getattr(transformers, f"{name}Config")(**(_sizes(len(tokens)) | more))
        _save(transformers.AutoModelForCausalLM.from_config(config), tokens, folder)

    return write


def _sizes(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": 2, "intermediate_size": 2 * WIDTH, "max_position_embeddings": LONGEST,
        "initializer_range": SPREAD, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
    }  # fmt: skip


def gpt2(folder: Path) -> None:
    """GPT-2: learned positions, one matrix for query, key and value."""
    tokens = language_tokens()
    config = transformers.GPT2Config(
        vocab_size=len(tokens), n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=LONGEST,
        initializer_range=SPREAD, bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    _save(transformers.GPT2LMHeadModel(config), tokens, folder)


def reward_llama(folder: Path) -> None:
    """One number for a text, Llama."""
    tokens = language_tokens(LLAMA_3)
    config = transformers.LlamaConfig(**_sizes(len(tokens)), num_labels=1)
    _save(transformers.LlamaForSequenceClassification(config), tokens, folder)


CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    "label, BERT": label_bert,
    "label, DistilBERT": label_distilbert,
    "label, RoBERTa": label_roberta,
    "label, XLM-RoBERTa": _label("xlm-roberta", unigrams, max_position_embeddings=LONGEST + 2, type_vocab_size=1),
    "label, ModernBERT": _label("modernbert", word_pieces, local_attention=32),
    "label, MPNet": _label("mpnet", roberta_tokens, max_position_embeddings=LONGEST + 2),
    "label, ELECTRA": _label("electra", word_pieces, embedding_size=WIDTH // 2),
    "label, ELECTRA, as wide throughout": _label("electra", word_pieces, embedding_size=WIDTH),
    "label, ALBERT": _label("albert", word_pieces, embedding_size=WIDTH // 2),
    "label, DeBERTa-v2": _label("deberta-v2", word_pieces, relative_attention=True, position_buckets=32),
    "labels, BERT": labels_bert,
    "tags, BERT": tags_bert,
    "heads, BERT": heads_bert,
    "pairs, BERT": cross_bert,
    "embedder, BERT": embedder,
    "SetFit, BERT": setfit,
    "LM, Llama": _decoder("Llama", LLAMA_3),
    "LM, Llama, tied": _decoder("Llama", LLAMA_3, tie_word_embeddings=True),
    "LM, Mistral": _decoder("Mistral", LLAMA_3, sliding_window=None),
    "LM, Qwen2": _decoder("Qwen2", QWEN_2),
    "LM, Qwen3": _decoder("Qwen3", QWEN_2, head_dim=64),
    "LM, GPT-2": gpt2,
    "LM, Mixtral": _decoder("Mixtral", LLAMA_3, num_local_experts=4, num_experts_per_tok=2),
    "LM, Qwen2-MoE": _decoder(
        "Qwen2Moe", QWEN_2, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=WIDTH,
        shared_expert_intermediate_size=WIDTH, decoder_sparse_step=1,
    ),
    "LM, Qwen3-MoE": _decoder(
        "Qwen3Moe", QWEN_2, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=WIDTH, head_dim=64,
        norm_topk_prob=True,
    ),
    "LM, SmolLM3": _decoder("SmolLM3", LLAMA_3, num_hidden_layers=4),
    "LM, Phi-3": _decoder("Phi3", LLAMA_3),
    "LM, Gemma 2": _decoder("Gemma2", LLAMA_3, head_dim=64, sliding_window=32),
    "LM, Gemma 3": _decoder("Gemma3Text", LLAMA_3, head_dim=64, sliding_window=32, num_hidden_layers=6),
    "LM, GPT-NeoX": _decoder("GPTNeoX", "", num_attention_heads=2),
    "LM, BLOOM": _decoder("Bloom", "", n_layer=LAYERS, n_head=HEADS),
    "reward, Llama": reward_llama,
}  # fmt: skip


def write(name: str, folder: Path) -> Path:
    """The named checkpoint, written to `folder`; the same bytes each time."""
    torch.manual_seed(0)
    np.random.seed(0)
    CHECKPOINTS[name](folder)
    return folder
