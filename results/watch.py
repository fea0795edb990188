"""Does `mct watch` keep its promise? Fifty looks at simulated production, without drift and with, written down here.

`python results/watch.py [--runs 60]` writes watch.json and watch.md; some minutes of one core. Production is put
together from what no estimator here supposes: real texts of customers (Banking77, where it is; made-up lengths
elsewhere) drawn whole with their labels, in conversations that stay with one label, confidences with a mean of their
own for each conversation, latencies of a two-state chain of slow moments, and processes that differ from look to look.
The reference is drawn the same way, once for each run.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from latencies import Rng, World

from mct.models.data.files import read_data_file
from mct.models.writing.folders import write_atomically, write_json
from mct.release.watching.drift import ALPHA, find_changes
from mct.release.watching.looks import SLOW_SHARE, watched_of
from mct.release.watching.reference import of_facts
from mct.release.watching.signals import Facts, count

HERE = Path(__file__).resolve().parent
TEXTS = HERE.parents[1] / "shared" / "data" / "banking77"
LOOKS, RUNS, CHANGES_AT, RARE = 50, 60, 10, 200
MARGIN = 0.2


@dataclass(frozen=True)
class Shop:
    """How production comes about: requests a look, labels, how long conversations are, and what of it changed.

    `labels` of the texts' own are kept apart, the others thrown together; a `rare` share of requests has one of
    `RARE` more answers. `more` is the share of requests that go over
    to one label; `longer`, `surer`, `slower` multiply lengths, odds of confidence and latencies.
    """

    name: str
    rows: int = 500
    reference: int = 4000
    labels: int = 10
    turns: float = 2.5
    grouped: bool = False
    world: World = field(default_factory=lambda: World("gamma", 0.1, slow=0.1))
    more: float = 0.0
    longer: float = 1.0
    surer: float = 1.0
    slower: float = 1.0
    deferred: float = 0.1
    rare: float = 0.0


CALM = (
    Shop("independent requests", turns=1.0, world=World("gamma")),
    Shop("conversations, slow moments"),
    Shop("conversations, told by the log", grouped=True),
    Shop("long conversations", turns=6.0),
    Shop("77 labels", labels=77),
    Shop("150 rows a look", rows=150),
    Shop("a fifth has one of 200 rare answers", reference=300, turns=1.0, rare=0.2),
    Shop("a fifth has one of 200 rare answers, in conversations", reference=300, rare=0.2),
)
BUSY = CALM[1]
SHIFTED = (
    replace(BUSY, name="8 % of requests go over to the rarest label", more=0.08),
    replace(BUSY, name="texts are a quarter longer", longer=1.25),
    replace(BUSY, name="odds of confidence are halved", surer=0.5),
    replace(BUSY, name="deferral goes from 10 to 18 %", deferred=0.18),
    replace(BUSY, name="requests take twice as long", slower=2.0),
)


def main() -> None:
    """Simulate every shop, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS)
    runs = parser.parse_args().runs
    texts = read_texts()
    found: dict[str, Any] = {"runs": runs, "looks": LOOKS, "texts": len(texts), "calm": [], "shifted": []}
    for part, shops in (("calm", CALM), ("shifted", SHIFTED)):
        for shop in shops:
            alarms = [first_alarm(shop, texts, number, part == "shifted") for number in range(runs)]
            found[part].append(summary(shop, alarms, part == "shifted"))
            print(found[part][-1], flush=True)
            write_json(HERE / "watch.json", found)
    write_atomically(HERE / "watch.md", markdown(found))


def read_texts() -> list[tuple[str, int]]:
    """Labels and words of real requests; made up where they are not here."""
    path = TEXTS / "train.jsonl"
    if not path.is_file():
        rng = np.random.default_rng(0)
        return [(f"label {label}", int(rng.gamma(4, 3)) + 1) for label in rng.integers(77, size=10_000)]
    return [(row["label"], len(row["text"].split())) for row in read_data_file(path, {}).rows]


