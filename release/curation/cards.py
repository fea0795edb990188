"""Where a check's results go: a folder of reports, and cards beside the files that were checked."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from mct import MctError
from mct.models.data.card import DataCard, card_path, data_digest, read_card
from mct.models.data.files import SUFFIXES
from mct.models.writing.folders import write_atomically, write_json
from mct.models.writing.ownership import require_output
from mct.models.writing.replacing import appearing
from mct.release.curation.cleaning import CHANGES
from mct.release.curation.findings import Findings
from mct.release.curation.page import reports


def write_reports(folder: Path, found: Findings) -> None:
    """check.md, check.html and check.json, all of them or none."""
    with appearing(folder) as draft:
        for name, text in reports(found).items():
            write_atomically(draft / name, text)


def write_cards(files: Sequence[Path], found: Findings) -> None:
    """A card beside each file that was checked, with what was known of it before."""
    compared = {each.name: each.sha256 for each in found.files}
    for file, each in zip(files, found.files, strict=False):
        try:
            before = read_card(file)
        except MctError:  # of other bytes, or damaged: it is written anew for that
            before = None
        others = {name: sha256 for name, sha256 in compared.items() if name != each.name}
        noise = {"estimated_noise": found.noise.estimated_share} if found.noise else {}
        check = {"mct": found.mct, "near": found.near, **found.counts(each.name), **noise, "compared_with": others}
        card = before or DataCard(each.name, data_digest(file), each.rows)
        write_json(card_path(file), asdict(replace(card, check=check)))


def require_data_output(out: Path, reads: Sequence[Path]) -> None:
    """MctError where `out`, its record or its card cannot be written, or would change what is read."""
    if not out.name.lower().endswith(SUFFIXES):
        raise MctError(f"{out} names no kind of data file", f"name it one of: {', '.join(SUFFIXES)}")
    for path in (out, out.with_name(out.name + CHANGES), card_path(out)):
        require_output(path, reads)
