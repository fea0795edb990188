"""Does llama.cpp cut text into the same ids as the original tokenizer? On 10,000 real texts, for every kind we write.

Run from the repository root: `python results/gguf_tokenizers.py`. The texts are manga titles and readings in Japanese,
shop questions and answers, banking messages, and lines of emoji, scripts and spaces that break tokenizers. The
tokenizers are trained on them here with the real families' own patterns, because a pattern and not a vocabulary is what
goes wrong; beside them stands the pretrained one of TinyStories-656K. Each is written as a GGUF file and read by
llama.cpp itself.

The table goes to stdout, everything to results/gguf_tokenizers.json.
"""

import gzip
import io
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import sentencepiece
from gguf import GGUFWriter
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from mct.compress.gguf.byte_level import LLAMA_3, QWEN_2, QWEN_3_5
from mct.compress.gguf.tokenizer import add_vocabulary, read_vocabulary
from mct.models.writing.folders import write_json

SHARED = Path(__file__).resolve().parents[2] / "shared"
PRETRAINED = SHARED / "weights" / "tinystories656K"
RESULT = Path(__file__).with_suffix(".json")
WANTED, VOCABULARY = 10_000, 4000

EMOJI = [
    "😀",
    "😂",
    "🥲",
    "👍🏽",
    "👨\u200d👩\u200d👧\u200d👦",
    "🏳️\u200d🌈",
    "🇯🇵",
    "❤️",
    "✨",
    "🎌",
    "📚",
    "🈂️",
    "0️⃣",
    "☕️",
    "🧑🏿\u200d🚀",
    "⚔️",
    "🫶",
]
AWKWARD = (
    "don't DON'T I'LL we've they'RE o'clock", "12345 1,234.56 ２０２４年 ¼ ⅷ ٣٤", "a  b   c    d", " leading",
    "trailing  ", "tab\tand\r\nlines\n\n\nend", "e\u0301 vs é, が vs か\u3099", "http://x.y/z?a=b&c=%20#frag",
    "naïve café Ωμέγα Привет שלום مرحبا हिन्दी ไทย 한국어", "x=1;y+=2//c", "…—“”‘’『』「」、。！？～",
    "\u200b\u00a0\u3000spaces", "ＦＵＬＬ ｗｉｄｔｈ ﾊﾝｶｸ",
)  # fmt: skip


def main() -> None:
    """Every kind of tokenizer on every text."""
    texts = read_texts(SHARED / "data")
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, write in TOKENIZERS.items():
            folder = Path(scratch) / name.replace(" ", "-")
            folder.mkdir()
            write(folder, texts)
            found[name] = compare(folder, texts)
            print(f"| {name} | {found[name]['pre']} | {found[name]['same']} of {len(texts)} | {_shown(found[name])} |")
    write_json(RESULT, {"texts": len(texts), "tokenizers": found})


def _shown(entry: dict[str, Any]) -> str:
    return "; ".join(entry["differences_noted"]) or "-"


def read_texts(data: Path) -> list[str]:
    """10,000 real texts, the same each time."""
    sources = {
        "product_qa_answers/dev.jsonl": ("question", "context", "answer"),
        "banking77/test.jsonl": ("text",),
        "madb_manga/works.jsonl.gz": ("title", "kana"),
    }
    pools = [_column(data / path, fields) for path, fields in sources.items()]
    rng = random.Random(0)
    lines = [*AWKWARD, *(_emoji_line(rng) for _ in range(800))]
    for left, pool in zip(range(len(pools), 0, -1), sorted(pools, key=len), strict=True):
        share = (WANTED - len(lines)) // left
        lines += rng.sample(pool, min(share, len(pool)))
    return lines


def _column(path: Path, fields: tuple[str, ...]) -> list[str]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [json.loads(line) for line in raw.decode("utf-8").splitlines()]
    return [row[field] for row in rows for field in fields if row.get(field)]


def _emoji_line(rng: random.Random) -> str:
    words = ["great", "漫画", "vol.3", "ありがとう!", "where is it??", "10巻"]
    return rng.choice(["", " "]).join(rng.choice(EMOJI + words) for _ in range(rng.randint(1, 8)))


def compare(folder: Path, texts: Sequence[str]) -> dict[str, Any]:
    """Ids by tokenizer.json and by llama.cpp, of each text. Texts that llama.cpp cannot take are counted apart."""
    original = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = read_vocabulary(folder, original.get_vocab_size())
    cut = open_llama(folder)
    known = [text for text in texts if vocabulary.model != "llama" or _takes(vocabulary.types, original, text)]
    wrong = [text for text in known if cut(text) != original.encode(text).ids]
    return {
        "model": vocabulary.model,
        "pre": vocabulary.pre,
        "same": len(known) - len(wrong),
        "not_taken": len(texts) - len(known),
        "wrong": wrong[:10],
        "differences_noted": list(vocabulary.differences),
    }


