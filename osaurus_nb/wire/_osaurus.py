"""The key `osaurus`, which we add to answers and model rows in every dialect that bears an unknown key. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.models import ModelCard

RouteEvent = ev.Substituted | ev.Started | ev.AttemptStarted | ev.AttemptFailed | ev.Warned


class Route:
    """What the `osaurus` key says: who answered, after which attempts, with which warnings."""

    def __init__(self, request_id: str) -> None:
        self._head: dict[str, Any] = {"request_id": request_id}
        self._attempts: list[dict[str, Any]] = []
        self._warnings: list[dict[str, Any]] = []

    def note(self, event: RouteEvent) -> None:
        match event:
            case ev.Started():
                self._head |= {"provider": event.provider, "model": event.model}
            case ev.Substituted():
                self._head["substituted"] = {"asked": event.asked, "reason": event.reason}
            case ev.AttemptStarted():
                self._attempts.append({"number": event.number, "provider": event.provider, "model": event.model})
            case ev.AttemptFailed():
                row = {"number": event.number, "provider": event.provider, "model": event.model}
                self._attempts.append(row | {"error": {"code": event.error.code, "message": event.error.message}})
            case ev.Warned():
                self._warnings.append({"code": event.code, "message": event.message, "param": event.param})

    def first(self) -> dict[str, Any]:
        return {**self._head, "attempts": list(self._attempts)}

    def last(self) -> dict[str, Any] | None:
        return {"warnings": list(self._warnings)} if self._warnings else None


def about(card: ModelCard) -> dict[str, Any]:
    """What we know of a model that a dialect's own row has no place for."""
    capabilities = {key: value for key, value in asdict(card.capabilities).items() if value is not None}
    fields = {
        "context_length": card.context_length,
        "endpoint": card.endpoint,
        "size_bytes": card.size_bytes,
        "capabilities": capabilities or None,
    }
    return {key: value for key, value in fields.items() if value is not None}
