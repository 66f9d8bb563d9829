"""What every test may ask for."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Everything async here runs on asyncio, as it does in a kernel and in the Jupyter server."""
    return "asyncio"


@pytest.fixture(scope="session")
def embedded_home() -> Path:
    """An `$OSAURUS_HOME` that holds the real embedded model, fetched once and kept between runs."""
    from osaurus_nb.config.paths import Paths, private_dir
    from osaurus_nb.local.pull import pull

    home = private_dir(Path(os.environ.get("OSAURUS_TEST_HOME") or ROOT / ".cache" / "test-home").absolute())
    with (home / ".fetching").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test runs at once fetch it once
        pull(Paths(home))
    return home
