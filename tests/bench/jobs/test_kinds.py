"""`mct bench` of every kind of model: tiny real checkpoints, run by torch in fresh processes, scored on real rows."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import mct.bench.store
from mct import MctError
from mct.bench.jobs.job import Job, asked_by, run_job
from mct.bench.judge.quality import score
from mct.bench.report.table import markdown_table
from mct.bench.samples.measurement import Answers, Measurement
from mct.bench.samples.subject import Subject, identify
from mct.bench.store.store import recompute
from mct.bench.worker.predict import Opened, answer_all, count_tokens, open_predictor, time_requests
from mct.models.tasks.datasets import Dataset, check_labels, read_dataset, read_examples
from mct.models.tasks.examples import Example, find_kind
from mct.models.tasks.table import find_task
from mct.targets.budget import Budget
from mct.targets.runtimes.table import runtime_for
from mct.targets.target import Target

SCHEMA = json.loads(Path(mct.bench.store.__file__).with_name("result.schema.json").read_text(encoding="utf-8"))
WORDS = (
    "where",
    "is",
    "my",
    "order",
    "return",
    "volume",
    "3",
    "berserk",
    "checkout",
    "human",
    "shipping",
    "to",
    "osaka",
)
TOPICS = ("price", "time", "age")
TAGS = ("O", "B-title", "I-title")
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One kind: how its checkpoint is written into a folder, given a tiny BERT, and a row of its data."""

    write: Callable[[Path, Path], None]
    row: Callable[[random.Random, str], Row]


def _save_bert(architecture: str, bert: Path, folder: Path, **config: Any) -> None:
    import torch
    import transformers

    torch.manual_seed(1)
    names = config.pop("labels", ())
    if names:
        config |= {"id2label": dict(enumerate(names)), "label2id": {name: at for at, name in enumerate(names)}}
    loader = getattr(transformers, architecture)
    loader.from_pretrained(bert, **config, ignore_mismatched_sizes=True).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(folder)


def write_labels(bert: Path, folder: Path) -> None:
    problem = {"problem_type": "multi_label_classification"}
    _save_bert("AutoModelForSequenceClassification", bert, folder, labels=TOPICS, **problem)


def write_tags(bert: Path, folder: Path) -> None:
    _save_bert("AutoModelForTokenClassification", bert, folder, labels=TAGS)


def write_pairs(bert: Path, folder: Path) -> None:
    _save_bert("AutoModelForSequenceClassification", bert, folder, num_labels=1)


def write_heads(bert: Path, folder: Path) -> None:
    import torch

    from mct.models.checkpoints.load_heads import save_heads
    from mct.models.tasks.table import Head

    _save_bert("AutoModel", bert, folder)
    heads = (Head("label", "label", ("order", "other")), Head("slots", "tags", TAGS))
    save_heads(folder, heads, {head.name: torch.nn.Linear(64, len(head.labels)) for head in heads})


