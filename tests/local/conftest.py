"""Models for the tests of the local room."""

from __future__ import annotations

from pathlib import Path

import pytest

from osaurus_nb.testing import tiny_models


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a llama of 380 KB and random weights. Read it; do not write into it."""
    return tiny_models.make_random(tmp_path_factory.mktemp("models") / "tiny-random")
