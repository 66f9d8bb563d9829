"""The timeout that a user gave a provider holds as it was given: shorter, longer, or lifted."""

from __future__ import annotations

from pathlib import Path

import pytest

from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.client import AsyncClient
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import StreamCut, TooSlow
from osaurus_nb.ports import Timeouts
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.loopback import LoopbackUpstream

pytestmark = pytest.mark.anyio
SLOW = "lab/slow?words=2&interval=0.5&delay=0.5"


async def ask(home: Path, timeout: float | None, ours: float) -> str:
    """The answer of a provider that is silent for half a second at a time; `ours` are all deadlines of the runtime."""
    async with LoopbackUpstream() as upstream:
        ProviderFile(Paths(home)).add("lab", upstream.url, timeout=timeout)
        within = Timeouts(first_token=ours, between_tokens=ours, total=ours)
        runtime = Runtime(ConfiguredSources(Settings(Paths(home)), {}), timeouts=within)
        async with AsyncClient(backend=runtime) as client:
            reply = await client.chat("hi", model=SLOW)
    return reply.text


@pytest.mark.parametrize("timeout", [None, 300])
async def test_a_longer_timeout_is_not_undercut_by_ours(tmp_path: Path, timeout: float | None) -> None:
    """A patient user waits, also without end."""
    assert await ask(tmp_path, timeout, ours=0.2) == "w0 w1 "


async def test_a_shorter_timeout_ends_the_silence(tmp_path: Path) -> None:
    """Long before our own deadlines do."""
    with pytest.raises((TooSlow, StreamCut)):
        await ask(tmp_path, 0.2, ours=60)


async def test_the_usual_timeout_leaves_our_deadlines_alone(tmp_path: Path) -> None:
    """What the app writes by itself is nobody's wish."""
    with pytest.raises(TooSlow):
        await ask(tmp_path, 60, ours=0.2)
