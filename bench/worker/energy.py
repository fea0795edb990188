"""Energy of the CPU packages, where Linux lets this process read RAPL counters; absent otherwise, never zero.

The counter is of the whole package: cores that idle and neighbours that work are in it.
"""

from pathlib import Path

ZONES = Path("/sys/class/powercap")


def package_energy_uj(zones: Path = ZONES) -> dict[str, tuple[int, int]]:
    """Microjoules and the value at which the counter wraps, by package; empty where none can be read."""
    found = {}
    for zone in sorted(zones.glob("intel-rapl:[0-9]*")):
        if zone.name.count(":") > 1:  # a part of a package, counted in it already
            continue
        try:
            found[zone.name] = (int((zone / "energy_uj").read_text()), int((zone / "max_energy_range_uj").read_text()))
        except (OSError, ValueError):
            continue
    return found


def spent_uj(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> int | None:
    """Microjoules between two readings, over all packages; None where a package was not readable both times."""
    if not before or before.keys() != after.keys():
        return None
    return sum((after[name][0] - start) % wrap for name, (start, wrap) in before.items())
