"""Which dialect is spoken at which path. A new one is a row here and a room in `osaurus_nb.wire`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from osaurus_nb.errors import OsaurusError, RequestError
from osaurus_nb.request import ChatRequest
from osaurus_nb_server import recall
from osaurus_nb_server.dialect import SSE, Address, Asked, Codec, Dialect, Encoder, Keeper, Opened

_DONE = b"data: [DONE]\n\n"


def _anthropic_opened(codec: Any, body: bytes, address: Address) -> Opened | None:
    """Version and betas are in headers."""
    if "anthropic-version" not in address.headers:
        return None  # which has to be told
    head = codec.read_head(body)
    own = {name: address.headers[name] for name in ("anthropic-version", "anthropic-beta") if name in address.headers}
    return Opened(head[0], head[1], own) if head is not None else None


def _gemini_opened(codec: Any, body: bytes, address: Address) -> Opened | None:
    model, verb = address.path
    head = codec.read_head(body, model=model, stream=verb == "streamGenerateContent")
    return Opened(head[0], head[1], {}) if head is not None else None


def _timed(codec: Any, request: ChatRequest, asked: Asked) -> Encoder:
    """Answers that say how long they took."""
    encoder: Encoder = codec.event_encoder(request, id=asked.id, created=asked.created, elapsed=asked.elapsed)
    return encoder


def _dated(codec: Any, request: ChatRequest, asked: Asked) -> Encoder:
    """Answers that say when they ended."""
    encoder: Encoder = codec.event_encoder(request, id=asked.id, created=asked.created, now=asked.now)
    return encoder


def _anthropic(codec: Any, body: bytes, address: Address) -> ChatRequest:
    """The version of the API is in a header, and so are betas."""
    version, betas = address.headers.get("anthropic-version"), address.headers.get("anthropic-beta")
    request: ChatRequest = codec.decode_request(body, version=version, betas=betas)
    return request


def _responses(codec: Codec, body: bytes, address: Address) -> ChatRequest:
    """What is read without its caller's stored responses cannot go on from one."""
    request = codec.decode_request(body)
    if request.extra.get("previous_response_id") is not None:
        raise RequestError(
            "Stored responses are not looked up for this. Send the whole conversation as 'input' instead.",
            param="previous_response_id",
        )
    return request


def _gemini(codec: Any, body: bytes, address: Address) -> ChatRequest:
    """Model and manner are in the path."""
    model, verb = address.path
    stream = verb == "streamGenerateContent"
    if address.query.get("alt") not in (None, SSE, [b"json"]):
        raise RequestError("'alt' must be sse, json or left out.", param="alt")
    request: ChatRequest = codec.decode_request(body, model=model, stream=stream)
    return request


def _anthropic_fault(codec: Any, error: OsaurusError, request_id: str) -> dict[str, Any]:
    """The id of the request is in the body too."""
    said: dict[str, Any] = codec.encode_error(error, request_id=request_id)
    return said


async def _ollama_attends(codec: Any, request: ChatRequest, asked: Asked, keeper: Keeper) -> Mapping[str, Any]:
    leaves = codec.is_unload(request)
    await (keeper.unload if leaves else keeper.load)(request.model)
    said: Mapping[str, Any] = codec.encode_loaded(request, created=asked.created, unloaded=leaves)
    return said


OPENAI_CHAT = Dialect("osaurus_nb.wire.openai_chat", format="openai", end=_DONE)
OPENAI_COMPLETIONS = Dialect("osaurus_nb.wire.openai_completions")
OPENAI_RESPONSES = Dialect(
    "osaurus_nb.wire.openai_responses",
    format="openResponses",
    end=_DONE,
    decode=_responses,
    encode=_dated,
    recall=recall.question,
)
ANTHROPIC = Dialect(
    "osaurus_nb.wire.anthropic_messages",
    decode=_anthropic,
    fault=_anthropic_fault,
    format="anthropic",
    open=_anthropic_opened,
)
GEMINI = Dialect("osaurus_nb.wire.google_generate", decode=_gemini, format="gemini", open=_gemini_opened)
_GEMINI_ARRAY = Dialect("osaurus_nb.wire.google_generate.array", stream_type="application/json", decode=_gemini)
OLLAMA = Dialect(
    "osaurus_nb.wire.ollama_chat", "application/x-ndjson", encode=_timed, attend=_ollama_attends, format="ollama"
)
OLLAMA_GENERATE = replace(OLLAMA, module="osaurus_nb.wire.ollama_chat.generate", format=None)

#: Paths below `/osaurus` that answer a request, each with its dialect. Ids of models hold colons and slashes: the verb
#: is behind the last colon.
GENERATE: Mapping[str, Dialect] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/chat/completions": OPENAI_CHAT,
    "/v1/completions": OPENAI_COMPLETIONS,
    "/completions": OPENAI_COMPLETIONS,
    "/v1/responses": OPENAI_RESPONSES,
    "/responses": OPENAI_RESPONSES,
    "/v1/messages": ANTHROPIC,
    "/messages": ANTHROPIC,
    "/v1(?:beta)?/models/(.+):(generateContent)": GEMINI,
    "/v1(?:beta)?/models/(.+):(streamGenerateContent)": replace(GEMINI, without_sse=_GEMINI_ARRAY),
    "/api/chat": OLLAMA,
    "/api/generate": OLLAMA_GENERATE,
}
_MANAGED = (
    "Models are not managed at this address. Where osaurus runs, `osaurus-nb pull` fetches the embedded model and "
    "converts GGUF files, and `osaurus-nb providers add` makes the models of other servers known."
)
#: Paths that we know and do not serve, each with its dialect and what to do instead.
REFUSED: Mapping[str, tuple[Dialect, str]] = {"/api/(?:pull|push|create|copy|delete|blobs/.+)": (OLLAMA, _MANAGED)}

#: Headers that only one vendor's SDK sends.
_TELLING = {"anthropic-version": ANTHROPIC, "x-goog-api-key": GEMINI, "x-goog-api-client": GEMINI}


def spoken(headers: Mapping[str, str]) -> Dialect:
    """The dialect of a caller at a path that several share."""
    return next((dialect for name, dialect in _TELLING.items() if name in headers), OPENAI_CHAT)
