"""The key `osaurus`, which we add to answers and model rows in every dialect that bears an unknown key. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from osaurus_nb import events as ev
from osaurus_nb.errors import OsaurusError
from osaurus_nb.models import LOCAL_CLASSES, Capabilities, EndpointClass, ModelCard
from osaurus_nb.spending import Cost, PriceSource
from osaurus_nb.wire import explanation, panel
from osaurus_nb.wire._liberal import as_mapping, as_rows

RouteEvent = (
    ev.Substituted
    | ev.Started
    | ev.AttemptStarted
    | ev.AttemptFailed
    | ev.Warned
    | ev.CostReported
    | ev.Routed
    | ev.PanelReported
)


class Route:
    """What the `osaurus` key says: who answered, after which attempts, with which warnings.

    Why these were asked is told to who wants it `explained`: it is long.
    """

    def __init__(self, request_id: str, *, explained: bool = False) -> None:
        self._explained = explained
        self._head: dict[str, Any] = {"request_id": request_id}
        self._attempts: list[dict[str, Any]] = []
        self._warnings: list[dict[str, Any]] = []
        self._cost: dict[str, Any] | None = None
        self._panel: dict[str, Any] | None = None

    def note(self, event: RouteEvent) -> None:
        match event:
            case ev.Started():
                self._head |= {"provider": event.provider, "model": event.model}
            case ev.Substituted():
                self._head["substituted"] = {"asked": event.asked, "reason": event.reason}
            case ev.AttemptStarted():
                row = {"number": event.number, "provider": event.provider, "model": event.model}
                self._attempts.append(row | ({"endpoint": event.endpoint} if event.endpoint is not None else {}))
            case ev.AttemptFailed():
                row = {"number": event.number, "provider": event.provider, "model": event.model}
                self._attempts.append(row | {"error": {"code": event.error.code, "message": event.error.message}})
            case ev.Warned():
                self._warnings.append({"code": event.code, "message": event.message, "param": event.param})
            case ev.Routed():
                if self._explained:
                    self._head["route"] = explanation.write(event.explanation, most=explanation.MOST)
            case ev.PanelReported():
                self._panel = panel.write(event.panel)
            case ev.CostReported():
                self._cost = paid(event.cost)

    def take(self, answer: ev.Answer) -> None:
        """All of it at once, from an answer that is whole."""
        for event in (*answer.attempts, *answer.warnings, ev.Started(answer.provider, answer.model)):
            self.note(event)
        if answer.route is not None:
            self.note(ev.Routed(answer.route))
        if answer.panel is not None:
            self.note(ev.PanelReported(answer.panel))
        if answer.cost is not None:
            self.note(ev.CostReported(answer.cost))

    def first(self) -> dict[str, Any]:
        return {**self._head, "attempts": list(self._attempts)}

    def last(self) -> dict[str, Any] | None:
        said = {"warnings": list(self._warnings) or None, "cost": self._cost, "panel": self._panel}
        return {key: value for key, value in said.items() if value is not None} or None


def told(payload: Mapping[str, Any]) -> Iterator[RouteEvent]:
    """What such a key says of a route, as events again. What is no such thing is passed over."""
    said = as_mapping(payload.get("osaurus"))
    if (route := explanation.read(said.get("route"))) is not None:
        yield ev.Routed(route)
    for row in as_rows(said.get("attempts")):
        yield _attempt(row)
    if change := as_mapping(said.get("substituted")):
        yield ev.Substituted(str(change.get("asked")), str(said.get("model")), str(change.get("reason")))
    for row in as_rows(said.get("warnings")):
        param = row.get("param")
        yield ev.Warned(str(row.get("code")), str(row.get("message")), param if isinstance(param, str) else None)
    if (asked := panel.read(said.get("panel"))) is not None:
        yield ev.PanelReported(asked)
    if (cost := price(payload)) is not None:
        yield ev.CostReported(cost)


def paid(cost: Cost) -> dict[str, Any]:
    """What such a key says under `cost`."""
    return {key: value for key, value in asdict(cost).items() if value is not None}


def price(payload: Mapping[str, Any]) -> Cost | None:
    """What it cost, if such a key says so."""
    said = as_mapping(as_mapping(payload.get("osaurus")).get("cost"))
    return _cost(said) if said else None


def author(payload: Mapping[str, Any]) -> tuple[str, str]:
    """The provider and the model that such a key names; empty where it names none."""
    said = as_mapping(payload.get("osaurus"))
    return str(said.get("provider") or ""), str(said.get("model") or "")


def capabilities(row: Mapping[str, Any]) -> Capabilities:
    """What such a key in a model's row says that the model can do."""
    said = as_mapping(as_mapping(row.get("osaurus")).get("capabilities"))
    known = {field.name for field in fields(Capabilities)}
    return Capabilities(**{name: value for name, value in said.items() if name in known and isinstance(value, bool)})


def forwards_to(row: Mapping[str, Any]) -> str | None:
    """Whom a server of ours asks for this model, where that is nobody on its machine or in its networks."""
    endpoint = as_mapping(row.get("osaurus")).get("endpoint")
    if not isinstance(endpoint, str) or endpoint in LOCAL_CLASSES:
        return None
    owner = row.get("owned_by")
    return f"'{owner}'" if isinstance(owner, str) and owner.isprintable() and len(owner) < 100 else "another provider"


def _cost(said: Mapping[str, Any]) -> Cost:
    micro, source, version = said.get("micro"), said.get("source"), said.get("version")
    return Cost(
        micro if isinstance(micro, int) else None,
        source if source in get_args(PriceSource) else None,
        version if isinstance(version, str) else None,
        estimated=said.get("estimated") is True,
    )


def _attempt(row: Mapping[str, Any]) -> ev.AttemptStarted | ev.AttemptFailed:
    number, provider, model = row.get("number"), str(row.get("provider")), str(row.get("model"))
    number = number if isinstance(number, int) else 0
    error = as_mapping(row.get("error"))
    if not error:
        endpoint = row.get("endpoint")
        return ev.AttemptStarted(number, provider, model, endpoint if endpoint in get_args(EndpointClass) else None)
    return ev.AttemptFailed(number, provider, model, OsaurusError(str(error.get("message"))))


def about(card: ModelCard) -> dict[str, Any]:
    """What we know of a model that a dialect's own row has no place for."""
    capabilities = {key: value for key, value in asdict(card.capabilities).items() if value is not None}
    known = {
        "context_length": card.context_length,
        "max_output_tokens": card.max_output_tokens,
        "endpoint": card.endpoint,
        "size_bytes": card.size_bytes,
        "capabilities": capabilities or None,
        "price": {"input": str(card.price.input), "output": str(card.price.output)} if card.price else None,
    }
    return {key: value for key, value in known.items() if value is not None}
