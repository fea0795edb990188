"""What a machine can do with small numbers: the one place where instruction sets decide how something is quantised.

Every quantiser, the plan and the bench's table ask here; none looks at instruction sets itself.

- **Products of bytes** (ONNX Runtime's INT8, dynamic or static, and OpenVINO's by NNCF): x86 multiplies an unsigned
  byte by a signed one. Without VNNI it sums two products in 16 bits, where 2 * 255 * 127 saturates and 2 * 255 * 64
  does not, so weights keep to 7 bits there. ARM sums in 32 bits, and prefers both sides signed.
- **Blocks** (ONNX Runtime's MatMulNBits, llama.cpp's types) are products of bytes too, but made so that no sum
  saturates: one file for every machine.
- **Weights alone** (OpenVINO's language models) are the same for every machine too: where a processor has AVX-512 or
  AVX-VNNI OpenVINO rounds the activations as it runs, elsewhere it computes in float.
- **bfloat16** is computed in where there are instructions for it, and nowhere else to any purpose.

Sources: onnxruntime's quantization guide, "reduce_range"; NNCF's `OverflowFix`; for the second and third, the libraries
run on an emulated processor with AVX2 and no VNNI.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mct.targets.machine import X86, Machine

# What a form computes in where that depends on the machine; "" where one file serves every machine alike.
Numbers = Literal["", "bytes", "bfloat16"]

ARM = frozenset({"aarch64", "arm64"})
SUMS_IN_32_BITS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})
ROUNDS_ACTIVATIONS = frozenset({"avx512f", "avx_vnni"})


@dataclass(frozen=True)
class Arithmetic:
    """How small numbers have to be written for a machine.

    `weight_bits` is 7 where sums of two products saturate, else 8. `signed_activations`: both sides of a product are
    signed bytes. `bfloat16`: there are instructions for it. `rounds_activations`: OpenVINO computes compressed weights
    with activations in 8 bits.
    """

    weight_bits: int
    signed_activations: bool
    bfloat16: bool
    rounds_activations: bool

    @property
    def saturates(self) -> bool:
        """True where weights must keep to 7 bits."""
        return self.weight_bits < 8


def arithmetic_of(machine: Machine) -> Arithmetic:
    """What `machine` can do: this one, or one that a target describes."""
    return _arithmetic(machine.architecture, machine.instruction_sets)


def _arithmetic(architecture: str, instruction_sets: Collection[str]) -> Arithmetic:
    sets = frozenset(instruction_sets)
    return Arithmetic(
        weight_bits=7 if architecture in X86 and not sets & SUMS_IN_32_BITS else 8,
        signed_activations=architecture in ARM,
        bfloat16=bool(sets & BFLOAT16),
        rounds_activations=architecture not in X86 or bool(sets & ROUNDS_ACTIVATIONS),
    )


def why_not(numbers: Numbers, machine: Machine) -> str:
    """Why a form that computes in `numbers` is of no use on a machine; "" where it is."""
    if numbers == "bfloat16" and not arithmetic_of(machine).bfloat16:
        return f"it needs a CPU with bfloat16 ({' or '.join(sorted(BFLOAT16))}), which this one lacks: {machine.cpu}"
    return ""


def no_gain(format_name: str, numbers: Numbers, machine: Machine) -> str:
    """Why a form will not be faster on a machine than its format's fp32; "" where it should be.

    Measured on a Zen 3, P95 of a MiniLM of six layers: OpenVINO fp32 7.7 ms, INT8 8.8; ONNX fp32 5.7, INT8 3.2.
    """
    if format_name == "openvino" and numbers == "bytes" and arithmetic_of(machine).saturates:
        return "without VNNI, which the CPU it is for lacks, OpenVINO's INT8 is no faster than its fp32; ONNX INT8 is"
    return ""


def made_elsewhere(numbers: Numbers, made_for: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What it means that a file was made for another machine than the one it runs on; "" where both are alike.

    Both sides are plain values with `cpu`, `architecture` and `instruction_sets`, as artifacts and results store them.
    """
    if _described(made_for) == _described(here):
        return ""
    then, now = (_arithmetic(side["architecture"], side["instruction_sets"]) for side in (made_for, here))
    return f"made for {_named(made_for)}: {_consequence(numbers, then, now)}"


def _described(side: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    return side["architecture"], frozenset(side["instruction_sets"])


def _named(side: Mapping[str, Any]) -> str:
    return f"{side['architecture']} with {', '.join(side['instruction_sets']) or 'no instruction set that counts'}"


def _consequence(numbers: Numbers, then: Arithmetic, now: Arithmetic) -> str:
    if numbers != "bytes" or (then.weight_bits, then.signed_activations) == (now.weight_bits, now.signed_activations):
        return "its file is the same for this machine"
    if now.weight_bits < then.weight_bits:
        return "sums of 8-bit products saturate on this one, so answers may be wrong; make it again for this machine"
    if now.weight_bits > then.weight_bits:
        return "its weights keep to 7 bits, which this one does not need"
    return "the signs of its activations suit the other, which costs time"
