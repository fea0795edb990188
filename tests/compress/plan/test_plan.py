"""A plan is readable before anything runs; what a format, a checkpoint or a machine cannot do is refused in it.

Checkpoints are written by the libraries that users write them with. Machines are described, so that what gains nothing
gains nothing wherever the tests run.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.compress.gguf.graphs.decoders import GRAPHS
from mct.compress.onnx.graphs.obstacles import obstacle
from mct.compress.plan.passes import Pass
from mct.compress.plan.plan import make_plan, numbers_of, supported
from mct.compress.plan.table import PASSES
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.families.table import with_graph
from mct.targets.machine import described_machine
from mct.targets.target import find_target, machine_of

OLD, NEW = described_machine("x86_64", ("avx2", "fma")), described_machine("x86_64", ("avx2", "fma", "avx512_vnni"))
WORDS = ("where", "is", "my", "order", "i", "want", "to", "return", "it")
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}

RunMct = Callable[..., subprocess.CompletedProcess[str]]


def test_int8_means_each_formats_own_eight_bits(tiny_bert: Path) -> None:
    plan = make_plan(inspect(tiny_bert), ["onnx", "openvino", "gguf"], ["int8"])
    assert [route.name for route in plan.routes] == ["onnx-int8", "openvino-int8", "gguf-q8_0"]


def test_a_route_starts_at_the_checkpoint_and_each_pass_takes_what_the_last_gave(tiny_bert: Path) -> None:
    checkpoint = inspect(tiny_bert)
    machine = described_machine("x86_64", ("avx2", "fma", "avx512_vnni", "avx512_bf16"))
    for kind, precisions in supported(checkpoint.task).items():
        for route in make_plan(checkpoint, [kind], precisions, machine).routes:
            forms = ["checkpoint", *(step.gives for step in route.passes)]
            assert [step.takes for step in route.passes] == forms[:-1]
            assert forms[-1] == route.name


def test_asking_twice_makes_one(tiny_bert: Path) -> None:
    assert len(make_plan(inspect(tiny_bert), ["gguf", "gguf"], ["int8", "q8_0"]).routes) == 1


def test_what_no_pass_makes_is_refused_with_what_works(tiny_bert: Path) -> None:
    with pytest.raises(MctError, match="cannot hold int3") as refused:
        make_plan(inspect(tiny_bert), ["onnx"], ["int3"])
    assert "int8" in refused.value.hint
    with pytest.raises(MctError) as unknown:
        make_plan(inspect(tiny_bert), ["onx"], ["int8"])
    assert "onnx" in unknown.value.hint


# -- what a machine does not have -----------------------------------------------------------------------------------


def test_what_gains_nothing_on_the_machine_is_warned_of(tiny_bert: Path) -> None:
    every = ["onnx", "openvino", "gguf"]
    warned = {route.name: route.warnings for route in make_plan(inspect(tiny_bert), every, ["int8"], OLD).routes}
    assert warned["onnx-int8"] == warned["gguf-q8_0"] == ()
    (said,) = warned["openvino-int8"]
    assert said.startswith("openvino-int8: without VNNI") and "ONNX INT8 is" in said
    assert not any(route.warnings for route in make_plan(inspect(tiny_bert), every, ["int8"], NEW).routes)


def test_bfloat16_is_refused_in_the_plan_for_a_machine_without_it(tiny_bert: Path) -> None:
    with pytest.raises(MctError, match="openvino-bf16: it needs a CPU with bfloat16") as refused:
        make_plan(inspect(tiny_bert), ["openvino"], ["bf16"], OLD)
    assert refused.value.hint == "the nearest that works is fp16"


def test_the_command_warns_on_stderr_and_in_json(run_mct: RunMct, tiny_bert: Path, tmp_path: Path) -> None:
    words = ("compress", tiny_bert, "-o", tmp_path, "--plan", "--format", "onnx,openvino", "--target", "edge-x86")
    done = run_mct(*words)
    assert [line for line in done.stdout.splitlines() if line.startswith("# o")] == [
        "# onnx-int8: export-onnx -> quantise-onnx",
        "# openvino-int8: export-onnx -> export-openvino -> quantise-openvino",
    ]
    assert done.stderr.startswith("warning: openvino-int8: without VNNI")
    quick, slow = json.loads(run_mct(*words, "--json").stdout)
    assert quick["warnings"] == [] and slow["warnings"][0] in done.stderr


def test_a_gpu_that_is_not_here_is_refused_before_anything_is_read(
    run_mct: RunMct, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint does not even have to be there."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = run_mct("compress", tmp_path / "nowhere", "-o", tmp_path / "out", "--target", "gpu")
    assert done.returncode == 2 and not done.stdout and not (tmp_path / "out").exists()
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert "target gpu needs an NVIDIA GPU" in done.stderr and "--target cpu" in done.stderr
    with pytest.raises(MctError, match="there is none that nvidia-smi shows"):
        machine_of(find_target("gpu"))


def test_a_target_gets_only_what_its_runtimes_run(run_mct: RunMct, tiny_bert: Path, tmp_path: Path) -> None:
    own = tmp_path / "box.toml"
    own.write_text('[box]\ndevice = "cpu"\nabout = "x"\nruntimes = ["onnxruntime", "llama.cpp"]\n')
    words = ("compress", tiny_bert, "-o", tmp_path / "out", "--target", "box", "--targets", own, "--plan")
    done = run_mct(*words)
    made = [line[2:].partition(":")[0] for line in done.stdout.splitlines() if " -> " in line]
    assert made == ["onnx-int8", "gguf-q8_0"]
    refused = run_mct(*words, "--format", "onnx,openvino")
    assert refused.returncode == 2 and "target box has no openvino" in refused.stderr and "hint:" in refused.stderr
    own.write_text('[box]\ndevice = "cpu"\nabout = "x"\nruntimes = ["onnx"]\n')
    assert "did you mean onnxruntime" in run_mct(*words).stderr


def test_what_an_artifact_computes_in_is_told_from_its_form() -> None:
    assert numbers_of("openvino", "int8", "pair-scoring") == "bytes"
    assert numbers_of("openvino", "int8", "causal-lm") == numbers_of("gguf", "q8_0", "pair-scoring") == ""
    assert numbers_of("onnx", "int8", "causal-lm") == numbers_of("onnx", "never", "causal-lm") == ""


# -- what a checkpoint is -------------------------------------------------------------------------------------------


def classifier(family: str, folder: Path, **more: Any) -> Path:
    """A classifier of two small layers with random weights."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(0)
    positions = {"max_position_embeddings": 66, "vocab_size": 400, "num_labels": 3, "pad_token_id": 0}
    config = AutoConfig.for_model(family, **SIZES | positions | more)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def xlm_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the tokenizer that the library gives it: a list of pieces and their scores (Unigram)."""
    from transformers import XLMRobertaTokenizer

    words = [(f"▁{word}", -float(place)) for place, word in enumerate(WORDS)]
    letters = [(letter, -20.0) for letter in "▁abcdefghijklmnopqrstuvwxyz?."]
    specials = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer = XLMRobertaTokenizer(vocab=[*specials, *words, *letters, ("<mask>", 0.0)])
    folder = tmp_path_factory.mktemp("plan") / "xlm-roberta"
    tokenizer.save_pretrained(folder)
    return classifier("xlm-roberta", folder, vocab_size=len(tokenizer), pad_token_id=1, type_vocab_size=1)


def test_xlm_roberta_with_other_pieces_is_refused_as_gguf_in_the_plan(
    run_mct: RunMct, xlm_roberta: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(xlm_roberta, tmp_path / "bytes")
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"]["byte_fallback"] = True
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    done = run_mct("compress", folder, "-o", tmp_path / "out")
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    said, hint = done.stderr.splitlines()
    assert said.startswith("error: gguf-q8_0:") and "Unigram tokenizer" in said
    assert hint == "hint: these formats can hold it: --format onnx,openvino"


def test_xlm_roberta_goes_through_all_three_formats(xlm_roberta: Path, tmp_path: Path) -> None:
    plan = make_plan(inspect(xlm_roberta), ["onnx", "openvino", "gguf"], ["fp32"])
    data = Path(__file__).parents[1].joinpath("messages_eval.csv")
    folders = execute(plan, *gather(plan, None, data, {}, 0), tmp_path)
    assert [folder.name for folder in folders] == ["onnx-fp32", "openvino-fp32", "gguf-f32"]


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("albert", "layers share their weights"),
        ("deberta-v2", "content and position apart"),
        ("electra", "embeddings are not as wide"),
        ("mpnet", "relative positions"),
    ],
)
def test_families_that_llama_cpp_does_not_know_are_refused_in_the_plan(
    family: str, reason: str, tiny_bert: Path, tmp_path: Path
) -> None:
    folder = classifier(family, tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_bert / name, folder)
    with pytest.raises(MctError, match=f"gguf-q8_0: .*{reason}") as refused:
        make_plan(inspect(folder), ["onnx", "gguf"], ["int8"])
    assert refused.value.hint == "these formats can hold it: --format onnx,openvino"
    assert len(make_plan(inspect(folder), ["onnx", "openvino"], ["int8"]).routes) == 2


def test_a_variant_of_a_family_that_is_known_is_refused_too(tiny_bert: Path, tmp_path: Path) -> None:
    folder = classifier("bert", tmp_path, hidden_act="relu")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_bert / name, folder)
    with pytest.raises(MctError, match=r"llama.cpp's encoder computes GELU; this checkpoint uses 'relu'"):
        make_plan(inspect(folder), ["gguf"], ["int8"])


def decoder(folder: Path, tiny_bert: Path, reward: bool = False, **more: Any) -> Path:
    """A small Llama, as the library saves it; `more` is written into its configuration afterwards."""
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    config = LlamaConfig(
        vocab_size=400, max_position_embeddings=64, num_key_value_heads=1, num_labels=1, pad_token_id=0, **SIZES
    )
    (LlamaForSequenceClassification if reward else LlamaForCausalLM)(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_bert / name, folder)
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(written | more))
    return folder


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"model_type": "gemma"}, "onnx", "graph of gemma is not known"),
        ({"model_type": "gemma"}, "openvino", "gemma language model was never held against"),
        ({"model_type": "gemma"}, "gguf", "kind of language model"),
        ({"hidden_act": "gelu"}, "onnx", "its activation is gelu"),
        ({"hidden_act": "gelu"}, "gguf", "this checkpoint has 'gelu'"),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4}}, "onnx", "dynamic rotation changes"),
        ({"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "onnx", "dynamic rotation"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "gguf", "'yarn', which cannot be written"),
        ({"head_dim": 8}, "onnx", "it rotates 8 channels"),
    ],
)
def test_language_models_that_a_format_cannot_hold_are_refused_in_the_plan(
    change: dict[str, Any], kind: str, reason: str, tiny_bert: Path, tmp_path: Path
) -> None:
    checkpoint = inspect(decoder(tmp_path, tiny_bert, **change))
    with pytest.raises(MctError, match=f"{kind}-.*{reason}"):
        make_plan(checkpoint, [kind], ["int8"])


def test_a_reward_model_without_padding_goes_to_the_formats_that_need_none(tiny_bert: Path, tmp_path: Path) -> None:
    checkpoint = inspect(decoder(tmp_path, tiny_bert, reward=True, pad_token_id=None))
    with pytest.raises(MctError, match="openvino-int8: there is no pad_token_id") as refused:
        make_plan(checkpoint, ["onnx", "openvino", "gguf"], ["int8"])
    assert refused.value.hint == "these formats can hold it: --format onnx,gguf"
    assert len(make_plan(checkpoint, ["onnx", "gguf"], ["int8"]).routes) == 2


def test_a_configuration_that_leaves_out_defaults_is_no_obstacle(tiny_bert: Path, tmp_path: Path) -> None:
    """As earlier versions of the library wrote them: the export fills in the rest, and checks it."""
    folder = decoder(tmp_path, tiny_bert)
    written = json.loads((folder / "config.json").read_text())
    for name in ("rope_parameters", "hidden_act", "head_dim", "rms_norm_eps"):
        written.pop(name, None)
    (folder / "config.json").write_text(json.dumps(written))
    assert len(make_plan(inspect(folder), ["onnx", "openvino", "gguf"], ["int8"]).routes) == 3


def test_every_decoder_family_that_gguf_has_a_row_for_is_one_that_onnx_knows() -> None:
    """Both lists are read by the plan; what one holds and the other does not should be a decision."""
    config = {"hidden_size": 64, "num_attention_heads": 4}
    assert not {family for family in with_graph("gguf", GRAPHS) if obstacle(config | {"model_type": family})}


def test_reasons_are_asked_of_passes_that_begin_at_the_checkpoint() -> None:
    """They speak of a checkpoint: behind another pass there is none any more."""
    asked: list[Pass] = [step for step in PASSES if step.why_not]
    assert asked and all(step.takes == "checkpoint" for step in asked)
