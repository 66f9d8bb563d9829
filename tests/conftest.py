"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from osaurus_nb.config.paths import Paths, private_dir
from osaurus_nb.local.pull import pull

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Everything async here runs on asyncio, as it does in a kernel and in the Jupyter server."""
    return "asyncio"


@pytest.fixture(scope="session")
def embedded_home() -> Path:
    """An `$OSAURUS_HOME` that holds the real embedded model: fetched once, kept, safe for several runs at once."""
    home = private_dir(Path(os.environ.get("OSAURUS_TEST_HOME") or ROOT / ".cache" / "test-home").absolute())
    pull(Paths(home))
    return home
