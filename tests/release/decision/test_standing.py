"""What a decision reads of the release store."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.release.decision.evidence import read_evidence
from mct.release.decision.standing import read_standing

NAME = "intent-router"


def test_a_journal_of_another_name_says_nothing_of_production(case: Any) -> None:
    names = Path(case.store.address) / "names"
    assert read_standing(read_evidence(case.folder, NAME)).production is not None
    (names / NAME).rename(names / "payments")
    shutil.copytree(names / "payments" / "journal", names / NAME / "journal")
    assert read_standing(read_evidence(case.folder, NAME)).production is not None
    toml = case.folder / "evidence.toml"
    toml.write_text(toml.read_text().replace(f'release = "{NAME}"', 'release = "payments"'))
    with pytest.raises(MctError, match=f"in the journal of payments is about {NAME}@"):
        read_standing(read_evidence(case.folder, NAME))
