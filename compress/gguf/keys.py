"""A graph's dimensions as keys of a GGUF file, each of the type that its Python value is."""

from collections.abc import Mapping, Sequence

from gguf import GGUFWriter


def add_keys(writer: GGUFWriter, graph: str, keys: Mapping[str, int | float | str | Sequence[bool]]) -> None:
    """Write `keys`, which stand without the graph's name in front."""
    for key, value in keys.items():
        name = f"{graph}.{key}"
        if isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, Sequence):
            writer.add_array(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        else:
            writer.add_uint32(name, value)
