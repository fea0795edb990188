"""What a machine can do with small numbers, and that this one is read as ONEDNN_MAX_CPU_ISA lets it be used.

Every machine here is described, so that the answers are the same on whichever the tests run.
"""

import json
import subprocess
from collections.abc import Callable

import pytest

from mct.targets.arithmetic import Arithmetic, arithmetic_of, made_elsewhere, no_gain, why_not
from mct.targets.machine import INSTRUCTION_SETS, LIMITS, Machine, probe_machine
from mct.targets.target import find_target, machine_of

MACHINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "AVX2": ("x86_64", ("avx2", "fma")),
    "AVX-512": ("x86_64", ("avx2", "fma", "avx512f")),
    "VNNI": ("x86_64", ("avx2", "fma", "avx512f", "avx512_vnni")),
    "AVX-VNNI": ("x86_64", ("avx2", "fma", "avx_vnni")),
    "AMX": ("x86_64", ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16")),
    "ARM": ("aarch64", ("asimd",)),
    "ARM with dot products": ("aarch64", ("asimd", "asimddp")),
}


def machine(name: str) -> Machine:
    architecture, sets = MACHINES[name]
    return Machine(name, architecture, sets, 8, 8, None, 16000, "Linux")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AVX2", Arithmetic(7, signed_activations=False, bfloat16=False, rounds_activations=False)),
        ("AVX-512", Arithmetic(7, signed_activations=False, bfloat16=False, rounds_activations=True)),
        ("VNNI", Arithmetic(8, signed_activations=False, bfloat16=False, rounds_activations=True)),
        ("AVX-VNNI", Arithmetic(8, signed_activations=False, bfloat16=False, rounds_activations=True)),
        ("AMX", Arithmetic(8, signed_activations=False, bfloat16=True, rounds_activations=True)),
        ("ARM", Arithmetic(8, signed_activations=True, bfloat16=False, rounds_activations=True)),
        ("ARM with dot products", Arithmetic(8, signed_activations=True, bfloat16=False, rounds_activations=True)),
    ],
)
def test_what_each_machine_can_do(name: str, expected: Arithmetic) -> None:
    assert arithmetic_of(machine(name)) == expected


def test_the_widest_sum_of_two_products_fits_where_it_is_meant_to() -> None:
    """An unsigned byte times a weight, twice, in sixteen signed bits: the reason for the seventh bit."""
    assert 2 * 255 * 2 ** (arithmetic_of(machine("AVX2")).weight_bits - 1) < 2**15 <= 2 * 255 * 127


def test_a_target_file_says_the_same_as_a_machine() -> None:
    assert arithmetic_of(machine_of(find_target("edge-x86"))) == arithmetic_of(machine("AVX2"))
    assert arithmetic_of(machine_of(find_target("edge-arm"))) == arithmetic_of(machine("ARM with dot products"))
    assert machine_of(find_target("cpu")) == probe_machine()


def test_bfloat16_is_for_those_that_have_it() -> None:
    assert "needs a CPU with bfloat16" in why_not("bfloat16", machine("VNNI"))
    assert not why_not("bfloat16", machine("AMX")) and not why_not("bytes", machine("AVX2"))


def test_openvinos_bytes_gain_nothing_without_vnni() -> None:
    slow = {name for name in MACHINES if no_gain("openvino", "bytes", machine(name))}
    assert slow == {"AVX2", "AVX-512"}
    assert not any(no_gain(kind, numbers, machine("AVX2")) for kind, numbers in (("onnx", "bytes"), ("openvino", "")))


@pytest.mark.parametrize(
    ("made_for", "here", "says"),
    [
        ("VNNI", "AVX2", "saturate on this one"),
        ("ARM", "AVX-512", "saturate on this one"),
        ("AVX2", "VNNI", "7 bits, which this one does not need"),
        ("VNNI", "ARM", "signs"),
        ("VNNI", "AMX", "the same for this machine"),
    ],
)
def test_what_it_means_that_bytes_were_made_for_another_machine(made_for: str, here: str, says: str) -> None:
    sides = [vars(machine(name)) for name in (made_for, here)]
    assert says in made_elsewhere("bytes", *sides)
    assert "the same for this machine" in made_elsewhere("", *sides)
    assert made_elsewhere("bytes", sides[0], sides[0] | {"cpu": "another name"}) == ""


@pytest.mark.parametrize("limit", ["SSE41", "AVX2", "avx2", "AVX512_CORE", "AVX512_CORE_VNNI", "DEFAULT", "what"])
def test_the_machine_is_what_the_switch_leaves_of_it(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held against the processor as it is, so that it says something on every one of them, if not the same."""
    for name in LIMITS:
        monkeypatch.delenv(name, raising=False)
    whole = probe_machine()
    left = {
        "SSE41": set(), "AVX2": {"avx2", "fma"}, "AVX512_CORE": {"avx2", "fma", "avx512f"},
        "AVX512_CORE_VNNI": {"avx2", "fma", "avx512f", "avx512_vnni"},
    }.get(limit.upper(), set(INSTRUCTION_SETS))  # fmt: skip
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    limited = probe_machine()
    expected = whole.instruction_sets if whole.architecture != "x86_64" else tuple(left & set(whole.instruction_sets))
    assert set(limited.instruction_sets) == set(expected)
    assert limited.cpu == whole.cpu


def test_the_switchs_name_of_old_is_heard_where_the_new_one_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """As oneDNN has it, in OpenVINO as in torch."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "")
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "SSE41")
    limited = probe_machine()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "DEFAULT")
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "")
    whole = probe_machine()
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "SSE41")
    assert probe_machine() == whole
    assert not limited.instruction_sets or limited.architecture != "x86_64"


def test_probe_says_what_is_left_and_what_that_means(
    run_mct: Callable[..., subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    found = json.loads(run_mct("targets", "probe", "--json").stdout)
    assert found["int8_saturates"] is (found["architecture"] == "x86_64")
    assert not {"avx512f", "avx512_vnni"} & set(found["instruction_sets"])
