"""`mct compress --auto`: say the budget, get the artifact, the recipe that makes it again, and the evidence."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import mct
from mct import MctError
from mct.bench.jobs.job import require_cpu
from mct.bench.search.course import Course, Question
from mct.bench.search.engine import open_engine
from mct.bench.search.finals import judge, recipe_of, refine, winner_of
from mct.bench.search.front import describe, write_front
from mct.bench.search.journal import open_journal
from mct.bench.search.sizing import first_timing
from mct.bench.search.splits import Splits, make_splits
from mct.bench.search.teaching import teach
from mct.compress.plan.plan import make_plan
from mct.compress.run.execute import execute
from mct.compress.run.lineage import starting_key, versions
from mct.compress.run.resources import gather
from mct.compress.run.steps import Steps
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.checkpoints.checkpoint import Checkpoint, inspect
from mct.models.data.files import read_data_file
from mct.models.progress import Report, silent
from mct.models.tables import unknown
from mct.models.writing.folders import write_atomically
from mct.models.writing.ownership import require_container, require_replaceable
from mct.models.writing.replacing import appearing
from mct.targets.budget import Budget
from mct.targets.machine import Machine, probe_machine
from mct.targets.target import Target, machine_of

WINNER, RECIPE, DATA = "winner", "winner.toml", "data"


@dataclass(frozen=True)
class Asked:
    """All that a search is told. `dev` are rows that the checkpoint was not trained on, to choose by.

    Without `evaluation` a fifth of `data` is kept to judge on. `workers` of 0 is one for each thread there is.
    `always` are labels that no first stage of a cascade gives by itself.
    """

    checkpoint: Path
    out: Path
    budget: Budget
    target: Target
    seconds: float
    data: Path | None = None
    dev: Path | None = None
    evaluation: Path | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    engine: str = ""
    workers: int = 0
    always: tuple[str, ...] = ()
    told: Told = NOTHING


def search(asked: Asked, report: Report = silent) -> dict[str, Any]:
    """Search, and write the front, the winner and its recipe below `asked.out`; gives what front.json says.

    The same call goes on where one that was cut off stopped; one for another budget or target takes what was made and
    taught. MctError for whatever the user can mend.
    """
    if asked.engine:
        asked = _everywhere(asked)
    require_cpu(asked.target, probe_machine())
    machine = machine_of(asked.target)
    checkpoint = inspect(asked.checkpoint, asked.told)
    if asked.budget.task != checkpoint.task:
        raise MctError(
            f"budget {asked.budget.name} is for {asked.budget.task}, this checkpoint does {checkpoint.task}",
            "choose the budget of its scenario",
        )
    for label in asked.always:
        if label not in checkpoint.labels:
            raise unknown("label", label, checkpoint.labels)
    reads = [path for path in (asked.checkpoint, asked.data, asked.dev, asked.evaluation) if path]
    require_container(asked.out, reads)
    require_replaceable(asked.out / WINNER, reads)
    data, evaluation = _files(checkpoint, asked)
    wanted = {"budget": asdict(asked.budget), "target": asked.target.as_json(), "always": list(asked.always)}
    with open_journal(asked.out, _common(asked, checkpoint, machine, data, evaluation), wanted) as journal:
        splits = make_splits(checkpoint, journal.common / DATA, data, asked.dev, evaluation, asked.renames, asked.seed)
        workers = asked.workers or probe_machine().usable_threads
        with open_engine(asked.engine, workers, max(1, probe_machine().usable_threads // workers)) as engine:
            question = Question(
                checkpoint, asked.budget, asked.target, machine, asked.seconds, asked.seed, asked.always, asked.told
            )
            course = Course(question, splits, journal, engine, report)
            return _run(course, asked)


def _everywhere(asked: Asked) -> Asked:
    """The same by names that mean the same in every process, wherever it was started."""
    files = {name: getattr(asked, name) for name in ("checkpoint", "out", "data", "dev", "evaluation")}
    return replace(asked, **{name: path and path.resolve() for name, path in files.items()})


def _run(course: Course, asked: Asked) -> dict[str, Any]:
    fit = first_timing(course)
    standings = teach(course, fit) if fit else []
    standings = refine(course, standings) if standings else []
    judged = judge(course, standings)
    won = winner_of(judged) if judged else None
    if won is not None:
        _write_winner(course, asked, won)
    found = describe(course, standings, judged)
    write_front(asked.out, found, course.report)
    course.journal.save()
    return found


def _files(checkpoint: Checkpoint, asked: Asked) -> tuple[Path, Path | None]:
    """The rows to learn from, and those to judge on: as given, else the checkpoint's own."""
    own = checkpoint.path / DATA
    data = asked.data or (own / "train.jsonl" if (own / "train.jsonl").is_file() else None)
    if data is None:
        raise MctError("a search learns from rows of your own, and none were given", "add --data FILE, and --eval FILE")
    evaluation = asked.evaluation or (own / "test.jsonl" if (own / "test.jsonl").is_file() else None)
    return data, evaluation


def _common(
    asked: Asked, checkpoint: Checkpoint, machine: Machine, data: Path, evaluation: Path | None
) -> dict[str, Any]:
    """All that decides what a candidate is and answers, whatever budget it is held to."""
    files = {"data": data, "dev": asked.dev, "eval": evaluation}
    return {
        "mct": mct.__version__,
        "libraries": dict(versions()),
        "checkpoint": starting_key(checkpoint),
        "rows": {name: read_data_file(path, asked.renames).sha256 for name, path in files.items() if path},
        "fields": dict(asked.renames),
        "machine": [machine.cpu, machine.architecture, list(machine.instruction_sets)],
        "seed": asked.seed,
    }


def _write_winner(course: Course, asked: Asked, won: str) -> None:
    """The winner's artifact, made by its recipe as anyone would, and the rows and the recipe to make it again."""
    course.say(f"making {won} once more, with all evidence")
    question, recipe = course.question, recipe_of(course, won)
    kept = asked.out / DATA
    splits = _kept(course.splits, kept)
    plan = make_plan(question.checkpoint, [], [], question.machine, recipe)
    resources, texts = gather(plan, splits.train, splits.final, {}, recipe.seed, question.machine)
    common = course.journal.common
    made = common / "won" / recipe.digest[:16]
    (folder,) = execute(plan, resources, texts, made, shared=Steps(common / "steps"))
    with appearing(asked.out / WINNER, [asked.checkpoint]) as draft:
        shutil.copytree(folder, draft, dirs_exist_ok=True)
    command = f"mct compress CHECKPOINT --recipe {RECIPE} --data {DATA}/train.jsonl --eval {DATA}/final.jsonl -o DIR"
    write_atomically(asked.out / RECIPE, f"# {won}\n# To make it again: {command}\n{recipe.as_toml()}")


def _kept(splits: Splits, folder: Path) -> Splits:
    """The three files where the user finds them."""
    files = {}
    for name in ("train", "dev", "final"):
        source: Path = getattr(splits, name)
        files[name] = folder / source.name
        write_atomically(files[name], source.read_text(encoding="utf-8"))
    return Splits(**files, unseen=splits.unseen)
