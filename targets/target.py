"""Targets: the hardware and limits an artifact must run on. Built in as targets.toml; `--targets FILE` adds to them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from mct import MctError
from mct.models.data.declared import Name, declared, read_toml
from mct.models.tables import unknown
from mct.targets.arithmetic import ARM
from mct.targets.devices.gpus import CPU as CPU
from mct.targets.devices.gpus import CUDA, require_gpu
from mct.targets.devices.gpus import OPENVINO_GPU as OPENVINO_GPU
from mct.targets.devices.gpus import WEBGPU as WEBGPU
from mct.targets.machine import INSTRUCTION_SETS, Machine, described_machine, probe_machine
from mct.targets.ssh.address import PREFIX, check_program, parse_address

ONE_TABLE = 'one table per target, like [cpu] device = "cpu"'
MOST_THREADS = 4096
MOST_GPUS = 255
HERE = "here"
SSH = "ssh"
NODE = "node"
BROWSER = "browser"
TRANSPORTS = (HERE, SSH, NODE, BROWSER)
LEAST_MEMORY_MB = 32
"""An interpreter with nothing but the measuring loop in it takes two thirds of that."""
MOST_MEMORY_MB = 2**31 - 1
MOST_PRICE = 1e6
SLOWEST_MBPS, FASTEST_MBPS = 1e-3, 1e6
"""What is beyond these is a slip, and makes figures that no table can hold."""
OF_ARM = "asimd"


@dataclass(frozen=True)
class Target:
    """One target. `threads` None means all that affinity and quota allow; `price_per_hour` is None where unknown (USD).

    `device` "cuda" is an NVIDIA GPU, "openvino-gpu" one that OpenVINO knows; `index` is which of several, as CUDA or
    OpenVINO count them, the first if None.
    `memory_mb` (10^6 bytes) binds the measured process, the interpreter included; None does not. `runtimes` are those
    it has, () all. `budgets` are limits of its own by the name of the budget whose fields they replace.
    `architecture` ("x86_64", "aarch64") and `instruction_sets` describe a machine that is not this one: artifacts can
    be made for it here, and measured there. `transport` is the way to it: "here", in "node" or a "browser" of this
    machine, whose page comes by a line of `download_mbps` (10^6 bits a second), or another machine by "ssh": its
    `host` as ssh has it (USER@HOST, HOST:PORT, a name of ~/.ssh/config) and the command that is `python` there;
    `keep_remote` leaves there what was copied.
    """

    name: Name
    device: Literal["cpu", "cuda", "openvino-gpu", "webgpu"]
    about: str
    index: Annotated[int, Meta(ge=0, le=MOST_GPUS)] | None = None
    threads: Annotated[int, Meta(ge=1, le=MOST_THREADS)] | None = None
    memory_mb: Annotated[int, Meta(ge=LEAST_MEMORY_MB, le=MOST_MEMORY_MB)] | None = None
    runtimes: tuple[Name, ...] = ()
    budgets: Mapping[Name, Mapping[Name, Any]] = field(default_factory=dict)
    price_per_hour: Annotated[float, Meta(ge=0, le=MOST_PRICE)] | None = None
    architecture: Literal["", "x86_64", "AMD64", "aarch64", "arm64"] = ""
    instruction_sets: tuple[Name, ...] = ()
    transport: Name = HERE
    download_mbps: Annotated[float, Meta(ge=SLOWEST_MBPS, le=FASTEST_MBPS)] | None = None
    host: str = ""
    python: Name = "python3"
    keep_remote: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values, for results and --json."""
        return asdict(self) | {"instruction_sets": list(self.instruction_sets), "runtimes": list(self.runtimes)}


BUILT_IN = Path(__file__).with_name("targets.toml")


def load_targets(extra: Path | None = None) -> dict[str, Target]:
    """All targets by name."""
    tables = _read(BUILT_IN)
    if extra is not None:
        own = _read(extra)
        if not own:
            raise MctError(f"{extra} names no target", ONE_TABLE)
        tables |= own
    return {name: _target(extra or BUILT_IN, name, table) for name, table in tables.items()}


