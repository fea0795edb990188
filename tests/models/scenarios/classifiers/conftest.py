from pathlib import Path

import pytest

from mct.models.scenarios.classifiers.router import build


@pytest.fixture(scope="session")
def tiny_router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The intent router at its tiny size: to read, not to change."""
    return build("tiny", tmp_path_factory.mktemp("router") / "tiny")
