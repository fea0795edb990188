"""Our name, and another package's: the index has an `mct` that is not ours, whose files go into the same folder."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[1]
AGAIN = "pip install --force-reinstall --no-deps mangaassist-mct"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site-packages with this package and what its command needs, and nothing else."""
    (tmp_path / "mangaassist_mct").symlink_to(ROOT / "entry")
    (tmp_path / "mct").symlink_to(ROOT)
    (tmp_path / "click").symlink_to(Path(click.__file__).parent)
    return tmp_path


def install(site: Path, command: str) -> None:
    """What pip notes of the other package (its real name, version and summary)."""
    folder = site / "mct-0.3.2.dist-info"
    folder.mkdir()
    metadata = "Metadata-Version: 2.1\nName: mct\nVersion: 0.3.2\nSummary: The MRI Coil-reconstruct Toolbox\n"
    (folder / "METADATA").write_text(metadata)
    (folder / "entry_points.txt").write_text(f"[console_scripts]\n{command}\n")


def start(site: Path, word: str = "--version", before: str = "pass") -> subprocess.CompletedProcess[str]:
    """The command, in an interpreter whose only site-packages is `site`."""
    code = f"import sys; sys.path.append({str(site)!r}); {before}; import mangaassist_mct; mangaassist_mct.main()"
    return subprocess.run([sys.executable, "-S", "-P", "-c", code, word], capture_output=True, text=True)


def test_alone_the_command_runs_without_looking_further(site: Path) -> None:
    """`importlib.metadata` would take a third of the time that `mct --help` may."""
    done = start(site, "--help", "import atexit; atexit.register(lambda: print('importlib.metadata' in sys.modules))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("theirs_came_last", [True, False])
def test_beside_the_other_package_the_command_says_how_to_part_them(site: Path, theirs_came_last: bool) -> None:
    install(site, "mct-reconstruct = mct.cli_scripts.mct_reconstruct:Reconstruct.console_script")
    if theirs_came_last:
        (site / "mct").unlink()
        (site / "mct").mkdir()
        (site / "mct" / "__init__.py").write_text("import a_library_that_only_it_needs\n")
    done = start(site)
    assert (done.returncode, done.stdout) == (2, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: another package") and "mct 0.3.2 (The MRI Coil-reconstruct Toolbox)" in error
    assert hint == f"hint: pip uninstall mct, then {AGAIN}"


def test_what_an_uninstall_of_the_other_package_took_along_is_said(site: Path) -> None:
    (site / "mct").unlink()
    (site / "mct").mkdir()  # pip took the __init__.py, because both had written it
    done = start(site)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1] == f"hint: {AGAIN}"


def test_a_development_install_from_when_ours_bore_that_name_is_no_other_package(site: Path) -> None:
    install(site, "mct = mct.cli:main")
    assert start(site).returncode == 0


def test_every_printed_pip_line_names_our_distribution() -> None:
    texts = {".py", ".md", ".cfg", ".toml", ".yml", ".sh", ".txt", ".j2"}
    hidden = re.compile(r"/(\.(?!github)|build/|[^/]*\.egg-info/)")
    files = [ROOT / "Makefile", *(path for path in sorted(ROOT.rglob("*")) if path.suffix in texts)]
    files = [path for path in files if not hidden.search(f"/{path.relative_to(ROOT)}")]
    assert {ROOT / "README.md", ROOT / "models" / "tables.py", ROOT / ".github" / "bench" / "install.sh"} <= set(files)
    wrong = re.compile(r"""(?<!un)install\s+(-\S+\s+)*['"]?mct\b|(?<![-\w`])mct\[[a-z]""")
    lines = [f"{path}: {line}" for path in files for line in path.read_text("utf-8").splitlines()]
    assert [line for line in lines if wrong.search(line)] == []
