"""The one-page map says what the code is: its rooms, in their order, and the files that it sends people to."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_map_lists_every_room_in_the_order_of_imports() -> None:
    between = PAGE.partition("<!-- rooms -->\n")[2].partition("<!-- /rooms -->")[0]
    listed = [name for line in between.splitlines()[2:] for name in re.findall(r"`([\w/]+)/`", line.split("|")[1])]
    packages = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("[a-z]*/**/__init__.py")}
    rooms = {
        room for room in packages if room.partition("/")[0] in {"models", "targets", "compress", "bench", "release"}
    }
    assert set(listed) == rooms - {"compress", "bench", "release"}
    source = (ROOT / "tests" / "test_rooms.py").read_text(encoding="utf-8")
    order = re.findall(
        r'"((?:models|targets|compress|bench|release)[\w.]*)"', source.partition("ROOMS = (")[2].partition("PLACES")[0]
    )
    assert listed == [room.replace(".", "/") for room in order if not room.endswith("commands")]


def test_every_file_that_the_map_names_is_there() -> None:
    named = {name for name in re.findall(r"`([\w/]+\.(?:py|toml|md))`", PAGE) if "/" in name}
    assert len(named) >= 10
    for name in named:
        assert (ROOT / name).is_file(), name


def test_every_entry_point_that_the_map_names_is_asked_for() -> None:
    groups = set(re.findall(r"`(mct\.(?:families|tasks|passes))`", PAGE))
    code = "".join(
        path.read_text(encoding="utf-8") for room in ("models", "compress") for path in (ROOT / room).rglob("*.py")
    )
    assert groups == {"mct.families", "mct.tasks", "mct.passes"}
    assert all(f'added_by_others("{group}"' in code for group in groups)
