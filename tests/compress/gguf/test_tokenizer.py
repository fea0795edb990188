"""llama.cpp's own tokenizer, reading what we write, gives the ids of tokenizer.json. At full size: results/."""

import json
import zlib
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import llama_cpp
import pytest
from gguf import GGUFWriter
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from mct import MctError
from mct.compress.gguf.byte_level import BLOOM, LLAMA_3, QWEN_2, QWEN_3_5
from mct.compress.gguf.tokenizer import add_vocabulary, read_vocabulary

SHARED = Path(__file__).resolve().parents[4] / "shared"
TEXTS = (
    "don't DON'T we'll, where's my order?? 👍🏽 👨‍👩‍👧 🇯🇵", "注文 12345 はどこですか。ＡＢＣ ﾊﾝｶｸ",
    "a  b   c \t d\r\n\n e ",
    " leading, 1,234.56 ½ ⅷ", "naïve café Привет שלום हिन्दी 한국어", "x=1;y+=2 // http://x.y/z?a=b&c=%20", "",
    "one two three one two three ones twos threes", "ＡＢ\tone  ﬁne\u0301 e\n",
)  # fmt: skip


def _byte_level(*steps: pre_tokenizers.PreTokenizer, ignore_merges: bool = False, builtin: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=builtin)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, bytes_only])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def _split(pattern: str) -> pre_tokenizers.Split:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def _sentencepiece(normalizer: normalizers.Normalizer | None, metaspace: str = "", split: bool = False) -> Tokenizer:
    """Characters, bytes and words, with every way to make a token as a merge."""
    words = ["▁one", "▁two", "▁three", "▁ones", "▁a", "on", "one", "ne", "wo", "two", "th", "re", "ee", "three", "▁▁"]
    characters = sorted({character for word in words for character in word})
    parts = ["▁o", "▁on", "▁t", "▁tw", "▁th", "ree", "thr", "▁thr"]
    texts = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *characters, *parts, *words]
    vocabulary = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    merges = [
        (text[:cut], text[cut:])
        for text in [*parts, *words]
        for cut in range(1, len(text))
        if text[:cut] in vocabulary and text[cut:] in vocabulary
    ]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer:
        tokenizer.normalizer = normalizer
        if split:
            tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=metaspace, split=False)
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


# What SentencePiece 0.2.3 makes of a rule file of its own: full-width A and B, tab and ends of lines, the ligature
# "fi", and no combining acute.
CHARACTERS = zlib.decompress(b64decode(
    "eNol0wWQFkQUAOA9PMbBgQFERglFGpQ4SglFjw4pBWmQOhokBEHiju5UOsQAhJPukBw6pFPp4SiVUhAFvh929pv3Zt/Ozs7s2xAdQngzhBQp"
    "QngpeQhRIcQnyFNlCJERn1g8WUiw/qL8BaTxc9RSKqbmu7QhmCEN6XiZ9LzCq2xIShYiR71GJjLyOpnJwhtkfX6FkJ1s5CQHuclFXvLwNm+R"
    "n3wUpACFiKEIhSlGUd7lHUpQnFKU5H3e4wNKE8uHlKUM5SlHRSpQmUpUpQrV+IgaVKcWNfmEj6lDberyKfWpR0Ma0JhGNKUJzfiMFjSnFS1p"
    "TRxtaUN72tGRDnSmE134nG505Qu605Me9OJLvqI3felDf/qREHloBjKAwQxiKEMYzjBGMoLRjGIsYxjPOCYygW/4mslMYipTmM40ZjKD2cxi"
    "Dt/yfaSf+JEfmMdcfmI+C1nAzySymEUsZQnLWcZKVrCaVaxlDetZx8ZIX7KJX9jCZraxlX3RUWG7uJMd7GYXe9nD/sgeDnKAQ/zKEQ5zjKOc"
    "4DinOMkZTvMbZznH71zgPJe4yBUuc5U/Y6LCNTGJG1znFjcjNf7gNn9xlzvc5x7/8DcPecAj/uV//uMJj8Ozzxer8ePahqcSmYjK"
))  # fmt: skip


