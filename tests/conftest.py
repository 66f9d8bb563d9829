"""What every test may ask for."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Everything async here runs on asyncio, as it does in a kernel and in the Jupyter server."""
    return "asyncio"
