"""Task kinds: what a model computes, which fields its data has, and how its answers are scored.

A new task kind is one row here and one file whose `KIND` turns rows into examples, examples into tokens and outputs
into answers (see mct.models.tasks.examples). Another package adds a row by its entry point of the group `mct.tasks`.
"""

from dataclasses import dataclass
from typing import Literal

from mct import MctError
from mct.models.tables import UPDATE, added_by_others, load, unknown


@dataclass(frozen=True)
class Head:
    """One answer of a model: the output that carries it, what kind of answer it is, and its labels in output order.

    `kind` is "label" (one of them), "labels" (any number of them) or "tags" (one for each word).
    """

    name: str
    kind: Literal["label", "labels", "tags"]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One task kind. `metric` is the headline score, higher is better.

    `inputs` are the columns that ask, `fields` those and the ones that say what is right, `optional` those that a row
    may have as well. `head` is the kind of its one head, "" where it has none or several; `kind` names the file that
    knows the rest.

    `auto` is the class of transformers that loads its network, "AutoModel" where the folder holds more than that (see
    mct.models.checkpoints.load). `suffixes` end the names of architectures that are for this task
    alone. `decides` is what two models can agree in: the answer of one head or of all, the order of a request's
    candidates, the nearest neighbour, the next token.

    A task may ask otherwise of a network that another task has: `network` names that task, by whose passes and runtimes
    it goes. `recognise`, "module:function" of an architecture and its labels, says which of its checkpoints do; without
    it the rows say (`mct.models.tasks.datasets.asked_task`): a language model asked to prefer one answer is the same.
    """

    name: str
    inputs: tuple[str, ...]
    fields: tuple[str, ...]
    metric: str
    kind: str
    head: Literal["", "label", "labels", "tags"] = ""
    optional: tuple[str, ...] = ()
    auto: str = "AutoModel"
    suffixes: tuple[str, ...] = ()
    decides: Literal["head", "heads", "order", "neighbour", "next token"] = "head"
    network: str = ""
    recognise: str = ""

    @property
    def said_by_rows(self) -> bool:
        """No checkpoint is for this task alone: the rows of the data ask another task's network for it."""
        return bool(self.network) and not self.recognise


_TEXT = ("text",)
_PAIR = ("query", "doc")
_PREFERENCE = ("prompt", "chosen", "rejected")
_REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")

_GROUNDED = ("question", "context")

_CLASSIFIER = "AutoModelForSequenceClassification"

TASKS = (
    Task(
        "sequence-classification", _TEXT, (*_TEXT, "label"), "accuracy", "mct.models.tasks.single_label:KIND", "label",
        auto=_CLASSIFIER,
    ),
    Task(
        "multi-label-classification", _TEXT, (*_TEXT, "labels"), "f1_micro", "mct.models.tasks.multi_label:KIND",
        "labels", auto=_CLASSIFIER,
    ),
    Task(
        "token-classification", _TEXT, (*_TEXT, "slots"), "f1_entities", "mct.models.tasks.tagging:KIND", "tags",
        auto="AutoModelForTokenClassification", suffixes=("ForTokenClassification",),
    ),
    Task("multi-head", _TEXT, _TEXT, "all_heads_right", "mct.models.tasks.multi_head:KIND", decides="heads"),
    Task(
        "sentence-embedding", _PAIR, (*_PAIR, "grade"), "ndcg_at_10", "mct.models.tasks.embedding:KIND",
        decides="neighbour",
    ),
    Task("embedding-head", _TEXT, (*_TEXT, "label"), "accuracy", "mct.models.tasks.single_label:KIND", "label"),
    Task(
        "pair-scoring", _PAIR, (*_PAIR, "grade"), "ndcg_at_10", "mct.models.tasks.pair_scoring:KIND", auto=_CLASSIFIER,
        decides="order",
    ),
    Task(
        "reward", _PREFERENCE, _PREFERENCE, "preference_accuracy", "mct.models.tasks.reward:KIND", auto=_CLASSIFIER,
        decides="order",
    ),
    Task(
        "preference", _PREFERENCE, _PREFERENCE, "preference_accuracy", "mct.models.tasks.preference:KIND",
        optional=_REFERENCE, decides="order", network="causal-lm",
    ),
    Task(
        "grounded-answers", _GROUNDED, (*_GROUNDED, "answer"), "answer_f1", "mct.models.tasks.grounded:KIND",
        optional=("gold",), decides="next token", network="causal-lm",
    ),
    Task(
        "causal-lm", _TEXT, _TEXT, "next_token_accuracy", "mct.models.tasks.language_model:KIND", optional=("prompt",),
        auto="AutoModelForCausalLM", suffixes=("ForCausalLM", "LMHeadModel"), decides="next token",
    ),
)  # fmt: skip


def tasks() -> tuple[Task, ...]:
    """Every row, those that other packages add among them."""
    return (*TASKS, *_of_others())


def _of_others() -> tuple[Task, ...]:
    """The rows of other packages. MctError for one that mct has already, or whose network it has not."""
    found, ours = added_by_others("mct.tasks", Task), {task.name for task in TASKS}
    for task in found:
        if task.name in ours:
            raise MctError(f"a package adds the task {task.name}, which mct has already", UPDATE)
        if task.network not in ours:
            raise MctError(
                f"a package adds the task {task.name} with a network of its own, {task.network or task.name!r}",
                f"a row names the network that it asks: {', '.join(sorted(ours))}",
            )
    return found


def find_task(name: str) -> Task:
    """The row of that name; MctError with the nearest names otherwise."""
    for task in TASKS:  # most are ours, and then nobody else need be asked
        if task.name == name:
            return task
    for task in tasks():
        if task.name == name:
            return task
    raise unknown("task", name, (task.name for task in tasks()))


def network_of(name: str) -> str:
    """The task whose network a task has: its own, or that of another."""
    return find_task(name).network or name


def asks_alike(task: str, other: str) -> bool:
    """Whether the other asks by columns by which the first, or another task of its network, asks; no unknown one."""
    network = network_of(task)
    own = {each.inputs for each in tasks() if network_of(each.name) == network}
    return next((each.inputs for each in tasks() if each.name == other), None) in own


def recognised(network: str, architecture: str, labels: tuple[str, ...]) -> str:
    """The task that a checkpoint with this network is for: another package's where that knows it for its own."""
    theirs = [task for task in _of_others() if task.recognise]
    found = (task for task in theirs if task.network == network and load(task.recognise)(architecture, labels))
    return next((task.name for task in found), network)
