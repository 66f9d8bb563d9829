"""Our real server with obedient models, for tools that judge it from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from osaurus_nb.runtime import Runtime
from tests.conformance.obedient import ObedientAdapter
from tests.server.conftest import Served, jupyter_dirs, serving

__all__ = ["jupyter_dirs", "served"]

#: Some checks run only for models that are known to reason, and know them by their names.
MODELS = ("o3-obedient", "claude-sonnet-4-obedient", "gemini-obedient")


@pytest.fixture(scope="module")
def served(jupyter_dirs: Path) -> Iterator[Served]:
    with serving(lambda: Runtime([ObedientAdapter(*MODELS)]), jupyter_dirs) as started:
        yield started
