"""What a file may say, told a second time and in another way: JSON Schemas, the standard library, formats read by hand.

Nothing here knows how mct reads. A judge is given the folder, and the same before it was spoilt, and says why a file in
it is invalid, or None where it has nothing against it. Only what no reader could take well is judged: a field whose
meaning mct leaves to another library may be anything.
"""

import gzip
import hashlib
import json
import math
import tomllib
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jsonschema

Judge = Callable[[Path, Path], str | None]
Schema = dict[str, Any]

COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
INDEX: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
NAME: Schema = {"type": "string", "minLength": 1}
TEXT: Schema = {"type": "string"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
AMOUNT: Schema = {"type": "number", "minimum": 0}
POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
SWITCH: Schema = {"type": "boolean"}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def optional(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [{"type": "null"}, schema]}


def listed(schema: Schema, **more: Any) -> Schema:
    """A list of that."""
    return {"type": "array", "items": schema, **more}


def record(required: dict[str, Schema], others: dict[str, Schema] | None = None, closed: bool = False) -> Schema:
    """An object with these fields."""
    properties = required | (others or {})
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": not closed}


def table(schema: Schema) -> Schema:
    """An object whose every value is that."""
    return {"type": "object", "additionalProperties": schema, "propertyNames": NAME}


# -- JSON ---------------------------------------------------------------------------------------------------------


def strict_json(content: bytes) -> Any:
    """The value of a JSON text by RFC 8259, names in an object unique, numbers finite. ValueError otherwise."""
    try:
        value = json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("too deep") from error
    json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no character
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def fault_of(value: Any, schema: Schema) -> str | None:
    """Why a value is not of a schema."""
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    return None if error is None else f"{error.json_path}: {error.message[:80]}"


def json_judge(name: str, schema: Schema, more: Callable[[Any, Path], str | None] | None = None) -> Judge:
    """A judge of the JSON file `name`: strict JSON, of the schema, and with nothing that `more` finds."""

    def judge(folder: Path, was: Path) -> str | None:
        try:
            value = strict_json((folder / name).read_bytes())
        except ValueError as error:
            return f"no JSON: {error}"
        return fault_of(value, schema) or (more(value, folder) if more else None)

    return judge


# -- checkpoints --------------------------------------------------------------------------------------------------

SIZES = (
    "max_position_embeddings", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
    "intermediate_size",
)  # fmt: skip
CONFIG = record(
    {"architectures": listed(NAME, minItems=1)},
    {
        **dict.fromkeys(SIZES, optional(COUNT)),
        "model_type": NAME,
        "id2label": optional(table(NAME)),
        "problem_type": optional({"enum": ["regression", "single_label_classification", "multi_label_classification"]}),
        "pad_token_id": optional({"type": "integer"}),
        "eos_token_id": optional({"anyOf": [INDEX, listed(INDEX)]}),
        "layer_norm_eps": optional(POSITIVE),
        "hidden_dropout_prob": optional(SHARE),
        "attention_probs_dropout_prob": optional(SHARE),
        "initializer_range": optional(AMOUNT),
        "hidden_act": optional(TEXT),
        **dict.fromkeys(("tie_word_embeddings", "use_cache", "is_decoder", "add_cross_attention"), optional(SWITCH)),
        "label2id": optional(table(INDEX)),
        "dtype": optional(TEXT),
    },
)


def labels_are_numbered(config: Any, _folder: Path) -> str | None:
    """id2label numbers its labels from 0, and names none twice."""
    names = config.get("id2label")
    if names is None:
        return None
    if set(names) != {str(number) for number in range(len(names))} or not names:
        return "labels are not numbered from 0"
    return "a label twice" if len(set(names.values())) < len(names) else None


def config_of_the_weights(config: Any, folder: Path) -> str | None:
    """The sizes are those of the tensors: every one of them is a dimension of some tensor."""
    shapes = [shape for path in folder.glob("model*.safetensors") for shape in tensors_in(path.read_bytes()).values()]
    sizes = {size for shape in shapes for size in shape}
    wrong = [name for name in SIZES[:3] if config.get(name) is not None and config[name] not in sizes]
    return labels_are_numbered(config, folder) or (f"{wrong[0]} is of another model" if wrong else None)


TOKEN = optional({"anyOf": [TEXT, record({"content": NAME})]})
TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
SWITCHES = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
TOKENIZER_CONFIG = record(
    {},
    {
        "model_max_length": optional(POSITIVE),
        "tokenizer_class": optional(TEXT),
        **dict.fromkeys(TOKENS, TOKEN),
        **dict.fromkeys(SWITCHES, optional(SWITCH)),
    },
)
GENERATION = record({}, {"eos_token_id": optional({"anyOf": [INDEX, listed(INDEX)]})})
HEADS = table(record({"kind": {"enum": ["label", "labels", "tags"]}, "labels": listed(NAME, minItems=1)}, closed=True))
MODULES = listed(record({"type": NAME}, {"path": TEXT, "name": TEXT, "idx": INDEX}), minItems=2)
FORWARD = record({}, {"method": {"const": "forward"}, "method_output_name": {"const": "last_hidden_state"}})
TRANSFORMER = record(
    {},
    {
        "max_seq_length": optional(COUNT),
        "do_lower_case": SWITCH,
        "transformer_task": {"const": "feature-extraction"},
        "modality_config": optional(record({"text": FORWARD})),
        "module_output_name": {"const": "token_embeddings"},
    },
)
SENTENCES = record(
    {},
    {
        "default_prompt_name": {"type": "null"},
        "prompts": optional({"type": "object", "additionalProperties": optional(TEXT)}),
        "similarity_fn_name": optional(TEXT),
        "model_type": optional(TEXT),
    },
)
POOLING = record(
    {},
    {
        "pooling_mode": optional({"anyOf": [TEXT, listed(TEXT)]}),
        "embedding_dimension": optional(COUNT),
        "include_prompt": SWITCH,
    },
)
DENSE = record({}, {"in_features": COUNT, "out_features": COUNT, "bias": SWITCH, "activation_function": TEXT})
SETFIT = record({}, {"labels": optional(listed(NAME)), "normalize_embeddings": SWITCH})
SHARDS = record({"weight_map": table(NAME)})


def heads_of_the_weights(heads: Any, _folder: Path) -> str | None:
    """The specimen has weights for a head of three labels and for one of two tags."""
    rows = {
        name: len(set(head["labels"])) == len(head["labels"]) and len(head["labels"]) for name, head in heads.items()
    }
    wanted = {"label": 3, "slots": 2}
    return None if rows == wanted else "other heads than the weights have"


def shards_are_there(index: Any, folder: Path) -> str | None:
    """Every tensor lies in the file that the index names."""
    files = {path.name: tensors_in(path.read_bytes()) for path in folder.glob("*.safetensors")}
    for tensor, name in index["weight_map"].items():
        if tensor not in files.get(name, ()):
            return f"{tensor} is not in {name}"
    return None


# -- safetensors --------------------------------------------------------------------------------------------------

WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def tensors_in(content: bytes) -> dict[str, tuple[int, ...]]:
    """Names and shapes by the format's own description. ValueError where the file is not so."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise ValueError("shorter than its header")
    header = strict_json(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if isinstance(entry, list):  # the library reads the three values in this order as well
            header[name] = dict(zip(("dtype", "shape", "data_offsets"), entry, strict=True))
    end = 0
    for entry in sorted(header.values(), key=lambda entry: entry["data_offsets"] if isinstance(entry, dict) else []):
        if fault_of(entry, _ENTRY):
            raise ValueError("an entry is none")
        first, last = entry["data_offsets"]
        if first != end or last - first != math.prod(entry["shape"]) * WIDTHS[entry["dtype"]]:
            raise ValueError("offsets do not fit")
        end = last
    if end != len(content) - 8 - length:
        raise ValueError("shorter or longer than its tensors")
    return {name: tuple(entry["shape"]) for name, entry in header.items()}


_ENTRY = record(
    {
        "dtype": {"enum": list(WIDTHS)},
        "shape": listed({"type": "integer", "minimum": 0}),
        "data_offsets": listed({"type": "integer", "minimum": 0}, minItems=2, maxItems=2),
    }
)


def weights_judge(name: str) -> Judge:
    """A judge of a file of weights: whole by its format, and with the tensors that it had."""

    def judge(folder: Path, was: Path) -> str | None:
        try:
            found = tensors_in((folder / name).read_bytes())
        except (ValueError, TypeError, KeyError) as error:
            return f"no safetensors: {error}"
        before = tensors_in((was / name).read_bytes())
        return None if found == before else "tensors lost, renamed or of another shape"

    return judge


# -- data ---------------------------------------------------------------------------------------------------------


def is_text(value: Any) -> bool:
    """A text that is not empty."""
    return isinstance(value, str) and value != ""


def is_label(value: Any) -> bool:
    """A text, or a whole number."""
    return is_text(value) or (isinstance(value, int) and not isinstance(value, bool))


def is_list_of(value: Any, fits: Callable[[Any], bool]) -> bool:
    """A list whose every value fits."""
    return isinstance(value, list) and all(map(fits, value))


def is_grade(value: Any) -> bool:
    """A finite number, or a text that is one."""
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))
    except (ValueError, TypeError, OverflowError):
        return False


def are_tags(row: Any) -> bool:
    """A tag for each word."""
    tags = row["slots"].split() if isinstance(row.get("slots"), str) else row.get("slots")
    return is_list_of(tags, is_text) and len(tags) == len(row["text"].split())


ROWS: dict[str, Callable[[Any], bool]] = {
    "rows": lambda row: is_text(row.get("text")) and is_label(row.get("label")),
    "labels": lambda row: (
        is_text(row.get("text"))
        and is_list_of(row.get("labels"), is_label)
        and len({str(label) for label in row["labels"]}) == len(row["labels"])
    ),
    "tags": lambda row: is_text(row.get("text")) and are_tags(row),
    "pairs": lambda row: (
        is_text(row.get("query"))
        and is_grade(row.get("grade"))
        and (is_text(row.get("doc")) if "doc" in row else is_label(row.get("doc_id")))
    ),
    "docs": lambda row: True,
    "choices": lambda row: all(is_text(row.get(name)) for name in ("prompt", "chosen", "rejected")),
    "heads": lambda row: is_text(row.get("text")) and is_label(row.get("label")) and are_tags(row),
    "texts": lambda row: is_text(row.get("text")) and (row.get("prompt") in (None, "") or is_text(row["prompt"])),
}


def rows_of(name: str, content: bytes) -> list[dict[str, Any]]:
    """The rows of a data file, read by hand. ValueError where it is none."""
    if name.endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError("no gzip") from error
    text = content.decode("utf-8-sig")
    if ".csv" in name:
        return _rows_of_csv(text)
    rows = [strict_json(line.encode()) for line in text.split("\n") if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a row is no object")
    return rows


def _rows_of_csv(text: str) -> list[dict[str, Any]]:
    """RFC 4180 by a machine of four states, cells of up to 131,072 characters."""
    table = [cells for cells in _cells(text) if cells != [""]]
    if "\0" in text or not table or len(set(table[0])) < len(table[0]):
        raise ValueError("no header, or one with a name twice")
    if any(len(cells) != len(table[0]) or max(map(len, cells)) > 131_072 for cells in table):
        raise ValueError("cells too many, too few or too long")
    return [dict(zip(table[0], cells, strict=True)) for cells in table[1:]]


def _cells(text: str) -> Iterable[list[str]]:
    """The cells of each line."""
    cells, cell, state, before = list[str](), "", "start", ""
    for mark in text + ("" if text.endswith(("\n", "\r")) else "\n"):
        ended, before = before == "\r" and mark == "\n" and state == "start", mark
        if ended:
            continue
        if state == "quoted":
            state, cell = ("closed", cell) if mark == '"' else (state, cell + mark)
        elif state == "closed" and mark == '"':
            state, cell = "quoted", cell + mark
        elif mark in ",\r\n":
            cells, cell, state = [*cells, cell], "", "start"
            if mark != ",":
                yield cells
                cells = []
        elif state == "closed":
            raise ValueError("text behind a quote")
        elif mark == '"' and state == "start":
            state = "quoted"
        else:
            cell, state = cell + mark, "plain"
    if state == "quoted":
        raise ValueError("an open quote")


def data_judge(name: str) -> Judge:
    """A judge of the data file `name`, whose rows are those of the task kind that it is named after."""
    fits = ROWS[name.partition(".")[0]]

    def judge(folder: Path, was: Path) -> str | None:
        try:
            rows = rows_of(name, (folder / name).read_bytes())
            documents = rows_of("docs.jsonl", (folder / "docs.jsonl").read_bytes())
        except ValueError as error:
            return f"no data file: {error}"
        if not rows and name != "docs.jsonl":
            return "no rows"
        if not all(map(fits, rows)):
            return "a row lacks a field, or has it wrong"
        return _fault_of_documents(rows_of("pairs.jsonl", (folder / "pairs.jsonl").read_bytes()), documents, name)

    return judge


def _fault_of_documents(pairs: list[Any], documents: list[Any], name: str) -> str | None:
    if name not in {"pairs.jsonl", "docs.jsonl"}:
        return None
    texts: dict[str, set[str]] = {}
    for row in documents:
        key = row.get("doc_id", row.get("id"))
        if is_label(key):
            texts.setdefault(str(key), set()).add(json.dumps(row.get("doc")))
    needed = [row for row in pairs if "doc" not in row]
    found = [texts.get(str(row["doc_id"]), set()) for row in needed]
    if needed and any(len(each) > 1 for each in texts.values()):
        return "two texts of one document"
    return (
        None if all(len(each) == 1 and is_text(json.loads(min(each))) for each in found) else "a document has no text"
    )


# -- budgets and targets ------------------------------------------------------------------------------------------

TASKS = (
    "sequence-classification", "multi-label-classification", "token-classification", "multi-head", "reward",
    "sentence-embedding", "embedding-head", "pair-scoring", "causal-lm", "preference", "grounded-answers",
)  # fmt: skip
LIMITS: dict[str, Schema] = {
    "p95_ms": POSITIVE, "quality_at_least": SHARE, "quality_max_drop": SHARE, "slice_max_drop": SHARE,
    "perplexity_max_increase": AMOUNT, "size_mb": POSITIVE, "peak_rss_mb": POSITIVE,
    "kl_at_most": POSITIVE, "margin_max_drop": SHARE, "false_alarm_max_drop": SHARE,
}  # fmt: skip
BUDGET = record(
    {"task": {"enum": list(TASKS)}},
    LIMITS
    | {
        "assumed": SWITCH, "metric_max_drop": table(SHARE), "slices": listed(NAME, uniqueItems=True),
        "slice_fields": listed(NAME, uniqueItems=True), "false_alarms": table(SHARE),
    },
    closed=True,
)  # fmt: skip
TARGET = record(
    {"device": {"enum": ["cpu", "cuda", "openvino-gpu"]}, "about": TEXT},
    {
        "index": {"oneOf": [{"type": "null"}, {"type": "integer", "minimum": 0, "maximum": 255}]},
        "threads": {"oneOf": [{"type": "null"}, {"type": "integer", "minimum": 1, "maximum": 4096}]},
        "memory_mb": {"oneOf": [{"type": "null"}, {"type": "integer", "minimum": 32}]},
        "runtimes": listed(NAME),
        "budgets": table({"type": "object", "propertyNames": NAME}),
        "price_per_hour": AMOUNT,
        "architecture": {"enum": ["", "x86_64", "AMD64", "aarch64", "arm64"]},
        "instruction_sets": listed(
            {"enum": ["avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "amx_int8",
                      "amx_bf16", "asimd", "asimddp"]}
        ),
    },
    closed=True,
)  # fmt: skip


def toml_judge(name: str, schema: Schema, more: Callable[[Any], str | None]) -> Judge:
    """A judge of a TOML file of tables, each of the schema."""

    def judge(folder: Path, was: Path) -> str | None:
        try:
            tables = tomllib.loads((folder / name).read_bytes().decode(), parse_float=_finite)
        except (ValueError, RecursionError) as error:
            return f"no TOML: {error}"
        fault = fault_of(tables, {**table(schema), "minProperties": 1})
        return fault or next(filter(None, map(more, tables.values())), None)

    return judge


def budget_limits_something(budget: Any) -> str | None:
    """A budget without a limit, or with one for slices that it does not name, would pass everything."""
    if not any(budget.get(name) not in (None, {}) for name in (*LIMITS, "metric_max_drop")):
        return "limits nothing"
    if ("false_alarm_max_drop" in budget) is not bool(budget.get("false_alarms")):
        return "only one of false_alarms and false_alarm_max_drop"
    held = [*budget.get("slices", ()), *budget.get("slice_fields", ())]
    return "no slices" if "slice_max_drop" in budget and not held else None


def target_is_described(target: Any) -> str | None:
    """Instruction sets are those of an architecture, which a GPU has not; a CPU has no index."""
    if target.get("device") == "cpu" and target.get("index") is not None:
        return "has no index"
    if target.get("device") != "cpu" and target.get("architecture"):
        return "describes a CPU"
    return "of no architecture" if target.get("instruction_sets") and not target.get("architecture") else None


# -- artifacts ----------------------------------------------------------------------------------------------------

HEAD = record({"name": NAME, "kind": {"enum": ["label", "labels", "tags"]}, "labels": listed(NAME, uniqueItems=True)})
PROMPT_FORMAT = record(
    {
        "template": {"type": "string", "pattern": r"\{documents\}.*\{question\}|\{question\}.*\{documents\}"},
        "document": {"type": "string", "pattern": r"\{text\}"},
    },
    {"stop": TEXT},
    closed=True,
)
CHECKED = record(
    {
        "target": NAME, "how": NAME, "agreed": INDEX, "of": COUNT, "max_difference": optional(AMOUNT), "beside": TEXT,
        "data": NAME, "sha256": TEXT, "runtime": TEXT,
    }
)  # fmt: skip
MANIFEST = record(
    {
        "schema": {"const": 1}, "format": {"const": "onnx"}, "precision": NAME, "runtime": {"const": "onnxruntime"},
        "task": {"enum": ["sequence-classification", "embedding-head"]}, "labels": listed(NAME), "technique": TEXT,
        "max_tokens": COUNT, "model": NAME, "settings": record({}, {"pad_id": INDEX}, closed=True),
        "lineage": listed(record({"step": NAME})), "parity": {"type": "object"}, "checked_on": {"type": "object"},
    },
    {
        "heads": listed(HEAD, minItems=1, maxItems=1), "made_for": {"type": "object"}, "files": table(DIGEST),
        "prompt_format": {"oneOf": [{"type": "null"}, PROMPT_FORMAT]}, "checked": listed(CHECKED),
    },
    closed=True,
)  # fmt: skip


def manifest_is_of_the_files(manifest: Any, folder: Path) -> str | None:
    """Exactly the files that are there, with their hashes, the model among them; the labels of the one head."""
    there = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "mct.json"
    }
    if manifest.get("files", {}) != there or manifest["model"] not in there:
        return "files that are not those there"
    heads = manifest.get("heads", [{"kind": "label", "labels": manifest["labels"]}])
    if [head["kind"] for head in heads] != ["label"] or heads[0]["labels"] != manifest["labels"]:
        return "labels that are not the head's"
    return "a label twice" if len(set(manifest["labels"])) < len(manifest["labels"]) or not manifest["labels"] else None


def untouched(name: str) -> Judge:
    """A judge for whom any change of the file `name` is one too many: its hash was promised."""

    def judge(folder: Path, was: Path) -> str | None:
        return None if (folder / name).read_bytes() == (was / name).read_bytes() else "its hash is another"

    return judge


# -- results ------------------------------------------------------------------------------------------------------


def result_is_of_its_samples(result: Any, folder: Path) -> str | None:
    """Its samples are those beside it, and count as many requests."""
    (samples,) = folder.glob("*.samples.jsonl.gz")
    if Path(result["samples"]).name != samples.name or f"{result['id']}.samples.jsonl.gz" != samples.name:
        return "the samples of another"
    if result["samples"] != samples.name:
        return None  # a copy, whose samples lie elsewhere
    counted = {entry["artifact"]: (entry["latency"] or {"n": 0})["n"] for entry in result["artifacts"]}
    if len(counted) < len(result["artifacts"]) or result["baseline"] not in (None, *counted):
        return "names that are not those of its artifacts"
    lines = gzip.decompress(samples.read_bytes()).splitlines()
    timed = dict.fromkeys((each["name"] for each in json.loads(lines[0])["subjects"]), 0)
    for line in map(json.loads, lines[1:]):
        timed[line["subject"]] += len(line.get("end_to_end_ns", ()))
    return None if counted == timed else "other requests than its samples"


def result_judge(schema: Schema) -> Judge:
    """A judge of a stored result, by the published schema."""

    def judge(folder: Path, was: Path) -> str | None:
        (path,) = folder.glob("*.json")
        return json_judge(path.name, schema, result_is_of_its_samples)(folder, was)

    return judge


TIMES = listed({"type": "integer", "minimum": 1}, minItems=1)
PER_REQUEST = listed({"type": "integer", "minimum": 0})
START = record(
    {
        "round": INDEX, "import_ms": AMOUNT, "load_ms": AMOUNT, "first_call_ms": AMOUNT, "read_mb": optional(AMOUNT),
        "peak_rss_mb": AMOUNT, "bare_rss_mb": AMOUNT, "warm_up_requests": INDEX, "warm_up_s": AMOUNT,
        "warm_up_ended": SWITCH, "typical_ms": AMOUNT, "libraries": listed(TEXT),
    },
)  # fmt: skip
GPU_USE = record(
    {
        "energy_mj": optional(INDEX), "power_w": optional(AMOUNT), "clock_mhz": optional(INDEX),
        "memory_mb": optional(AMOUNT), "temperature_c": optional({"type": "integer"}),
    },
    {"slowed_by": listed(NAME)},
)  # fmt: skip
BLOCK = record(
    {
        "round": INDEX, "position": INDEX, "end_to_end_ns": TIMES, "model_ns": TIMES, "wall_s": POSITIVE,
        "cpu_s": AMOUNT, "involuntary_switches": INDEX, "stolen_s": AMOUNT, "waited_s": optional(AMOUNT),
        "minor_faults": INDEX, "major_faults": INDEX,
    },
    {
        "energy_uj": optional({"type": "integer", "minimum": 0}), "new_tokens": optional(INDEX),
        "throttled": optional(INDEX), "throttled_s": optional(AMOUNT), "peak_rss_mb": optional(AMOUNT),
        "tokens": optional(PER_REQUEST), "first_ns": optional(PER_REQUEST), "written": optional(PER_REQUEST),
        "gpu": optional(GPU_USE),
    },
)  # fmt: skip
ANSWERS = record({"values": listed({"enum": ["order", "returns", "human"]}), "tokens": listed(INDEX)})
FAILURE = record({"message": TEXT}, {"hint": TEXT, "stderr": listed(TEXT)})
RECORDS = {"start": START, "block": BLOCK, "answers": ANSWERS, "failure": FAILURE}
RUN = record(
    {
        "kind": {"const": "run"}, "schema": {"const": 2}, "id": {"type": "string", "pattern": "^[0-9]{8}T"},
        "created": NAME, "mct_version": NAME, "data": record({"name": NAME, "rows": COUNT, "sha256": DIGEST}),
        "plan": record(
            {"threads": COUNT},
            {"affinity": listed(INDEX), "seed": {"type": "integer"}, "limit_ms": optional(POSITIVE), "rounds": COUNT,
             "block_s": POSITIVE, "max_seconds": POSITIVE, "rigorous": SWITCH, "new_tokens": COUNT},
        ),
        "baseline": optional(NAME), "truth": listed({"enum": ["order", "returns", "human"]}),
        "environments": table(record({"fingerprint": NAME})),
        "subjects": listed(
            record({"name": NAME, "path": TEXT, "format": NAME, "task": {"const": "sequence-classification"},
                    "labels": listed(NAME), "executable": {"type": "object"}, "digest": DIGEST, "size_mb": AMOUNT}),
            minItems=1,
        ),
    },
)  # fmt: skip


def samples_judge(folder: Path, was: Path) -> str | None:
    """A judge of a run's samples: every record of its schema, as many answers as questions, times as requests."""
    (path,) = folder.glob("*.samples.jsonl.gz")
    try:
        lines = gzip.decompress(path.read_bytes()).split(b"\n")[:-1]
        run, *records = [strict_json(line) for line in lines]
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        return f"no samples: {error}"
    fault = fault_of(run, RUN)
    if fault:
        return fault
    names = [subject["name"] for subject in run["subjects"]]
    counted = dict.fromkeys(names, 0)
    for each in records:
        if not isinstance(each, dict) or each.get("kind") not in tuple(RECORDS) or each.get("subject") not in names:
            return "a record of nothing"
        if fault := fault_of(each, RECORDS[each["kind"]]):
            return fault
        if each["kind"] == "block":
            counted[each["subject"]] += len(each["end_to_end_ns"])
            if len(each["end_to_end_ns"]) != len(each["model_ns"]):
                return "requests without a time"
        if each["kind"] == "answers" and not len(each["values"]) == len(each["tokens"]) == len(run["truth"]):
            return "answers to other questions"
    (result,) = map(json.loads, (path.read_bytes() for path in folder.glob("*.json")))
    told = {entry["artifact"]: (entry["latency"] or {"n": 0})["n"] for entry in result["artifacts"]}
    return None if len(set(names)) == len(names) and told == counted and run["id"] == result["id"] else "of another run"
