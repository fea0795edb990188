"""Another package adds a family, a task kind, a technique and a pass, each a row, found through its entry points.

The package is installed as any other is: a folder on the path, with metadata that names its entry points. The family is
data2vec's text encoder, which transformers has and our table has not; the task is inference between two texts.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

ROOT = Path(__file__).resolve().parents[1]
PAIRS = [
    ("the parcel arrived on monday", "it has arrived", "entailment"),
    ("volume three is sold out", "you can buy volume three", "contradiction"),
    ("i like samurai stories", "the shop is in osaka", "neutral"),
    ("my card was declined", "i could not pay", "entailment"),
    ("returns are free", "a return costs five euros", "contradiction"),
    ("the cover is torn", "i ordered two copies", "neutral"),
]
PACKAGE = '''
"""What a shop adds to mct for itself."""

import shutil

from mct.compress.plan.passes import ENCODERS, START, Option, Pass
from mct.models.checkpoints.techniques import Technique
from mct.models.families.table import BERT, TWO_LAYERS, Family
from mct.models.tasks.examples import Example, Kind
from mct.models.tasks.single_label import decode, labels, recall, score
from mct.models.tasks.table import Task

FAMILY = Family(
    "data2vec-text", "encoder.layer", "embeddings.word_embeddings.weight", "data2vec_text.", BERT,
    classifier=TWO_LAYERS, graphs={"onnx": "encoder", "gguf": "bert"}, positions_follow_padding=True,
)

FIELDS = ("premise", "hypothesis")
TASK = Task(
    "inference", FIELDS, (*FIELDS, "label"), "accuracy", "shop_extras:KIND", "label",
    network="sequence-classification", recognise="shop_extras:is_inference",
)
PASS = Pass(
    "round-weights", START, START, "shop_extras:round_weights", ENCODERS,
    options=(Option("step", float, "what weights become multiples of", 0.01),), about="Round every weight.",
)


def pairs_told(contents):
    labels = contents.config.get("id2label") or {}
    return ("config.json: id2label",) if is_inference("", labels.values()) else ()


TECHNIQUE = Technique("pair-tuned", "trained on two texts at a time", pairs_told)


def is_inference(architecture, labels):
    return set(labels) == {"entailment", "neutral", "contradiction"}


def read(rows):
    asked = [{field: row[field] for field in FIELDS} for row in rows]
    return tuple(Example(each, row["label"], each, each["premise"]) for each, row in zip(asked, rows))


def encode(tokenize, request):
    return [tokenize.pair(request["premise"], request["hypothesis"])]


def texts(rows):
    return [{field: row[field] for field in FIELDS} for row in rows]


KIND = Kind(read, encode, decode, score, labels, texts, str, str, recall)


def round_weights(source, draft, options, resources):
    from safetensors.torch import load_file, save_file

    from mct.compress.plan.passes import Product

    for path in source.folder.iterdir():
        if path.suffix == ".json":
            shutil.copyfile(path, draft / path.name)
    step = options["step"]
    tensors = load_file(source.folder / "model.safetensors")
    rounded = {name: (tensor / step).round() * step for name, tensor in tensors.items()}
    save_file(rounded, draft / "model.safetensors", metadata={"format": "pt"})
    return Product(draft, "", notes={"step": step})
'''
ENTRY_POINTS = """
[mct.families]
data2vec = shop_extras:FAMILY
[mct.tasks]
inference = shop_extras:TASK
[mct.techniques]
pairs = shop_extras:TECHNIQUE
[mct.passes]
rounding = shop_extras:PASS
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages that holds the other package."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "shop_extras.py").write_text(PACKAGE)
    (folder / "shop_extras-1.0.dist-info").mkdir()
    (folder / "shop_extras-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: shop-extras\nVersion: 1.0\n"
    )
    (folder / "shop_extras-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data2vec classifier of pairs, its tokenizer, and rows to try it on."""
    folder = tmp_path_factory.mktemp("inference") / "checkpoint"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator([text for *both, _ in PAIRS for text in both], trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = ("entailment", "neutral", "contradiction")
    torch.manual_seed(0)
    config = transformers.Data2VecTextConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=96, max_position_embeddings=66, initializer_range=0.3, pad_token_id=1, type_vocab_size=1,
        id2label=dict(enumerate(names)), label2id={name: number for number, name in enumerate(names)},
    )  # fmt: skip
    transformers.Data2VecTextForSequenceClassification(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, pad_token="<pad>", unk_token="<unk>", cls_token="<s>",
        sep_token="</s>", mask_token="<mask>",
    ).save_pretrained(folder)  # fmt: skip
    rows = [{"premise": premise, "hypothesis": other, "label": label} for premise, other, label in PAIRS]
    (folder / "data").mkdir()
    (folder / "data" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def mct(site: Path, *words: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "mct.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": path})


def test_they_work_from_the_checkpoint_to_the_answer(site: Path, checkpoint: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[steps]]\npass = "round-weights"\nstep = 0.05\n')
    asked = ("compress", checkpoint, "-o", tmp_path / "out", "--recipe", recipe, "--precision", "fp32", "--json")
    done = mct(site, *asked)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert [each["format"] for each in made] == ["onnx", "openvino", "gguf"]
    for artifact in made:
        assert artifact["technique"] == "full, pair-tuned"
        assert artifact["task"] == "inference" and artifact["lineage"][1]["notes"] == {"step": 0.05}
        assert artifact["parity"]["agreement"] == 1.0 and artifact["parity"]["root"]["max_abs_delta"] > 0
    assert made[0]["lineage"][2]["notes"]["graph"] == "fused"


def test_without_that_package_the_family_has_no_graph_and_the_pass_is_unknown(
    site: Path, checkpoint: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[steps]]\npass = "round-weights"\n')
    done = mct(tmp_path, "compress", checkpoint, "-o", tmp_path / "out", "--recipe", recipe, "--plan")
    assert (done.returncode, done.stdout) == (2, "") and "unknown pass 'round-weights'" in done.stderr
    done = mct(tmp_path, "compress", checkpoint, "-o", tmp_path / "out", "--format", "gguf", "--plan")
    assert done.returncode == 2 and "a 'data2vec-text' model cannot be written as GGUF" in done.stderr


def test_an_entry_point_that_is_broken_is_said_with_its_package(site: Path, checkpoint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken-2.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 2.0\n")
    (broken / "entry_points.txt").write_text("[mct.passes]\nmine = nowhere_to_be_found:PASS\n")
    done = mct(tmp_path, "compress", checkpoint, "-o", tmp_path / "out", "--format", "onnx", "--plan")
    assert done.returncode == 2 and not done.stdout
    assert "mine = nowhere_to_be_found:PASS of broken cannot be loaded" in done.stderr and "hint:" in done.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise TypeError('of another version')", "cannot be loaded: of another version"),
        ("PASS = 'a pass'", "gives no Pass"),
        (
            "from mct.compress.plan.passes import Pass\n"
            "PASS = Pass('export-onnx', 'checkpoint', 'onnx-fp32', 'mine:run', ('sequence-classification',))",
            "a package adds the pass export-onnx (checkpoint -> onnx-fp32), which mct has already",
        ),
    ],
)
def test_a_row_that_cannot_be_is_said_in_one_line(code: str, said: str, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(code)
    (tmp_path / "mine-1.0.dist-info").mkdir()
    (tmp_path / "mine-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (tmp_path / "mine-1.0.dist-info" / "entry_points.txt").write_text("[mct.passes]\nmine = mine:PASS\n")
    done = mct(tmp_path, "compress", checkpoint, "-o", tmp_path / "out", "--format", "onnx", "--plan")
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 2


def test_a_pass_that_leads_from_a_form_to_itself_is_no_way_anywhere(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from mct.compress.plan.passes import ENCODERS, Pass\n"
        "PASS = Pass('polish', 'onnx-int3', 'onnx-int3', 'mine:run', ENCODERS)\n"
    )
    (tmp_path / "mine-1.0.dist-info").mkdir()
    (tmp_path / "mine-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (tmp_path / "mine-1.0.dist-info" / "entry_points.txt").write_text("[mct.passes]\nmine = mine:PASS\n")
    done = mct(tmp_path, "compress", checkpoint, "-o", tmp_path / "out", "--format", "onnx", "--precision", "int3")
    assert done.returncode == 2 and "onnx cannot hold int3" in done.stderr
