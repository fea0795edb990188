"""What a GPU does while it is measured, by NVIDIA's management library: energy, power, clocks, memory, what slows it.

Through nvidia-ml-py (the extra [gpu]). Without it, or where a card does not tell something, that is None: absent, never
zero. The energy counter is of the whole card since the driver was loaded, in millijoules (Volta and later); what other
processes compute on it is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

EXTRA = "nvidia-ml-py"

# nvml.h, nvmlClocksEventReason…; a GPU that idles or keeps to the clock that was asked for is not slowed.
SLOWED_BY = {0x4: "power cap", 0x8: "hardware slowdown", 0x20: "heat", 0x40: "heat", 0x80: "power brake"}
PARTS = 2**20


@dataclass(frozen=True)
class Reading:
    """One look at a card. `energy_mj` since its driver was loaded; `memory_mb` (2^20 bytes) that all processes hold."""

    energy_mj: int | None = None
    power_w: float | None = None
    clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    most_clock_mhz: int | None = None
    memory_mb: float | None = None
    temperature_c: int | None = None
    slowed_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Meter:
    """A card's counters, open."""

    library: Any
    handle: Any

    def read(self) -> Reading:
        """All that the card tells now: half a millisecond, so outside of what is timed."""
        nvml, handle = self.library, self.handle
        power = _told(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        used = _told(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used)
        reasons = _told(nvml, lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)) or 0
        return Reading(
            energy_mj=_told(nvml, lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle)),
            power_w=None if power is None else power / 1e3,
            clock_mhz=_told(nvml, lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
            memory_clock_mhz=_told(nvml, lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
            most_clock_mhz=_told(nvml, lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)),
            memory_mb=None if used is None else used / PARTS,
            temperature_c=_told(nvml, lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
            slowed_by=tuple(sorted({name for bit, name in SLOWED_BY.items() if reasons & bit})),
        )


def open_meter(gpu: str) -> Meter | None:
    """The counters of the card of that UUID, or of that index; None without the library, the driver or the card."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(gpu)) if gpu.isdigit() else pynvml.nvmlDeviceGetHandleByUUID(gpu)
    except pynvml.NVMLError:
        return None
    return Meter(pynvml, handle)


def _told(nvml: Any, ask: Callable[[], Any]) -> Any:
    """What the library says; None where this card or driver does not."""
    try:
        return ask()
    except (nvml.NVMLError, AttributeError):
        return None
