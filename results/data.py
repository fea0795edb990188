"""What `mct data` finds in data that nobody here wrote, and what made-up rows are worth: data.json and data.md.

Run from the repository root: `python results/data.py`, some minutes on two cores (or one part of it: hint3, planted,
synthesis). Real sets lie in ../shared/data; where they are not there nothing is measured, with a message. Where
cleanlab is installed it judges the same probabilities.

Label errors are HINT3's own: its authors corrected 196 labels of the test sets by hand. Leaks, repetitions, personal
data and wrong labels are planted in Banking77 (`data_planted.py`), so that it is known what is to be found.
"""

import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mct.models.writing.folders import write_atomically, write_json
from mct.release.curation.check import Asked, check
from mct.release.curation.findings import Findings
from mct.targets.machine import probe_machine

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))
SHARED = HERE.parents[1] / "shared" / "data"
if not SHARED.is_dir():
    SHARED = HERE.parent / "shared" / "data"
DOMAINS = ("curekart", "powerplay11", "sofmattress")
DEPTHS = (25, 50, 100, 200)

Row = dict[str, Any]


def main() -> None:
    """Measure all parts, or those that are named; both files are written after each."""
    from data_planted import planted
    from data_synthesis import synthesis

    if not SHARED.is_dir():
        sys.exit(f"{SHARED} is not there: nothing is measured")
    parts = {"hint3": hint3, "planted": planted, "synthesis": synthesis}
    there = json.loads((HERE / "data.json").read_text(encoding="utf-8")) if (HERE / "data.json").exists() else {}
    found: dict[str, Any] = {"seconds": {}} | there | {"machine": probe_machine().cpu}
    for name in sys.argv[1:] or parts:
        started = time.process_time()
        found[name] = parts[name](SHARED)
        found["seconds"][name] = round(time.process_time() - started)
        print(f"{name}: {found['seconds'][name]} s", file=sys.stderr)
        write_json(HERE / "data.json", found)
        write_atomically(HERE / "data.md", markdown(found))


def read(path: Path) -> list[Row]:
    """The rows of a file of JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def put(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def interval(hits: int, of: int) -> list[float]:
    """Share with its exact 95 % interval (Clopper and Pearson)."""
    from scipy import stats

    low = float(stats.beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0
    return [round(hits / of, 4), round(low, 4), round(high, 4)]


def hint3(shared: Path) -> dict[str, Any]:
    """How many of the labels that HINT3's authors corrected stand among the first suspicions, by several ways."""
    from mct.models.scenarios.classifiers.encoders import packaged_minilm

    train, before, after = (read(shared / "hint3" / f"{name}.jsonl") for name in ("train_v1", "test_v1", "test"))
    rankings: dict[str, list[tuple[float, bool]]] = {}
    errors = sum(old["label"] != new["label"] for old, new in zip(before, after, strict=True))
    with tempfile.TemporaryDirectory() as room:
        embedder = _embedder(Path(room), packaged_minilm())
        for domain in DOMAINS:
            wrong = [
                old["label"] != new["label"] for old, new in zip(before, after, strict=True) if old["domain"] == domain
            ]
            files = (
                put(Path(room) / "train.jsonl", [row for row in train if row["domain"] == domain]),
                put(Path(room) / "test.jsonl", [row for row in before if row["domain"] == domain]),
            )
            for way, scores in _ways(files, embedder).items():
                rankings.setdefault(way, []).extend((score, wrong[row]) for row, score in scores.items())
    ways = {way: _at_depths(ranked, errors) for way, ranked in rankings.items()}
    return {"rows": len(before), "errors": errors, "chance": round(errors / len(before), 4), "ways": ways}


def _embedder(room: Path, package: Path) -> Path:
    """The packaged MiniLM as an embedder's folder."""
    from sentence_transformers import SentenceTransformer

    folder = room / "minilm"
    SentenceTransformer(str(package)).save(str(folder))
    return folder


def _ways(files: tuple[Path, Path], embedder: Path) -> dict[str, dict[int, float]]:
    """Suspicion of each test row (from 0) by each way, higher is likelier wrong; only rows that are listed."""
    by_words, by_vectors = check(Asked(files)), check(Asked(files, checkpoint=embedder))
    found = {"mct data check": _listed(by_words), "mct data check --checkpoint MiniLM": _listed(by_vectors)}
    return found | _plain(files)


