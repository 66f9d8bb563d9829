"""Our real server with obedient models, and a clean bench for each client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from osaurus_nb.runtime import Runtime
from tests.clients.workbench import Workbench
from tests.conformance.obedient import ObedientAdapter
from tests.server.conftest import Served, jupyter_dirs, serving

__all__ = ["jupyter_dirs", "served"]


@pytest.fixture
def obedient() -> ObedientAdapter:
    return ObedientAdapter("gpt-obedient", "claude-obedient", "gemini-obedient")


@pytest.fixture
def served(jupyter_dirs: Path, obedient: ObedientAdapter) -> Iterator[Served]:
    with serving(lambda: Runtime([obedient]), jupyter_dirs) as started:
        yield started


@pytest.fixture
def bench(served: Served, tmp_path: Path) -> Workbench:
    return Workbench(tmp_path, served.url, served.key)
