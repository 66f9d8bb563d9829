"""Who would answer a question, and why: the question of any dialect, decided and not asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from osaurus_nb.events import Routed
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Backend
from osaurus_nb.wire import explanation
from osaurus_nb_server.dialect import Address, Dialect
from osaurus_nb_server.dialects import GEMINI, OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_RESPONSES, spoken
from osaurus_nb_server.operations._operation import Operation, Outcome

#: What only one dialect's body has.
_SHAPES: Mapping[str, Dialect] = {
    "messages": OPENAI_CHAT,
    "contents": GEMINI,
    "input": OPENAI_RESPONSES,
    "prompt": OPENAI_COMPLETIONS,
}


async def _explain(backend: Backend, body: bytes, address: Address) -> Outcome:
    request = address.routed(_read(body, address))
    found = await backend.explain(request, address.terms())
    written = {"object": "route.explanation", "model": request.model, "route": explanation.write(found)}
    return Outcome(written, request.model, (Routed(found), *request.warnings))


def _read(body: bytes, address: Address) -> ChatRequest:
    dialect = _dialect(body, address)
    codec: Any = dialect.codec()
    if dialect is GEMINI:  # this path names no model, so the body has to
        asked: ChatRequest = codec.decode_request(body)
        return asked
    return dialect.decode(codec, body, address)


def _dialect(body: bytes, address: Address) -> Dialect:
    """As the headers say, else as the body looks."""
    told = spoken(address.headers)
    if told is not OPENAI_CHAT:
        return told
    try:
        keys = json.loads(body)
    except (ValueError, RecursionError):
        return told
    found = (dialect for key, dialect in _SHAPES.items() if isinstance(keys, dict) and key in keys)
    return next(found, told)


#: Paths below `/osaurus`, each with what it does.
ROWS: Mapping[str, Operation] = {"/v1/route/explain": Operation(None, _explain)}
