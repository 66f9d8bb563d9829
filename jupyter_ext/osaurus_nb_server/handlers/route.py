"""What is told of an answer beside its words: who gave it, after how many attempts, with which warnings, how fast."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import quote

from osaurus_nb.events import (
    AttemptStarted,
    CostReported,
    Event,
    PanelReported,
    ReasoningDelta,
    Routed,
    Started,
    Substituted,
    TextDelta,
    ToolCallStarted,
    Warned,
)
from osaurus_nb.models import EndpointClass, Timings
from osaurus_nb.money import exact
from osaurus_nb.routes import Explanation, Panel
from osaurus_nb.spending import Cost

#: Longest value that we put into a header.
_LONGEST = 512


class Route:
    """Collects what is known of the route as its events pass."""

    def __init__(self, request_id: str, asked: str) -> None:
        self.request_id = request_id
        self._began = time.monotonic()
        self._first_word: float | None = None
        self._asked = asked
        self._attempts = 0
        self._started: Started | None = None
        self._substituted: Substituted | None = None
        self._warnings: list[Warned] = []
        self._cost: Cost | None = None
        self._chosen: Explanation | None = None
        self._panel: Panel | None = None
        self._endpoint: EndpointClass | None = None

    def note(self, event: Event) -> None:
        match event:
            case Routed(explanation=explanation):
                self._chosen = explanation
            case PanelReported(panel=panel):
                self._panel = panel
            case AttemptStarted(number=number):
                self._attempts = number
                self._endpoint = event.endpoint
            case Started():
                self._started = event
            case Substituted():
                self._substituted = event
            case CostReported(cost=cost):
                self._cost = cost
            case Warned():
                self._warnings.append(event)
            case TextDelta() | ReasoningDelta() | ToolCallStarted() if self._first_word is None:
                self._first_word = self.elapsed()
            case _:
                pass

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return time.monotonic() - self._began

    def timings(self) -> Timings:
        """Up to now. Tells of the first word if all events passed here."""
        return Timings(self.elapsed(), self._first_word)

    def headers(self) -> Iterator[tuple[str, str]]:
        """Headers for what is known now. Names of models are anybody's text, so only plain ASCII is let through."""
        yield "X-Osaurus-Request-Id", self.request_id
        yield "X-Osaurus-Model", _plain(self._asked)
        if self._started is not None:
            yield "X-Osaurus-Provider", _plain(self._started.provider)
            yield "X-Osaurus-Upstream-Model", _plain(self._started.model)
            yield "X-Osaurus-Attempts", str(self._attempts)
            if self._endpoint is not None:
                yield "X-Osaurus-Endpoint-Class", self._endpoint
        if self._chosen is not None:
            yield from _choice(self._chosen)
        if self._panel is not None:
            answered = sum(one.outcome == "answered" for one in self._panel.panelists)
            yield "X-Osaurus-Fusion", f"panel={len(self._panel.panelists)}; answered={answered}"
        if self._substituted is not None:
            yield "X-Osaurus-Fallback", _plain(self._substituted.reason)
        if self._cost is not None and self._cost.micro is not None:
            yield "X-Osaurus-Cost", exact(self._cost.micro)
            yield "X-Osaurus-Cost-Source", _source(self._cost)
        if self._warnings:
            yield "X-Osaurus-Warnings", _plain(", ".join(_short(warning) for warning in self._warnings))


def _choice(chosen: Explanation) -> Iterator[tuple[str, str]]:
    """Why these models: only where that was chosen, and not simply named."""
    yield "X-Osaurus-Route-Mode", chosen.mode
    if chosen.profile is not None:
        yield "X-Osaurus-Profile", _plain(chosen.profile)
    yield "X-Osaurus-Intent", chosen.intent
    yield "X-Osaurus-Complexity", chosen.complexity
    if chosen.sticky is not None:
        yield "X-Osaurus-Sticky", _plain(chosen.sticky)


def _short(warning: Warned) -> str:
    return f"{warning.code}; param={warning.param}" if warning.param else warning.code


def _source(cost: Cost) -> str:
    return "; ".join(filter(None, (cost.source, "estimated" if cost.estimated else None)))


def _plain(text: str) -> str:
    safe = text if text.isascii() and text.isprintable() else quote(text, safe="/:@,;= ")
    return safe[:_LONGEST]