def _unigram(table: bool = True, split: bool = True) -> Tokenizer:
    """Pieces that overlap, so that their scores decide; no Japanese, no emoji."""
    words = ["▁one", "▁two", "▁thre", "e", "s", "▁", "on", "▁o", "ne", "t", "wo", "th", "re", "▁a", "b", "c", "d", "AB"]
    scores = [
        (piece, -1.5 - 0.37 * place % 3) for place, piece in enumerate([*words, "l", "r", "i", "n", "f", "A", "h"])
    ]
    vocabulary = [(special, 0.0) for special in ("<s>", "<pad>", "</s>", "<unk>")] + scores
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    if table:
        tokenizer.normalizer = normalizers.Precompiled(CHARACTERS)
    metaspace = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    words_first = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.pre_tokenizer = words_first if split else metaspace
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


REPLACE = normalizers.Replace(" ", "▁")
TOKENIZERS: dict[str, tuple[str, Callable[[], Tokenizer]]] = {
    "gpt-2": ("gpt-2", lambda: _byte_level(builtin=True)),
    "llama 3": ("llama-bpe", lambda: _byte_level(_split(LLAMA_3), ignore_merges=True)),
    "llama 3, merges": ("smaug-bpe", lambda: _byte_level(_split(LLAMA_3))),
    "qwen 2": ("qwen2", lambda: _byte_level(_split(QWEN_2))),
    "qwen 3.5": ("qwen35", lambda: _byte_level(_split(QWEN_3_5))),
    "smollm": ("smollm", lambda: _byte_level(pre_tokenizers.Digits(individual_digits=True), builtin=True)),
    "bloom": ("bloom", lambda: _byte_level(_split(BLOOM))),
    "replace, and split at no space": ("default", lambda: _sentencepiece(REPLACE, split=True)),
    "prepend": ("default", lambda: _sentencepiece(normalizers.Sequence([normalizers.Prepend("▁"), REPLACE]))),
    "replace": ("default", lambda: _sentencepiece(REPLACE)),
    "metaspace": ("default", lambda: _sentencepiece(None, "first")),
    "metaspace, bare": ("default", lambda: _sentencepiece(None, "never")),
    "unigram": ("default", _unigram),
}


def _save(tokenizer: Tokenizer, folder: Path) -> Tokenizer:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return tokenizer


def _llama(folder: Path, size: int) -> Callable[[str], list[int]]:
    writer = GGUFWriter(folder / "vocabulary.gguf", "llama")
    add_vocabulary(writer, read_vocabulary(folder, size))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = llama_cpp.Llama(str(folder / "vocabulary.gguf"), vocab_only=True, verbose=False)
    return lambda text: model.tokenize(text.encode(), add_bos=True, special=True)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_llama_cpp_cuts_texts_into_the_same_ids(name: str, tmp_path: Path) -> None:
    pre, make = TOKENIZERS[name]
    tokenizer = _save(make(), tmp_path)
    assert read_vocabulary(tmp_path, tokenizer.get_vocab_size()).pre == pre
    cut = _llama(tmp_path, tokenizer.get_vocab_size() + 2)
    wrong = [text for text in TEXTS if cut(text) != tokenizer.encode(text).ids]
    noted = read_vocabulary(tmp_path, tokenizer.get_vocab_size()).differences
    assert (wrong, len(noted)) == (([text for text in TEXTS if text[:1] == " "], 1) if name == "metaspace" else ([], 0))


def test_the_pretrained_tokenizer_of_tinystories_is_read() -> None:
    folder = SHARED / "weights" / "tinystories656K"
    if not folder.is_dir():
        pytest.skip("needs ../shared/weights/tinystories656K")
    vocabulary = read_vocabulary(folder, 2048)
    assert vocabulary.model == "llama"
    assert vocabulary.flags == {"add_bos_token": True, "add_eos_token": False, "add_space_prefix": True}
    assert "there are no byte tokens" in vocabulary.differences[0]


def test_a_unigram_tokenizer_says_where_llama_cpp_cuts_otherwise(tmp_path: Path) -> None:
    _save(_unigram(table=False, split=False), tmp_path)
    found = read_vocabulary(tmp_path, 40)
    assert (found.model, found.characters, len(found.scores)) == ("t5", b"", 40)
    assert [line.split(",")[0] for line in found.differences] == [
        "words end at spaces alone", "spaces at the ends of a text go"
    ]  # fmt: skip


def test_bpe_of_another_kind_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    _save(tokenizer, tmp_path)
    with pytest.raises(MctError, match="neither byte-level nor SentencePiece's"):
        read_vocabulary(tmp_path, 3)


def test_bytes_without_merges_are_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    _save(tokenizer, tmp_path)
    with pytest.raises(MctError, match="without merges"):
        read_vocabulary(tmp_path, 2)