def _listed(found: Findings) -> dict[int, float]:
    return {
        each.row - 1: float(np.log((each.confidence + 1e-6) / (each.self_confidence + 1e-6)))
        for each in found.suspicions
        if each.file == "test.jsonl"
    }


def _plain(files: tuple[Path, Path]) -> dict[str, dict[int, float]]:
    """The same probabilities, ranked by that of the given label alone; and as cleanlab ranks them, if it is there."""
    from mct.release.curation.ngrams import judge, words_of

    rows = [row for file in files for row in read(file)]
    first = len(read(files[0]))
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    judged = judge(words_of(texts, len(set(labels))), texts, labels)
    assert judged is not None
    given = np.array([judged.names.index(labels[place]) for place in judged.rows])
    own = judged.shares[np.arange(len(given)), given]
    ways = {"lowest probability of the label": _of_test(judged.rows, 1 - own, first)}
    if importlib.util.find_spec("cleanlab"):
        from cleanlab.filter import find_label_issues

        shares = judged.shares / judged.shares.sum(axis=1, keepdims=True)
        listed = find_label_issues(given, shares, return_indices_ranked_by="self_confidence", n_jobs=1)
        scores = np.arange(len(listed), 0, -1.0) / len(given)
        ways["cleanlab find_label_issues"] = _of_test(judged.rows[listed], scores, first)
    return ways


def _of_test(rows: np.ndarray, scores: np.ndarray, first: int) -> dict[int, float]:
    return {int(row) - first: float(score) for row, score in zip(rows, scores, strict=True) if row >= first}


def _at_depths(ranked: Sequence[tuple[float, bool]], errors: int) -> list[dict[str, Any]]:
    """Precision (with its interval) and recall among the first so many; a list that ends before has no such row."""
    order = sorted(ranked, key=lambda pair: -pair[0])
    rows = []
    for depth in (*(depth for depth in DEPTHS if depth < len(order)), len(order)):
        hits = sum(wrong for _, wrong in order[:depth])
        rows.append({"depth": depth, "precision": interval(hits, depth), "recall": round(hits / errors, 4)})
        if depth >= DEPTHS[-1]:
            break
    return rows


def markdown(found: Mapping[str, Any]) -> str:
    """The tables."""
    parts = [
        "# Data: what is found, and what made-up rows are worth",
        f"`python results/data.py`, {sum(found['seconds'].values())} s of one core of {found['machine']}. Intervals "
        "are 95 %.",
    ]
    if "hint3" in found:
        parts += _hint3_lines(found["hint3"])
    if "planted" in found:
        from data_planted import planted_lines

        parts += planted_lines(found["planted"])
    if "synthesis" in found:
        from data_synthesis import synthesis_lines

        parts += synthesis_lines(found["synthesis"])
    return "\n\n".join(parts) + "\n"


def _hint3_lines(found: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {way} | {each['depth']} | {shown(each['precision'])} | {each['recall']:.1%} |"
        f" {each['precision'][0] / found['chance']:.1f} |"
        for way, depths in found["ways"].items()
        for each in depths
    ]
    table = ["| way | first | precision | recall | times chance |", "|--|--:|--|--:|--:|", *rows]
    return [
        "## Label errors of HINT3",
        f"The test labels as first published, {found['rows']:,} rows of three bots; {found['errors']} of them "
        f"({found['chance']:.1%}: the precision of chance) the authors corrected later. Each bot's train and test rows "
        "are judged together, suspicions in the test rows counted. All but the second way have the same "
        "cross-validated probabilities. A list may end before the next depth.",
        "\n".join(table),
        "The corrections are mostly whole intents that were cut anew, applied to training rows as well: a model that "
        "learns from the rest of the data learns the old cut. So this is a hard case for every such method, and "
        "precision here is a lower bound: what the authors did not correct need not be right.",
    ]


def shown(value: Sequence[float]) -> str:
    """A share and its interval."""
    return f"{value[0]:.1%} [{value[1]:.1%}, {value[2]:.1%}]"


if __name__ == "__main__":
    main()
