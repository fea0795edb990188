"""What is learned of a row: its text, or what comes after its prompt, as far as there is room."""

from pathlib import Path

from mct.models.training.language_model import (
    NOTHING,
    answer_loss,
    batch_of,
    encode,
    finetune,
    load_writer,
    text_losses,
)
from mct.models.training.loop import Training, find_device

LONG = {"prompt": "where is my order " * 8, "text": "where is my order " * 8 + "here it is"}
SHORT = {"prompt": "where is it", "text": "where is it? here it is"}


def test_a_prompt_that_leaves_no_room_for_its_answer_is_passed_over(tiny_llama: Path) -> None:
    writer = load_writer(tiny_llama)
    long, short = encode(writer.tokenizer, [LONG, SHORT], 24)
    assert len(long.ids) == long.start == 24 and short.start < len(short.ids) <= 24
    targets = batch_of([long, short], writer, find_device()).targets
    assert (targets[0] == NOTHING).all() and (targets[1] != NOTHING).any()
    (nothing, none), (loss, some) = text_losses(writer, [LONG, SHORT], 24)
    assert (nothing, none) == (0.0, 0) and loss > 0 and some == len(short.ids) - short.start
    before = answer_loss(writer, [LONG, SHORT], 24)
    finetune(writer, [LONG, SHORT], Training(epochs=3, learning_rate=1e-2, batch=1, max_tokens=24))
    assert answer_loss(writer, [LONG, SHORT], 24) < before
