"""A body of /api/chat for a provider of /api/chat, as the caller wrote it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest, Delivery, Sent
from osaurus_nb.wire import _relay
from osaurus_nb.wire._codec import Carried, Encoded
from osaurus_nb.wire._payloads import Frame
from osaurus_nb.wire._reading import Relay
from osaurus_nb.wire.ollama_chat.decode import event_decoder


def read_head(body: bytes) -> _relay.Head | None:
    """What is needed of a request to know whom it may go to as it is; None where it has to be translated.

    One without messages only loads a model, which is a matter between the caller and us.
    """
    head = _relay.read_head(body)
    if head is None or not head[1].get("messages"):
        return None
    request, payload = head
    return (request if "stream" in payload else replace(request, delivery=Delivery(stream=True))), payload


def relay(sent: Sent, request: ChatRequest, card: ModelCard) -> Carried | None:
    """The body with the model's name as the provider spells it."""
    body = _relay.unchanged(sent, card, {})
    if body is None:
        return None
    body["model"] = card.id
    return Carried(
        Encoded(body), event_decoder(card, Relay(_line, _words) if request.delivery.stream else Relay(_Only()))
    )


class _Only:
    """Hands on the one line of an answer that was not streamed; nothing if it was streamed against our wish."""

    def __init__(self) -> None:
        self._first = True

    def __call__(self, frame: Frame) -> bytes:
        first, self._first = self._first, False
        return _line(frame) if first and frame.payload.get("done") is True else b""


def _words(data: bytes) -> int:
    """Lines that hold a piece of text."""
    count = data.count(b"\n")
    plain = data.startswith(b"{") and data.endswith(b"}\n") and b"\n\n" not in data and b"tool_calls" not in data
    if not plain or b'"error"' in data or any(split in data for split in _relay.OTHER_BREAKS):
        return 0
    return count if data.count(b'"message"') == data.count(b'"done":false') == count else 0


def _line(frame: Frame) -> bytes:
    """A line that the official parser takes: it wants the arguments of a call as an object."""
    calls = _calls(frame.payload)
    if not any(isinstance(call.get("arguments"), str) for call in calls):
        return _relay.line(frame) + b"\n"
    payload = copy.deepcopy(dict(frame.payload))
    for call in _calls(payload):
        call["arguments"] = _object(call.get("arguments"))
    return _relay.rewritten(payload) + b"\n"


def _calls(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    message = payload.get("message")
    rows = message.get("tool_calls") if isinstance(message, dict) else None
    found = [row.get("function") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [function for function in found if isinstance(function, dict)]


def _object(arguments: Any) -> Any:
    try:
        return from_json(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return {}
