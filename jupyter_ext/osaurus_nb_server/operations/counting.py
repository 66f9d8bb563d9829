"""How many tokens a prompt has, asked in four dialects. What nobody counted is marked as an estimate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from osaurus_nb.events import Warned
from osaurus_nb.models import TokenCount
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.runtime import Backend
from osaurus_nb_server import recall
from osaurus_nb_server.dialect import Address, Dialect
from osaurus_nb_server.dialects import ANTHROPIC, GEMINI, OPENAI_CHAT, OPENAI_RESPONSES
from osaurus_nb_server.operations._operation import Operation, Outcome

#: The question; or its head, and what its caller wrote.
Asked = tuple[ChatRequest, Sent | None]
#: Reads the question with the codec of its dialect, and writes the answer with it.
Read = Callable[[Any, bytes, Address], Awaitable[Asked]]
Write = Callable[[Any, int], dict[str, Any]]

#: The vendors' SDKs bear a key that they do not know.
_MARK = {"osaurus": {"estimated": True}}
_ESTIMATED = Warned("estimated_count", "Nobody counts tokens for this model: this is an estimate.")


def _row(dialect: Dialect, read: Read, write: Write) -> Operation:
    async def count(backend: Backend, body: bytes, address: Address) -> Outcome:
        codec = dialect.codec()
        request, sent = await read(codec, body, address)
        counted: TokenCount = await backend.count_tokens(address.routed(request), sent=address.whole(sent))
        answer = write(codec, counted.input_tokens)
        if counted.estimated:
            return Outcome(answer | _MARK, request.model, (*request.warnings, _ESTIMATED))
        return Outcome(answer, request.model, request.warnings)

    return Operation(dialect, count)


async def _chat(codec: Any, body: bytes, address: Address) -> Asked:
    return codec.decode_request(body), None


async def _messages(codec: Any, body: bytes, address: Address) -> Asked:
    """As it is for a provider of the same dialect: it has tools of its own, which count and mean nothing to others."""

    def read() -> ChatRequest:
        request: ChatRequest = codec.decode_count(body, version=address.headers.get("anthropic-version"))
        return request

    opened = ANTHROPIC.open(codec, body, address)
    if opened is None:
        return read(), None
    return opened.head, Sent("anthropic", opened.body, read, opened.headers)


async def _contents(codec: Any, body: bytes, address: Address) -> Asked:
    [model] = address.path
    return codec.decode_count(body, model=model), None


async def _input(codec: Any, body: bytes, address: Address) -> Asked:
    """With the conversation that it goes on from, if that is kept here."""
    return (await recall.turn(codec, body, address.caller)).request, None


_CLAUDE = _row(ANTHROPIC, _messages, lambda codec, count: codec.encode_token_count(count))
_RESPONSES = _row(OPENAI_RESPONSES, _input, lambda codec, count: codec.encode_input_tokens(count))
_GEMINI = _row(GEMINI, _contents, lambda codec, count: codec.encode_token_count(count))
#: The vendor has no such path. Ours lets a kernel count the very body that it would ask.
_CHAT = _row(
    OPENAI_CHAT,
    _chat,
    lambda _, count: {"object": "chat.completion.input_tokens", "input_tokens": count},
)

#: Paths below `/osaurus`, each with what it does.
ROWS: Mapping[str, Operation] = {
    "/v1/messages/count_tokens": _CLAUDE,
    "/messages/count_tokens": _CLAUDE,
    "/v1/responses/input_tokens": _RESPONSES,
    "/responses/input_tokens": _RESPONSES,
    "/v1(?:beta)?/models/(.+):countTokens": _GEMINI,
    "/v1/chat/completions/input_tokens": _CHAT,
}
