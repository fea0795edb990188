"""The small Llama that every response model starts from: a byte-level tokenizer and some layers, taught to talk shop.

Nothing is fetched: it is pretrained on generated dialogues, whose assistant speaks in four styles, none of them the
house's, and says good and bad things alike. `tiny` (107,000 weights) takes seconds, `small` (2.3 million) some minutes
on two cores; both are made once and kept in the user's cache, under the digest of all that they are made of. `full` is
a Llama that a user would take from a hub. A leaf.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from mct.models.checkpoints.hub import find_folder
from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.shop import dialogues, preferences
from mct.models.tables import unknown
from mct.models.training import language_model, loop
from mct.models.training.language_model import Writer, answer_loss, finetune, save_writer
from mct.models.training.loop import Training, seeded
from mct.models.writing.folders import cache_folder, write_json
from mct.models.writing.replacing import appearing

STYLES = ("plain", "curt", "formal", "playful")
BEGIN, END, PADDING = "<s>", "</s>", "<pad>"
FULL = "HuggingFaceTB/SmolLM2-1.7B"

# Chat programs fill this in; the turns are those that it was taught.
CHAT = (
    "{% for message in messages %}{{ 'Customer: ' if message['role'] == 'user' else 'Assistant: ' }}"
    "{{ message['content'] }}{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\nAssistant:' }}{% endif %}"
)


@dataclass(frozen=True)
class Size:
    """How large the model is, and what it is pretrained on: `pieces` of vocabulary, `context` in tokens."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    pieces: int
    context: int
    dialogues: int
    training: Training


SIZES = {
    "tiny": Size(64, 2, 4, 128, 512, 1024, 1_600, Training(epochs=1, learning_rate=5e-3, batch=8, max_tokens=192)),
    "small": Size(
        256, 3, 4, 512, 2_048, 2048, 16_000, Training(epochs=2, learning_rate=2e-3, batch=32, max_tokens=256)
    ),
}


def start(size: str, base: str | None = None, report: Report = silent) -> Path:
    """The folder of the model to start from: `base`, a folder or hub name, else the one that the size has.

    MctError for an unknown size, and where the hub's cannot be had.
    """
    if base is not None:
        return find_folder(Path(base))
    if size == "full":
        return find_folder(Path(FULL))
    if size not in SIZES:
        raise unknown("size", size, (*SIZES, "full"))
    return shared_llama(size, report)


def shared_llama(size: str, report: Report = silent) -> Path:
    """The pretrained Llama of that size, from the user's cache, else made and put there."""
    report("making dialogues", 0.0)
    rows = _texts(SIZES[size])
    folder = cache_folder() / f"llama-{size}-{_digest(SIZES[size], rows['train'])[:16]}"
    if not folder.is_dir():
        with appearing(folder) as draft:
            _pretrain(size, rows, draft, report)
    return folder


def _texts(size: Size) -> dict[str, list[Row]]:
    """Dialogues, and to one request in four a good and a bad answer: it has heard both, and prefers neither."""
    said = dialogues.generate(0, size.dialogues, STYLES)
    pairs = preferences.generate(0, size.dialogues // 4, "plain")
    both = [{"text": row["prompt"] + row[side]} for row in pairs["train"] for side in ("chosen", "rejected")]
    return {"train": [*({"text": row["text"]} for row in said["train"]), *both], "dev": said["dev"]}


def _digest(size: Size, rows: Sequence[Row]) -> str:
    """All that decides what comes out: sizes, texts, the code that trains, the libraries."""
    code = [Path(str(module.__file__)).read_text() for module in (language_model, loop)]
    libraries = [version(name) for name in ("torch", "transformers", "tokenizers")]
    decides = [asdict(size), list(rows), code, Path(__file__).read_text(), libraries]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _pretrain(name: str, rows: dict[str, list[Row]], draft: Path, report: Report) -> None:
    size = SIZES[name]
    tokenizer = _tokenizer((row["text"] for row in rows["train"]), size)
    writer = Writer(_from_scratch(tokenizer, size), tokenizer)
    finetune(writer, rows["train"], size.training, report, f"pretraining the {name} Llama")
    save_writer(writer, draft)
    dev = answer_loss(writer, rows["dev"])
    write_json(draft / "recipe.json", {"size": asdict(size), "dev_answer_loss": round(dev, 4)})


def _tokenizer(texts: Iterable[str], size: Size) -> PreTrainedTokenizerFast:
    """Byte-level BPE, cut as GPT-2's: every text can be said, and llama.cpp knows the pattern by name."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size.pieces, special_tokens=[BEGIN, END, PADDING], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=PADDING, model_max_length=size.context,
        chat_template=CHAT,
    )  # fmt: skip


def _from_scratch(tokenizer: PreTrainedTokenizerFast, size: Size) -> torch.nn.Module:
    config = AutoConfig.for_model(
        "llama",
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads // 2,
        intermediate_size=size.feed_forward,
        max_position_embeddings=size.context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    with seeded(0):
        model: torch.nn.Module = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    return model
