"""One look at a source, set up or not: does it list its models, how fast, and if not, why. Keeps nothing."""

from __future__ import annotations

from osaurus_nb.models import Tested
from osaurus_nb.ports import Adapter, Clock, SystemClock
from osaurus_nb.providers.connections import Connections


async def trial(adapter: Adapter, clock: Clock | None = None) -> Tested:
    """Ask it for its models once, within its own deadline. What fails is told, not raised."""
    clock = clock or SystemClock()
    tried = Connections(clock=clock)
    tried.follow({adapter.provider: adapter})
    began = clock.monotonic()
    try:
        status = await tried.connect(adapter.provider)
        models = tuple(card.id for card in tried.listed().get(adapter.provider, ()))
        return Tested(adapter.provider, status.state, models, clock.monotonic() - began, status.diagnosis)
    finally:
        await tried.aclose()
