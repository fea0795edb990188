"""Three parts that share nothing."""

import json
from pathlib import Path

import pytest

from mct import MctError
from mct.bench.search.splits import make_splits
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.files import read_data_file

PARTS = ("data", "dev", "final")


def rows(path: Path) -> list[dict[str, str]]:
    return [dict(row) for row in read_data_file(path, {}).rows]


def write(path: Path, texts: list[str], field: str = "text") -> Path:
    path.write_text("".join(json.dumps({field: text, "label": "other"}) + "\n" for text in texts))
    return path


def test_what_is_learned_chosen_by_and_judged_on_is_never_the_same(tiny_bert: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", [f"text {number}" for number in range(100)] + ["Text  7", "text 7"])
    final = write(tmp_path / "test.jsonl", ["TEXT 3", "something else"])
    splits = make_splits(inspect(tiny_bert), tmp_path / "parts", data, None, final, {}, seed=0)
    parts = [
        {" ".join(row["text"].casefold().split()) for row in rows(path)}
        for path in (splits.train, splits.dev, splits.final)
    ]
    train, dev, judged = parts
    assert not train & dev and not train & judged and not dev & judged
    assert judged == {"text 3", "something else"} and not splits.unseen
    assert len(train | dev) == 99, "all but the one that is judged on"
    assert len(dev) == pytest.approx(15, abs=1)


def test_rows_that_ask_the_same_stay_together(tiny_bert: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", [f"text {number % 20}" for number in range(200)])
    splits = make_splits(inspect(tiny_bert), tmp_path / "parts", data, None, None, {}, seed=1)
    counted = [len(rows(path)) for path in (splits.train, splits.dev, splits.final)]
    assert sum(counted) == 200 and all(count % 10 == 0 for count in counted)


def test_rows_to_choose_by_that_are_given_are_taken(tiny_bert: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", ["a", "b", "c"], field="said")
    dev = write(tmp_path / "dev.jsonl", ["c", "d"], field="said")
    final = write(tmp_path / "final.jsonl", ["d", "e"], field="said")
    splits = make_splits(inspect(tiny_bert), tmp_path / "parts", data, dev, final, {"text": "said"}, seed=0)
    assert [row["text"] for row in rows(splits.dev)] == ["c"] and splits.unseen
    assert [row["text"] for row in rows(splits.train)] == ["a", "b"]


def test_rows_without_labels_are_learned_from_alone(tiny_bert: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    lines = [{"text": f"told {number}", "label": "other"} for number in range(20)]
    lines += [{"text": f"untold {number}"} for number in range(20)]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    splits = make_splits(inspect(tiny_bert), tmp_path / "parts", data, None, None, {}, seed=0)
    assert sum("label" not in row for row in rows(splits.train)) == 20
    assert all("label" in row for path in (splits.dev, splits.final) for row in rows(path))


@pytest.mark.parametrize("part", ["data", "dev", "final"])
def test_a_label_that_the_checkpoint_does_not_know_is_said_before_anything_is_made(
    tiny_bert: Path, tmp_path: Path, part: str
) -> None:
    files = {name: write(tmp_path / f"{name}.jsonl", [f"{name} {number}" for number in range(9)]) for name in PARTS}
    files[part].write_text('{"text": "where is it", "label": "nobody knows"}\n' * 3)
    with pytest.raises(MctError, match="nobody knows"):
        make_splits(inspect(tiny_bert), tmp_path / "parts", files["data"], files["dev"], files["final"], {}, seed=0)
    assert not (tmp_path / "parts").exists()


def test_a_part_without_rows_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", ["a"])
    with pytest.raises(MctError, match="no rows are left"):
        make_splits(inspect(tiny_bert), tmp_path / "parts", data, None, data, {}, seed=0)
