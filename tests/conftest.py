"""What every test may ask for."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from osaurus_nb.config.paths import Paths, private_dir
from osaurus_nb.local.pull import pull
from osaurus_nb.local.supervisor import Supervisor

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Everything async here runs on asyncio, as it does in a kernel and in the Jupyter server."""
    return "asyncio"


@pytest.fixture(scope="session")
def embedded_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An `$OSAURUS_HOME` with the real embedded model. The model is kept between runs; the home is not."""
    kept = pull(Paths(private_dir(Path(os.environ.get("OSAURUS_TEST_HOME") or ROOT / ".cache/test-home").absolute())))
    paths = Paths(tmp_path_factory.mktemp("home"))
    shutil.copytree(kept.folder, private_dir(paths.models) / kept.id, copy_function=link_or_copy)
    model = pull(paths)
    yield paths.home
    asyncio.run(Supervisor(paths).unload(model))  # or its worker would stay for a quarter of an hour


def link_or_copy(source: str, target: str) -> None:
    """The same bytes in a second place, without a second copy where the file system allows."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