def _takes(types: Sequence[int], original: Tokenizer, text: str) -> bool:
    """llama.cpp's SentencePiece ends the process on an unknown character where there are no byte tokens."""
    return 6 in types or original.token_to_id("<unk>") not in original.encode(text).ids


def open_llama(folder: Path) -> Callable[[str], list[int]]:
    """llama.cpp's own tokenizer of a folder, through a GGUF file that holds nothing else."""
    vocabulary = read_vocabulary(folder, Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size())
    writer = GGUFWriter(folder / "vocabulary.gguf", "llama")
    add_vocabulary(writer, vocabulary)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = llama_cpp.Llama(str(folder / "vocabulary.gguf"), vocab_only=True, verbose=False)
    return lambda text: model.tokenize(text.encode(), add_bos=True, special=True)


# -- tokenizers -----------------------------------------------------------------------------------------------------


def byte_level(pattern: str = "", ignore_merges: bool = False, digits: bool = False) -> Callable[..., None]:
    """Byte-level BPE with a family's pattern, GPT-2's without one."""

    def write(folder: Path, texts: Sequence[str]) -> None:
        tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
        steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
        steps += [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=["<|begin_of_text|>", "<|end_of_text|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        )  # fmt: skip
        tokenizer.train_from_iterator(texts, trainer)
        if ignore_merges:
            begin = [("<|begin_of_text|>", 0)]
            tokenizer.post_processor = processors.TemplateProcessing(
                single="<|begin_of_text|> $A", special_tokens=begin
            )
        _save(tokenizer, folder, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>")

    return write


def roberta(folder: Path, texts: Sequence[str]) -> None:
    """RoBERTa's byte-level BPE."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    _save(tokenizer, folder, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>")


def word_piece(lowercase: bool) -> Callable[..., None]:
    """BERT's WordPiece, which may lower letters and then strips accents."""

    def write(folder: Path, texts: Sequence[str]) -> None:
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        _save(tokenizer, folder, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")

    return write


def sentence_piece(prepend: bool) -> Callable[..., None]:
    """SentencePiece's own BPE with bytes to fall back on, every way to make a token a merge, as Llama 2's is."""

    def write(folder: Path, texts: Sequence[str]) -> None:
        trained = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=trained, vocab_size=VOCABULARY + 256, model_type="bpe",
            byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
            character_coverage=0.9995, minloglevel=2,
        )  # fmt: skip
        pieces = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
        vocabulary = {pieces.id_to_piece(row): row for row in range(len(pieces))}
        merges = [pair for text in vocabulary for pair in _ways(text, vocabulary)]
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        replace = normalizers.Replace(" ", "▁")
        before = [normalizers.Prepend("▁")] if prepend else []
        tokenizer.normalizer = normalizers.Sequence([*before, replace])
        tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        _save(tokenizer, folder, bos_token="<s>", eos_token="</s>", unk_token="<unk>")

    return write


def _ways(text: str, vocabulary: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Every pair of tokens that makes `text`, but for those that are single or special."""
    if text in {"<unk>", "<s>", "</s>"} or text.startswith("<0x"):
        return
    for cut in range(1, len(text)):
        if text[:cut] in vocabulary and text[cut:] in vocabulary:
            yield text[:cut], text[cut:]


def pretrained(folder: Path, texts: Sequence[str]) -> None:
    """The tokenizer of TinyStories-656K: one merge for each token, no byte tokens."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(PRETRAINED / name, folder / name)


def _save(tokenizer: Tokenizer, folder: Path, **special: str) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(special), encoding="utf-8")


TOKENIZERS: dict[str, Callable[..., None]] = {
    "GPT-2": byte_level(),
    "Llama 3": byte_level(LLAMA_3, ignore_merges=True),
    "Llama 3, merges kept": byte_level(LLAMA_3),
    "Qwen 2": byte_level(QWEN_2),
    "Qwen 3.5": byte_level(QWEN_3_5),
    "SmolLM": byte_level(digits=True),
    "RoBERTa": roberta,
    "SentencePiece": sentence_piece(prepend=True),
    "SentencePiece, no space in front": sentence_piece(prepend=False),
    "TinyStories-656K": pretrained,
    "WordPiece, cased": word_piece(lowercase=False),
    "WordPiece, uncased": word_piece(lowercase=True),
}

if __name__ == "__main__":
    main()
