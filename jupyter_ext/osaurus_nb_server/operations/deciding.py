"""Decisions, asked in three dialects. Two of them share a path: there the questions' own shape tells."""

from __future__ import annotations

import json
from collections.abc import Mapping

from osaurus_nb.runtime import Backend
from osaurus_nb.wire import decisions
from osaurus_nb_server.dialect import Address
from osaurus_nb_server.dialects import GEMINI, OLLAMA, OPENAI_CHAT, spoken
from osaurus_nb_server.operations._operation import Operation, Outcome, without_ours


async def _decide(backend: Backend, body: bytes, address: Address, format: str) -> Outcome:
    codec = decisions.load(format)
    body, limits = without_ours(body, address)
    request = codec.decode_request(body)
    answer = await backend.decide(request, address.terms(**limits))
    return Outcome.of(answer, codec.encode_response(answer), asked=request.model)


async def _by_shape(backend: Backend, body: bytes, address: Address) -> Outcome:
    """OpenAI has an array of questions, Google an object. What is neither is refused as the headers suggest."""
    google = _questions(body) or (dict if spoken(address.headers) is GEMINI else list)
    return await _decide(backend, body, address, "google" if google is dict else "openai")


def _questions(body: bytes) -> type[object] | None:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    questions = parsed.get("questions") if isinstance(parsed, dict) else None
    return type(questions) if isinstance(questions, dict | list) else None


async def _google(backend: Backend, body: bytes, address: Address) -> Outcome:
    return await _decide(backend, body, address, "google")


async def _systemone(backend: Backend, body: bytes, address: Address) -> Outcome:
    return await _decide(backend, body, address, "systemone")


#: Paths below `/osaurus`, each with what it does.
ROWS: Mapping[str, Operation] = {
    "/v1/decisions": Operation(None, _by_shape),
    "/decisions": Operation(OPENAI_CHAT, _by_shape),
    "/v1beta/decisions": Operation(GEMINI, _google),
    "/v1/systemone": Operation(OLLAMA, _systemone),
}
