"""`GET` of what was counted, in Prometheus' text format: for keys that may see the status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jupyter_server.auth.decorator import allow_unauthenticated

from osaurus_nb.models import SourceStatus
from osaurus_nb.telemetry.prometheus import CONTENT_TYPE, gauge
from osaurus_nb_server.handlers.base import ApiHandler

_STATES = {"closed": 0, "half-open": 1, "open": 2}


class MetricsHandler(ApiHandler):
    scope = "status"

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        sources = await self.service.sources()
        lines = [*self.service.metrics.lines(), *self._now(), *_standing(sources)]
        await self.finish("\n".join(lines) + "\n", set_content_type=CONTENT_TYPE)

    def _now(self) -> Iterator[str]:
        service, door = self.service, self.service.admission
        yield from gauge("osaurus_active", "Requests under way.", (), [((), door.inside)])
        yield from gauge("osaurus_waiting", "Requests that wait for a place.", (), [((), door.waiting)])
        yield from gauge("osaurus_refused", "Requests sent away since the start.", (), [((), door.refused)])
        yield from gauge("osaurus_uptime_seconds", "Since the start.", (), [((), round(service.uptime, 3))])


def _standing(sources: Sequence[SourceStatus]) -> Iterator[str]:
    up = [((row.provider,), float(row.state == "connected")) for row in sources]
    yield from gauge("osaurus_provider_up", "1 where the list of models came.", ("provider",), up)
    states = [
        ((row.provider, breaker.model or ""), _STATES[breaker.state])
        for row in sources
        for breaker in (row.breaker, *row.resting)
        if breaker is not None
    ]
    said = "0 closed, 1 half-open, 2 open; without a model it is the whole provider's."
    yield from gauge("osaurus_breaker_state", said, ("provider", "model"), states)