def write_embedder(bert: Path, folder: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    backbone = Transformer(str(bert))
    SentenceTransformer(modules=[backbone, Pooling(64, "mean")], device="cpu").save(str(folder))


def write_setfit(bert: Path, folder: Path) -> None:
    import joblib
    from sklearn.linear_model import LogisticRegression

    write_embedder(bert, folder)
    rng = np.random.default_rng(0)
    head = LogisticRegression().fit(rng.normal(size=(40, 64)), np.array(["order", "other"] * 20))
    joblib.dump(head, folder / "model_head.pkl")
    (folder / "config_setfit.json").write_text(json.dumps({"labels": ["order", "other"]}))


def _llama(head: str, folder: Path, **config: Any) -> None:
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["</s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
    torch.manual_seed(0)
    sizes = transformers.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=48, initializer_range=0.3, bos_token_id=0, eos_token_id=0,
        pad_token_id=0, **config,
    )  # fmt: skip
    getattr(transformers, head)(sizes).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>").save_pretrained(folder)


def write_reward(bert: Path, folder: Path) -> None:
    _llama("LlamaForSequenceClassification", folder, num_labels=1)


def write_lm(bert: Path, folder: Path) -> None:
    _llama("LlamaForCausalLM", folder)


def _pair(rng: random.Random, text: str) -> Row:
    return {"query": " ".join(rng.choices(WORDS[:3], k=2)), "doc": text, "grade": rng.randrange(3)}


CASES = {
    "multi-label-classification": Case(
        write_labels, lambda rng, text: {"text": text, "labels": rng.sample(TOPICS, rng.randrange(3))}
    ),
    "token-classification": Case(write_tags, lambda rng, text: {"text": text, "slots": _tags(rng, text)}),
    "pair-scoring": Case(write_pairs, _pair),
    "multi-head": Case(
        write_heads,
        lambda rng, text: {"text": text, "id": "x", "label": rng.choice(["order", "other"]), "slots": _tags(rng, text)},
    ),
    "sentence-embedding": Case(write_embedder, _pair),
    "embedding-head": Case(write_setfit, lambda rng, text: {"text": text, "label": rng.choice(["order", "other"])}),
    "reward": Case(
        write_reward, lambda rng, text: {"prompt": text, "chosen": " yes", "rejected": " " + rng.choice(WORDS)}
    ),
    "causal-lm": Case(write_lm, lambda rng, text: {"text": text}),
    "grounded-answers": Case(
        write_lm, lambda rng, text: {"question": "is it?", "context": [text, "yes"], "gold": [0], "answer": text}
    ),
    "preference": Case(
        write_lm, lambda rng, text: {"prompt": text, "chosen": " yes", "rejected": " " + rng.choice(WORDS)}
    ),
}


def _tags(rng: random.Random, text: str) -> str:
    return " ".join(rng.choice(TAGS) for _ in text.split())


@pytest.fixture(scope="module")
def checkpoints(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The checkpoint of a kind, written once, its data beside it."""
    root = tmp_path_factory.mktemp("kinds")

    def make(task: str) -> Path:
        folder, case = root / task, CASES[task]
        if not folder.exists():
            case.write(tiny_bert, folder)
            rng = random.Random(0)
            texts = [" ".join(rng.choices(WORDS, k=2 + number % 7)) for number in range(60)]
            write_rows(root / f"{task}.jsonl", [case.row(rng, text) for text in texts])
        return folder

    return make


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def bench(folder: Path, tmp_path: Path, budget: Budget | None = None, **more: Any) -> dict[str, Any]:
    """One fresh process, few requests."""
    job = Job(
        paths=(folder,), data=folder.with_name(f"{folder.name}.jsonl"), target=Target("cpu", "cpu", ""), budget=budget,
        results=tmp_path, max_seconds=1.0, rounds=1, block_s=0.1, **more,
    )  # fmt: skip
    result = run_job(job)
    jsonschema.validate(result, SCHEMA)
    assert recompute(tmp_path / result["samples"]) == result
    return result


def asked(folder: Path) -> tuple[Subject, Dataset]:
    """The checkpoint, asked for what its data is for; and that."""
    data = folder.with_name(f"{folder.name}.jsonl")
    (subject,) = asked_by(data, {}, (identify(folder),))
    return subject, read_dataset(data, find_task(subject.task))


def opened(folder: Path) -> tuple[Opened, list[Example]]:
    """The checkpoint in this process, and the examples of its data."""
    subject, dataset = asked(folder)
    model = open_predictor(runtime_for("checkpoint"), subject.executable, subject.heads, threads=1, new_tokens=8)
    return model, list(read_examples(dataset, subject.task, subject.heads))


@pytest.mark.parametrize("task", CASES)
def test_every_kind_answers_alone_as_together_and_is_scored(task: str, checkpoints: Callable[[str], Path]) -> None:
    """An answer does not depend on what else is in the call, and what is timed runs."""
    model, examples = opened(checkpoints(task))
    together = answer_all(model.scored, [example.scored for example in examples], model.at_once)
    alone = [model.scored(example.scored) for example in examples]
    assert json.loads(json.dumps(together)) == together, "an answer is a JSON value"
    if task in {"pair-scoring", "reward", "sentence-embedding", "causal-lm", "preference"}:
        assert [flat(answer) for answer in together] == [pytest.approx(flat(answer), abs=1e-4) for answer in alone]
    else:
        assert together == alone
    subject, _ = asked(checkpoints(task))
    truth = tuple(example.truth for example in examples)
    measured = Measurement(subject, truth, answers=Answers(tuple(together), (1,) * len(together)))
    found = score(measured, None, ())
    assert found is not None and found.overall.name == find_task(task).metric
    assert found.overall.value is not None and 0 <= found.overall.value < 1
    assert min(count_tokens(model.timed, [example.request for example in examples])) >= 1
    assert isinstance(model.timed(examples[0].request), str) == (
        task in {"causal-lm", "preference", "grounded-answers", "embedding-head"}
    )


def flat(answer: Any) -> list[float]:
    """The numbers of an answer."""
    values = answer.values() if isinstance(answer, dict) else answer
    return [number for value in values for number in (value if isinstance(value, list) else [value])]


def test_a_language_model_writes_as_many_tokens_as_asked_and_a_long_prompt_is_cut(
    checkpoints: Callable[[str], Path],
) -> None:
    model, _ = opened(checkpoints("causal-lm"))
    inputs = model.timed.encode("berserk " * 100)
    assert len(inputs[0].ids) == 48 - 8
    assert 0 < len(model.timed.infer(inputs).ids) <= 8
    timings = time_requests(model.timed, ["where is my order"] * 3, 10**12)
    assert len(set(timings.written)) == 1 and 0 < timings.written[0] <= 8
    assert all(0 < first <= whole for first, whole in zip(timings.first, timings.end_to_end, strict=True))


def test_a_request_of_many_candidates_is_asked_in_pieces(checkpoints: Callable[[str], Path]) -> None:
    """What is timed has 50 candidates at most; the pieces of 32 join into one answer."""
    model, _ = opened(checkpoints("pair-scoring"))
    rows = [{"query": "my order", "doc": f"volume {number}", "grade": number % 2} for number in range(70)]
    (example,) = find_kind("pair-scoring").read(rows)
    assert (len(example.request["docs"]), len(example.scored["docs"])) == (50, 70)
    answer = model.scored(example.scored)
    one = [model.scored({"query": "my order", "docs": [row["doc"]]})[0] for row in rows]
    assert answer == pytest.approx(one, abs=1e-4)


def test_a_head_that_the_data_does_not_answer_is_named(checkpoints: Callable[[str], Path], tmp_path: Path) -> None:
    folder = checkpoints("multi-head")
    subject = identify(folder)

    def read(row: Row) -> None:
        write_rows(tmp_path / "rows.jsonl", [row])
        dataset = read_dataset(tmp_path / "rows.jsonl", find_task(subject.task))
        check_labels(dataset, subject.task, subject.heads)

    read({"text": "my order", "label": "order", "slots": "O B-title", "id": "not a label"})
    for row, says in (
        ({"text": "my order", "label": "order"}, "no 'slots'"),
        ({"text": "my order", "label": "order", "slots": "O"}, "one tag for each word"),
        ({"text": "my order", "label": "???", "slots": "O O"}, r"does not know: '\?\?\?'"),
    ):
        with pytest.raises(MctError, match=says):
            read(row)


@pytest.mark.parametrize("task", ["multi-head", "causal-lm"])
def test_a_kind_is_timed_scored_and_stored(task: str, checkpoints: Callable[[str], Path], tmp_path: Path) -> None:
    result = bench(checkpoints(task), tmp_path, Budget("any", task, p95_ms=1000.0, quality_at_least=0.999))
    (entry,) = result["artifacts"]
    assert entry["failure"] is None
    assert entry["task"] == task
    assert entry["latency"]["n"] >= 1
    assert entry["quality"]["metric"] == find_task(task).metric
    assert 0 <= entry["quality"]["value_ci"][0] <= entry["quality"]["value"] <= entry["quality"]["value_ci"][1] <= 1
    assert entry["tokens"]["min"] >= 1
    assert [line["limit"].split()[0] for line in entry["verdict"]["lines"]] == ["P95", find_task(task).metric]
    assert entry["verdict"]["lines"][1]["outcome"] == "fail", "random weights do not know what is right"
    table = markdown_table(result)
    assert f"quality is {find_task(task).metric}" in table
    assert ("new tokens a second" in table) == ("perplexity" in table) == (task == "causal-lm")
    assert ("first token after" in table) == ("each further one" in table) == (task == "causal-lm")
    assert ("label accuracy" in table) == ("slots f1_entities" in table) == (task == "multi-head")