def find_target(name: str, extra: Path | None = None) -> Target:
    """One target by name, or any machine as ssh:HOST; MctError with the nearest names otherwise."""
    targets = load_targets(extra)
    if name.startswith(PREFIX) and name not in targets:
        host = parse_address(name.removeprefix(PREFIX)).name
        return Target(name, CPU, f"the machine {host}, over ssh", transport=SSH, host=host)
    if name not in targets:
        raise unknown("target", name, targets)
    return targets[name]


def find_targets(names: str, extra: Path | None = None, keep_remote: bool = False) -> tuple[Target, ...]:
    """Targets by their names with commas between. MctError where one is given twice, or none."""
    given = [name.strip() for name in names.split(",")]
    if not all(given):
        raise MctError(f"{names!r} leaves a target without its name", "name each once, with commas between")
    if twice := [name for name in given if given.count(name) > 1]:
        raise MctError(f"the target {twice[0]!r} is given twice", "name each once, with commas between")
    found = tuple(find_target(name, extra) for name in given)
    return tuple(replace(each, keep_remote=keep_remote or each.keep_remote) for each in found)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    return read_toml(path, dict[Name, dict[str, Any]], ONE_TABLE)


def _target(path: Path, name: str, table: dict[str, Any]) -> Target:
    if "name" in table:
        raise MctError(f"target {name} has a name of its own", "a target's name is that of its table")
    if "," in name:
        raise MctError(f"{path}: target {name!r} has a comma in its name", "--target has commas between names")
    target = declared({**table, "name": name}, Target, f"{path}: target {name}", "see the built-in ones: targets.toml")
    if target.transport not in TRANSPORTS:
        raise unknown(f"transport in target {name}", target.transport, TRANSPORTS)
    if (target.transport == SSH) != bool(target.host):
        raise MctError(f'target {name}: a host and transport = "ssh" go together', 'as in host = "edge-box"')
    if target.host:
        parse_address(target.host)
        check_program(target.python, f"target {name}")
    for each in target.instruction_sets:
        if each not in INSTRUCTION_SETS:
            raise unknown(f"instruction set in target {name}", each, INSTRUCTION_SETS)
        if target.architecture and each.startswith(OF_ARM) != (target.architecture in ARM):
            raise MctError(f"target {name}: no {target.architecture} has {each}", "see: mct targets probe")
    if target.instruction_sets and not target.architecture:
        raise MctError(f"target {name} has instruction_sets of no architecture", 'add architecture = "x86_64"')
    if target.device == CPU and target.index is not None:
        raise MctError(f"target {target.name} is a CPU, which has no index", "leave index out")
    if target.device == WEBGPU and target.transport != BROWSER:
        where = "Node" if target.transport == NODE else f'transport "{target.transport}"'
        raise MctError(f"target {target.name} is a {WEBGPU} device, and {where} has none", 'say transport = "browser"')
    if target.device not in (CPU, WEBGPU) and target.transport in (NODE, BROWSER):
        raise MctError(
            f"target {target.name} is a {target.device} device, and a {target.transport} has none",
            f'a {target.transport} computes on device = "cpu", a browser on "{WEBGPU}" too',
        )
    if target.device != CPU and target.architecture:
        raise MctError(f"target {target.name} describes a CPU and is a GPU", "leave out architecture")
    return target


def machine_of(target: Target) -> Machine:
    """The machine that artifacts for this target are made for: the one it describes, else this one.

    Of a GPU it is the one that it stands in: what an artifact computes in on a GPU does not hang on instruction sets.
    MctError for an NVIDIA GPU that is not here.
    """
    if target.device == CUDA:
        require_gpu(target.index or 0, target.name)
    if not target.architecture:
        return probe_machine()
    return described_machine(target.architecture, target.instruction_sets, cpu=target.about)