def first_alarm(shop: Shop, texts: list[tuple[str, int]], number: int, changes: bool) -> int | None:
    """The look (from 1) at which the first alarm is raised, if one is; what changes does so after `CHANGES_AT`."""
    rng = np.random.default_rng([number, 5])
    by_label = sorted_texts(shop, texts)
    before = replace(shop, more=0.0, longer=1.0, surer=1.0, slower=1.0, deferred=0.1)
    reference = of_facts("the time before", requests(before, by_label, shop.reference, rng), MARGIN)
    looks = []
    for look in range(1, LOOKS + 1):
        rows = requests(shop if changes and look > CHANGES_AT else before, by_label, shop.rows, rng)
        looks.append(count(rows, reference.cuts, reference.slow_ms, reference.counts["answers"]))
        held = [{name: each[name] for name in watched_of(each, reference)} for each in looks]
        if find_changes(held, reference.counts, {"latency": SLOW_SHARE}, slow=reference.slow):
            return look
    return None


def sorted_texts(shop: Shop, texts: list[tuple[str, int]]) -> dict[str, list[int]]:
    """The lengths of the texts of each label."""
    kept = sorted({label for label, _ in texts})[: shop.labels - 1] if shop.labels < 77 else None
    found: dict[str, list[int]] = {}
    for label, words in texts:
        found.setdefault(label if kept is None or label in kept else "other", []).append(words)
    return found


def requests(shop: Shop, texts: Mapping[str, list[int]], rows: int, rng: Rng) -> Facts:
    """So many requests, in order."""
    names = np.array(list(texts))
    shares = np.array([len(texts[name]) for name in names], dtype=np.float64) ** 0.5  # labels less alike than the set's
    turns = rng.geometric(1 / shop.turns, size=rows)
    conversation = np.repeat(np.arange(rows), turns)[:rows]
    mains = rng.choice(len(names), size=rows, p=shares / shares.sum())[conversation]
    others = rng.choice(len(names), size=rows, p=shares / shares.sum())
    said = np.where(rng.random(rows) < 0.7, mains, others)
    said = np.where(rng.random(rows) < shop.more, int(shares.argmin()), said)
    odds = shop.surer * np.exp(2.5 + rng.normal(0, 0.7, rows)[conversation] + rng.normal(0, 1.0, rows))
    words = np.array([texts[names[label]][rng.integers(len(texts[names[label]]))] for label in said])
    every = np.arange(rows, dtype=np.float64)
    answers = names[said]
    if shop.rare:
        rare = np.array([f"rare {number}" for number in range(RARE)])
        answers = np.where(rng.random(rows)[conversation] < shop.rare, rng.choice(rare, rows)[conversation], answers)
    return Facts(
        (np.round(words * shop.longer), every), (odds / (1 + odds), every),
        (shop.slower * shop.world.process(rng, rows), every),
        ((rng.random(rows) < shop.deferred).astype(np.float64), every), tuple(answers.tolist()), every,
        conversation.astype(np.float64) if shop.grouped else None,
    )  # fmt: skip


def summary(shop: Shop, alarms: list[int | None], changes: bool) -> dict[str, Any]:
    """How many runs raised an alarm (before anything changed, and after), and how soon."""
    early = sum(alarm is not None and (not changes or alarm <= CHANGES_AT) for alarm in alarms)
    after = sorted(alarm - CHANGES_AT for alarm in alarms if changes and alarm is not None and alarm > CHANGES_AT)
    found = {"shop": shop.name, "rows": shop.rows, "reference": shop.reference, "false": early / len(alarms)}
    if changes:
        found |= {
            "found": len(after) / max(1, len(alarms) - early),
            "looks_until": after[len(after) // 2] if after else None,
        }
    return found


def markdown(found: Mapping[str, Any]) -> str:
    """What the figures say."""
    calm = [f"| {row['shop']} | {row['rows']:,} | {row['reference']:,} | {row['false']:.1%} |" for row in found["calm"]]
    shifted = [
        f"| {row['shop']} | {row['rows']:,} | {row['reference']:,} | {row['found']:.0%} | {row['looks_until']} |"
        for row in found["shifted"]
    ]
    return "\n".join(
        [
            "# Watching production", "",
            f"Made by `python results/watch.py`: {found['runs']} runs of each row, {found['looks']} looks a run, all",
            f"five signals. Promised are false alarms in at most {ALPHA:.0%} of runs, over all looks together.", "",
            "| nothing changed: production is | rows a look | of the reference | runs with an alarm |",
            "|---|---:|---:|---:|", *calm, "",
            f"What changes does so after look {CHANGES_AT}, in conversations with slow moments:", "",
            "| what changed | rows a look | of the reference | found | looks until then (median) |",
            "|---|---:|---:|---:|---:|", *shifted, "",
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
