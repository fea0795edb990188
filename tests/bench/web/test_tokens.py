"""JavaScript's tokens are Python's: on real texts of several languages, pairs, words, cut and whole."""

import gzip
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from mct.models.tasks.tokens import Tokens, open_tokenizer

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
SETS = {
    "banking77/test.jsonl": 1000, "goemotions/test.jsonl": 1000, "hint3/test.jsonl": 300,
    "madb_manga/works.jsonl.gz": 700, "chorus_ecommerce/docs.jsonl.gz": 300,
}  # fmt: skip
EDGES = (
    "", " ", "  two  spaces ", "a\tb\nc", "İstanbul ß ﬁ ½", "e\u0301 é", "[CLS] hi [SEP] [MASK]", "<s>x</s>",
    "👨‍👩‍👧‍👦 🇯🇵 👍🏽", "\u200bzero\u200d width\ufeff", "a\u00a0b\u3000c", "don't can't I'LL", "1,234.5€",
    "a" * 300,
    "http://x.y/z?a=b&c#d", "ｶﾞﾝﾀﾞﾑ ガンダム", "한국어 조합형", "نص عربي", "हिन्दी में", "a\x00b", "…—“quoted”",
)  # fmt: skip
MOST = 40
Tokenise = Callable[..., dict[str, Any]]


def _real_texts() -> list[str]:
    """All that is said in some rows of the sets that are here."""
    found = []
    for name, most in SETS.items():
        path = SHARED / name
        if not path.is_file():
            pytest.skip(f"needs ../shared/data/{name}")
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = [json.loads(line) for line in content.splitlines()[:most]]
        found += [" ".join(value for value in row.values() if isinstance(value, str)) for row in rows]
    return found


def _byte_level(texts: Sequence[str]) -> Tokenizer:
    """As RoBERTa has it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<s>", "<pad>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def _unigram(texts: Sequence[str]) -> Tokenizer:
    """As XLM-R and the multilingual embedders have it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=1500, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


@pytest.fixture(scope="module", params=["word pieces", "byte level", "unigram"])
def folder(request: pytest.FixtureRequest, word_piece_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "word pieces":
        return word_piece_file
    made = tmp_path_factory.mktemp("tokenizer")
    {"byte level": _byte_level, "unigram": _unigram}[request.param](_real_texts()[::5]).save(
        str(made / "tokenizer.json")
    )
    return made


def _plain(tokens: Tokens) -> list[Any]:
    return [tokens.ids, tokens.type_ids, list(tokens.words)]


def _unlike(given: Sequence[Any], ours: Sequence[list[Any]], theirs: Sequence[Tokens]) -> list[Any]:
    return [ascii(text)[:80] for text, own, other in zip(given, ours, theirs, strict=True) if own != _plain(other)]


def test_real_texts_pairs_and_words_get_the_same_tokens(folder: Path, in_javascript: Tokenise) -> None:
    texts = [*_real_texts(), *EDGES]
    mixed = random.Random(0).sample(texts, len(texts))
    pairs = list(zip(texts, mixed, strict=True))[::3]
    found = in_javascript(folder / "tokenizer.json", MOST, texts=texts, pairs=pairs, words=texts)
    tokenize = open_tokenizer(folder, MOST)
    # Two ways to cut a text may be equally likely to Unigram: "!!" and "!", or "!" and "!!".
    most_unlike = len(texts) // 1000 if isinstance(tokenize.tokenizer.model, models.Unigram) else 0
    assert len(_unlike(texts, found["texts"], list(map(tokenize, texts)))) <= most_unlike
    assert len(_unlike(pairs, found["pairs"], [tokenize.pair(*pair) for pair in pairs])) <= most_unlike
    unlike = _unlike(texts, found["words"], list(map(tokenize.with_words, texts)))
    real = set(unlike) - {ascii(text)[:80] for text in EDGES}
    assert len(real) <= 4 * most_unlike, real


@pytest.mark.parametrize("most", [3, 4, 5, 6, 9, 17])
def test_a_pair_is_cut_as_python_cuts_it(most: int, word_piece_file: Path, in_javascript: Tokenise) -> None:
    """Longest first, whatever is longer and by how much; texts of nothing among them."""
    texts = ["", "a", "h i", "h i h i h i", "i " * 9, "h " * 14]
    pairs = [(first, second) for first in texts for second in texts]
    found = in_javascript(word_piece_file / "tokenizer.json", most, texts=texts, pairs=pairs)
    tokenize = open_tokenizer(word_piece_file, most)
    assert _unlike(texts, found["texts"], list(map(tokenize, texts))) == []
    assert _unlike(pairs, found["pairs"], [tokenize.pair(*pair) for pair in pairs]) == []


def test_a_table_of_vectors_gets_the_pieces_alone(word_piece_file: Path, in_javascript: Tokenise) -> None:
    found = in_javascript(word_piece_file / "tokenizer.json", special=False, texts=["where is it"])
    tokenizer = Tokenizer.from_file(str(word_piece_file / "tokenizer.json"))
    assert found["texts"][0][0] == tokenizer.encode("where is it", add_special_tokens=False).ids
