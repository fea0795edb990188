"""What of the original's answers another model's kept, by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy import special
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from mct.models.tasks import language_model
from mct.models.tasks.examples import IMPLICIT_MARGIN, KL, MARGIN, NLL, Part, find_kind
from mct.models.tasks.tokens import Tokens, open_tokenizer


def logits(rng: np.random.Generator, tokens: int, vocabulary: int) -> dict[str, np.ndarray]:
    return {"logits": rng.normal(0, 3, size=(1, tokens, vocabulary)).astype(np.float32)}


def divergence(before: dict[str, np.ndarray], after: dict[str, np.ndarray], first: int) -> float:
    """The whole one, over all of the vocabulary, of the tokens from `first` on."""
    a, b = (special.log_softmax(each["logits"][0, first - 1 : -1].astype(float), axis=-1) for each in (before, after))
    return float((np.exp(a) * (a - b)).sum())


@pytest.mark.parametrize("given", [1, 4])
def test_the_divergence_of_a_small_vocabulary_is_the_whole_one(given: int) -> None:
    rng, tokens = np.random.default_rng(0), Tokens(list(range(9)), [0] * 9, given=given)
    before, after = logits(rng, 9, 40), logits(rng, 9, 40)
    found = language_model.condense(after, tokens, language_model.sketch(before, tokens))
    assert found["kl"][0] == pytest.approx(divergence(before, after, given))
    favourites = [each["logits"][0, given - 1 : -1].argmax(-1) for each in (before, after)]
    assert found["same_top"][0] == (favourites[0] == favourites[1]).sum()
    assert found["tokens"][0] == 9 - given
    itself = language_model.condense(before, tokens, language_model.sketch(before, tokens))
    assert (itself["kl"][0], itself["same_top"][0]) == (pytest.approx(0.0, abs=1e-9), 9 - given)


def test_of_a_large_vocabulary_it_is_at_most_the_whole_one_and_near_it() -> None:
    rng, tokens = np.random.default_rng(1), Tokens(list(range(9)), [0] * 9)
    before = logits(rng, 9, 5000)
    after = {"logits": before["logits"] + rng.normal(0, 0.5, size=(1, 9, 5000)).astype(np.float32)}
    found = language_model.condense(after, tokens, language_model.sketch(before, tokens))["kl"][0]
    whole = divergence(before, after, 1)
    assert 0.4 * whole < found < whole


def test_a_text_that_became_other_tokens_is_not_held_against_them() -> None:
    rng = np.random.default_rng(0)
    outputs = logits(rng, 3, 8)
    kept = language_model.sketch(outputs, Tokens([1, 2, 3], [0] * 3))
    assert "kl" not in language_model.condense(outputs, Tokens([1, 2, 4], [0] * 3), kept)


def test_what_was_put_before_every_text_is_not_foreseen_and_does_not_stand_in_the_way(tiny_llama: Path) -> None:
    """A prompt that was baked in: the original reads the text alone, the other its virtual tokens first."""
    rng, vocabulary = np.random.default_rng(2), 40
    plain = open_tokenizer(tiny_llama, 64)
    assert plain.given == 1, "the token that a text begins with"
    longer = Tokenizer.from_str(plain.tokenizer.to_str())
    longer.add_special_tokens(["<v0>", "<v1>"])
    ids = [longer.token_to_id(piece) for piece in ("<v0>", "<v1>", "<s>")]
    template = TemplateProcessing(
        single="<v0> <v1> <s> $A", special_tokens=list(zip(("<v0>", "<v1>", "<s>"), ids, strict=True))
    )
    longer.post_processor = template
    folder = tiny_llama.parent / "baked"
    folder.mkdir(exist_ok=True)
    longer.save(str(folder / "tokenizer.json"))
    baked = open_tokenizer(folder, 64)
    assert baked.given == 3
    before, after = plain("order is in"), baked("order is in")
    outputs = logits(rng, len(after.ids), vocabulary)
    outputs_alone = {"logits": outputs["logits"][:, 2:]}
    small = [each._replace(ids=[number % vocabulary for number in each.ids]) for each in (before, after)]
    found = language_model.condense(outputs, small[1], language_model.sketch(outputs_alone, small[0]))
    assert found["kl"][0] == pytest.approx(0.0, abs=1e-9)
    assert found["tokens"][0] == len(before.ids) - 1


def test_order_and_neighbours_by_hand() -> None:
    """Of 30 documents in order the 10th and 11th change places, and the first two; the rest stands."""
    before = [float(30 - place) for place in range(30)]
    after = list(before)
    after[9], after[10] = after[10], after[9]
    after[0], after[1] = after[1], after[0]
    found = find_kind("pair-scoring").beside(before, after)
    assert found["top_10_kept"] == Part(0.9, 1.0)
    assert found["top_10_order"] == Part(44 / 45, 1.0)
    assert find_kind("sentence-embedding").beside(before, after)["neighbours_kept"] == Part(0.9, 1.0)


def test_few_documents_are_told_apart_by_their_better_half_and_ties_by_half() -> None:
    found = find_kind("pair-scoring").beside([4.0, 3.0, 2.0, 1.0], [1.0, 3.0, 3.0, 5.0])
    assert found["top_10_kept"] == Part(0.5, 1.0)
    assert found["top_10_order"] == Part(0.5 / 6, 1.0)
    alone = find_kind("pair-scoring").beside([1.0], [2.0])
    assert (alone["top_10_kept"].of, alone["top_10_order"].of) == (0.0, 0.0)


def test_preferences_with_and_without_a_reference() -> None:
    """Likelier by 2 nats, of which the reference has 3: the tuning made the rejected one likelier."""
    kind = find_kind("preference")
    row = {"prompt": "p", "chosen": " yes", "rejected": " no"}
    told = {**row, "ref_chosen_logps": -5.0, "ref_rejected_logps": "-8"}
    (alone,), (beside,) = kind.read([row]), kind.read([told])
    answer = {"chosen": -4.0, "rejected": -6.0, "tokens": [2, 4]}
    assert kind.score(alone.truth, answer) == {
        "preference_accuracy": Part(1.0, 1.0), "implicit_preference_accuracy": Part(0.0, 0.0)
    }  # fmt: skip
    assert kind.score(beside.truth, answer)["implicit_preference_accuracy"] == Part(0.0, 1.0)
    assert kind.amounts(None, answer) == {MARGIN: Part(2.0, 1.0), NLL: Part(4.0, 2.0)}
    assert kind.amounts(beside.truth, {**answer, "kl": 0.5}) == {
        MARGIN: Part(2.0, 1.0), NLL: Part(4.0, 2.0), IMPLICIT_MARGIN: Part(-1.0, 1.0), KL: Part(0.5, 6.0)
    }  # fmt: skip
