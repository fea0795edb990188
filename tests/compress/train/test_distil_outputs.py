"""What gives vectors, scores, tags or next tokens is distilled too: some of a teacher's layers come nearer to it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from mct import MctError
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect

WORDS = ("where", "is", "my", "order", "return", "volume", "card", "human", "shipping", "manga")
TEXTS = tuple(" ".join((WORDS[place % 10], WORDS[place * 3 % 7], WORDS[place // 10])) for place in range(60))
TAGS = {0: "O", 1: "B-title", 2: "I-title"}


def _of_layers(tiny_bert: Path, folder: Path, kind: Any, **more: Any) -> Path:
    shutil.copytree(tiny_bert, folder)
    config = transformers.BertConfig.from_pretrained(tiny_bert, **more)
    torch.manual_seed(0)
    kind(config).save_pretrained(folder)
    return folder


def embedder(tiny_bert: Path, folder: Path) -> Path:
    _of_layers(tiny_bert, folder, transformers.BertModel)
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [{"path": path, "type": f"sentence_transformers.models.{name}"} for path, name in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


def scorer(tiny_bert: Path, folder: Path) -> Path:
    kind = transformers.BertForSequenceClassification
    return _of_layers(tiny_bert, folder, kind, num_labels=1, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0})


def tagger(tiny_bert: Path, folder: Path) -> Path:
    named = {"num_labels": 3, "id2label": TAGS, "label2id": {tag: place for place, tag in TAGS.items()}}
    return _of_layers(tiny_bert, folder, transformers.BertForTokenClassification, **named)


PAIRS = [{"query": TEXTS[place], "doc": TEXTS[place + 1]} for place in range(len(TEXTS) - 1)]
MAKERS: dict[str, tuple[Callable[[Path, Path], Path], list[dict[str, Any]]]] = {
    "vectors": (embedder, PAIRS),
    "scores": (scorer, PAIRS),
    "tags": (tagger, [{"text": text} for text in TEXTS]),
    "next tokens": (lambda _, folder: folder, [{"text": text} for text in TEXTS]),
}


def taught(
    checkpoint: Path, rows: list[dict[str, Any]], out: Path, first: tuple[Step, ...] = (), **options: Any
) -> dict[str, Any]:
    """What the lineage says of the last step."""
    data = out.with_suffix(".jsonl")
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    distil = Step("distil", options={"epochs": 6.0, "learning_rate": 2e-3, "threads": 1} | options)
    recipe = Recipe((*first, Step("drop-layers", options={"keep": [1]}), distil))
    plan = make_plan(inspect(checkpoint), ["checkpoint"], [], recipe=recipe)
    (made,) = execute(plan, *gather(plan, data, None, {}, 0), out)
    entry: dict[str, Any] = json.loads((made / "mct-lineage.json").read_text())[-1]
    return entry


@pytest.mark.parametrize("what", MAKERS)
def test_a_part_of_the_layers_comes_nearer_to_all_of_them(
    what: str, tiny_bert: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    make, rows = MAKERS[what]
    checkpoint = make(tiny_bert, tmp_path / "checkpoint") if what != "next tokens" else tiny_llama
    entry = taught(checkpoint, rows, tmp_path / "out")
    before, after = entry["notes"]["dev_loss"]
    assert after < 0.8 * before
    assert entry["parity"]["root"]["mean_abs_delta"] < entry["parity"]["parent"]["mean_abs_delta"] * 2


@pytest.mark.parametrize("match", ["hidden", "relations"])
def test_what_is_inside_the_last_layer_is_learned_where_that_is_asked(
    match: str, tiny_bert: Path, tmp_path: Path
) -> None:
    rows = [{"text": text} for text in TEXTS]
    entry = taught(tiny_bert, rows, tmp_path / "out", match=match, augment=0, hard=0.0)
    before, after = entry["notes"]["dev_loss"]
    assert after < 0.9 * before


def test_relations_hang_on_no_width_and_on_texts_that_both_cut_alike() -> None:
    """Mirrored vectors are related as before, others are not, and texts that are cut otherwise are left out."""
    from mct.compress.train.inside import distance
    from mct.models.tasks.tokens import Tokens

    torch.manual_seed(0)
    theirs = torch.randn(2, 5, 12)
    inputs = [Tokens([1, 2, 3, 4, 5], [0] * 5), Tokens([1, 2, 3], [0] * 3)]
    assert float(distance("relations", [-theirs], [theirs], inputs, inputs)) < 1e-6
    assert float(distance("relations", [torch.randn(2, 5, 24)], [theirs], inputs, inputs)) > 0.01
    others = [Tokens([1], [0]), Tokens([1], [0])]
    assert float(distance("relations", [torch.randn(2, 5, 24)], [theirs], inputs, others)) == 0.0


def test_scores_are_learned_from_grades_alone_where_that_is_asked(tiny_bert: Path, tmp_path: Path) -> None:
    rows = [row | {"grade": float(place % 2)} for place, row in enumerate(PAIRS)]
    entry = taught(scorer(tiny_bert, tmp_path / "checkpoint"), rows, tmp_path / "out", hard=1.0, epochs=2.0)
    before, after = entry["notes"]["dev_loss"]
    assert after <= before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"match": "layers"}, "there are 'hidden' and 'relations'"),
        ({"match": "hidden"}, "set `hard` to 0"),
        ({"match": "hidden", "hard": 0.0}, "set `augment` to 0"),
    ],
)
def test_what_cannot_be_matched_is_refused_by_the_plan(
    options: dict[str, Any], said: str, tiny_bert: Path, tmp_path: Path
) -> None:
    with pytest.raises(MctError, match=said):
        taught(tiny_bert, [{"text": text} for text in TEXTS], tmp_path / "out", **options)


@pytest.mark.parametrize(("hard", "said"), [(0.5, "from its teacher"), (1.0, "from rows alone is not known")])
def test_a_share_that_a_kind_does_not_have_is_refused_by_the_plan(
    hard: float, said: str, tiny_bert: Path, tmp_path: Path
) -> None:
    with pytest.raises(MctError, match=said):
        taught(embedder(tiny_bert, tmp_path / "checkpoint"), PAIRS, tmp_path / "out", hard=hard)


def test_a_language_model_learns_what_its_teacher_writes(tiny_llama: Path, tmp_path: Path) -> None:
    """As many texts again as there are rows; what is learned brings the student nearer on these and on the others."""
    rows = [{"text": text} for text in TEXTS]
    entry = taught(tiny_llama, rows, tmp_path / "out", written=6, hard=0.3)
    told = entry["notes"]
    assert told["inputs"] + told["dev"] == 2 * told["written"]
    before, after = entry["notes"]["dev_loss"]
    assert after < before


@pytest.mark.parametrize("hard", [0.0, 0.3])
def test_a_language_model_of_fewer_pieces_learns_from_one_that_has_them_all(
    hard: float, tiny_llama: Path, tmp_path: Path
) -> None:
    rows = [{"text": text} for text in TEXTS]
    entry = taught(tiny_llama, rows, tmp_path / "out", (Step("trim-vocabulary"),), hard=hard)
    trimmed = json.loads((tmp_path / "out" / "checkpoint" / "config.json").read_text())["vocab_size"]
    assert trimmed < json.loads((tiny_llama / "config.json").read_text())["vocab_size"]
    before, after = entry["notes"]["dev_loss"]
    assert after < 0.8 * before


def test_the_teacher_writes_what_it_answers_greedily(tiny_llama: Path) -> None:
    """As the session that is timed writes it, with the beginning before it, which is not to be foreseen."""
    from mct.compress.train.lessons import Lesson, asked_of
    from mct.compress.train.written import written_by
    from mct.models.tasks.tokens import open_tokenizer
    from mct.targets.runtimes.table import Generator, open_session, original, runtime_for

    checkpoint = inspect(tiny_llama)
    session: Any = open_session(runtime_for("checkpoint"), original(checkpoint), 1)
    writer: Generator = session
    tokenize = open_tokenizer(tiny_llama, checkpoint.max_tokens)
    inputs = [tokenize(text) for text in TEXTS[:8]]
    found = written_by(asked_of(checkpoint), [Lesson(each, each) for each in inputs], 5, checkpoint.max_tokens, ())
    assert len(found) == len(inputs)
    for lesson in found:
        prompt = lesson.tokens._replace(ids=lesson.tokens.ids[: lesson.tokens.given])
        assert lesson.tokens.ids[lesson.tokens.given :] == writer.generate(prompt, 5)
    stopped = written_by(
        asked_of(checkpoint), [Lesson(inputs[0], inputs[0])], 5, checkpoint.max_tokens, {found[0].tokens.ids[-1]}
    )
    assert len(stopped[0].tokens.ids) <= len(inputs[0].ids) // 2 + 5


def test_a_text_that_fills_the_model_is_not_gone_on_with(tiny_llama: Path) -> None:
    from mct.compress.train.lessons import Lesson, asked_of
    from mct.compress.train.written import written_by
    from mct.models.tasks.tokens import Tokens

    full = Tokens([5] * 8, [0] * 8, given=8)
    assert written_by(asked_of(inspect(tiny_llama)), [Lesson(full, full)], 5, 8, ()) == []


@pytest.mark.parametrize(
    ("options", "said"), [({"written": -1}, "at least 0"), ({"written": 4, "hard": 1.0}, "below 1")]
)
def test_writing_that_makes_no_sense_is_refused_by_the_plan(
    options: dict[str, Any], said: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(MctError, match=said):
        taught(tiny_llama, [{"text": text} for text in TEXTS], tmp_path / "out", **options)
