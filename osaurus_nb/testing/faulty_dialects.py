"""What a provider writes, frame by frame, in the three dialects that most speak. Written by hand, not by our encoders.

Pure: no I/O, no clock. A fault is played by leaving frames out, doubling or tearing them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from osaurus_nb.testing.loopback_answers import GREETING

Finish = Literal["stop", "length", "tool_calls", "content_filter"]
#: The function that is asked for where one is.
TOOL = "get_weather"


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: thoughts, words, and the pieces of a call's arguments."""

    words: Sequence[str] = GREETING
    thoughts: Sequence[str] = ()
    arguments: Sequence[str] = ()
    finish: Finish = "stop"
    #: None: the provider tells none.
    usage: tuple[int, int] | None = (7, 6)


@dataclass(frozen=True, slots=True)
class Frames:
    """A stream in its parts: before the first token, the tokens, what says that it is over, and the mark of the end."""

    opening: Sequence[bytes]
    tokens: Sequence[bytes]
    closing: Sequence[bytes]
    end: Sequence[bytes] = ()

    @property
    def all(self) -> list[bytes]:
        return [*self.opening, *self.tokens, *self.closing, *self.end]


class Writer(Protocol):
    """One dialect."""

    def frames(self, model: str, said: Said, /) -> Frames: ...

    def whole(self, model: str, said: Said, /) -> dict[str, Any]: ...

    def error(self, status: int, code: str, message: str, /) -> dict[str, Any]: ...

    def error_frame(self, code: str, message: str, /) -> bytes: ...


def data(payload: Any, event: str | None = None) -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + json.dumps(payload).encode() + b"\n\n"


class Chat:
    """OpenAI Chat Completions."""

    def frames(self, model: str, said: Said) -> Frames:
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model}

        def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
            return data(base | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

        tokens = [chunk({"reasoning_content": thought}) for thought in said.thoughts]
        tokens += [chunk({"content": word}) for word in said.words]
        if said.arguments:
            tokens.append(chunk({"tool_calls": [{"index": 0, **self._call("")}]}))
        tokens += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in said.arguments]
        closing = [chunk({}, said.finish)]
        if said.usage is not None:
            closing.append(data(base | {"choices": [], "usage": self._usage(said)}))
        return Frames([chunk({"role": "assistant", "content": ""})], tokens, closing, [b"data: [DONE]\n\n"])

    def whole(self, model: str, said: Said) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(said.words) or None}
        if said.thoughts:
            message["reasoning_content"] = "".join(said.thoughts)
        if said.arguments:
            message["tool_calls"] = [self._call("".join(said.arguments))]
        choice = {"index": 0, "message": message, "finish_reason": said.finish}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}
        return answer if said.usage is None else answer | {"usage": self._usage(said)}

    def error(self, status: int, code: str, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": "server_error", "code": code or str(status), "param": None}}

    def error_frame(self, code: str, message: str) -> bytes:
        return data(self.error(500, code, message))

    def _call(self, arguments: str) -> dict[str, Any]:
        return {"id": "call_1", "type": "function", "function": {"name": TOOL, "arguments": arguments}}

    def _usage(self, said: Said) -> dict[str, int]:
        given, made = said.usage or (0, 0)
        return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


class Messages:
    """Anthropic Messages."""

    _REASONS: Mapping[Finish, str] = {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "content_filter": "refusal",
    }

    def frames(self, model: str, said: Said) -> Frames:
        given, made = said.usage or (0, 0)
        message = self._message(model) | {"usage": {"input_tokens": given, "output_tokens": 0}}
        tokens: list[bytes] = []
        index = 0
        for block, kind, key, pieces in (
            ({"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta", "thinking", said.thoughts),
            ({"type": "text", "text": ""}, "text_delta", "text", said.words),
            (self._use({}), "input_json_delta", "partial_json", said.arguments),
        ):
            if pieces:
                tokens += self._block(index, block, [{"type": kind, key: piece} for piece in pieces])
                index += 1
        ending = {"stop_reason": self._REASONS[said.finish], "stop_sequence": None}
        closing = [self._event("message_delta", delta=ending, usage={"output_tokens": made})]
        opening = [self._event("message_start", message=message)]
        return Frames(opening, tokens, closing, [self._event("message_stop")])

    def whole(self, model: str, said: Said) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if said.thoughts:
            content.append({"type": "thinking", "thinking": "".join(said.thoughts), "signature": "s"})
        if said.words:
            content.append({"type": "text", "text": "".join(said.words)})
        if said.arguments:
            try:
                content.append(self._use(json.loads("".join(said.arguments))))
            except ValueError:
                content.append(self._use("".join(said.arguments)))
        given, made = said.usage or (0, 0)
        usage = {"usage": {"input_tokens": given, "output_tokens": made}}
        return self._message(model) | {"content": content, "stop_reason": self._REASONS[said.finish]} | usage

    def error(self, status: int, code: str, message: str) -> dict[str, Any]:
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
        return {"type": "error", "error": {"type": code or kinds.get(status, "api_error"), "message": message}}

    def error_frame(self, code: str, message: str) -> bytes:
        return data(self.error(500, code, message), "error")

    def _block(self, index: int, block: Any, deltas: Sequence[Any]) -> list[bytes]:
        return [
            self._event("content_block_start", index=index, content_block=block),
            *(self._event("content_block_delta", index=index, delta=delta) for delta in deltas),
            self._event("content_block_stop", index=index),
        ]

    def _message(self, model: str) -> dict[str, Any]:
        base = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
        return base | {"stop_reason": None, "stop_sequence": None}

    def _use(self, given: Any) -> dict[str, Any]:
        return {"type": "tool_use", "id": "toolu_1", "name": TOOL, "input": given}

    def _event(self, kind: str, **fields: Any) -> bytes:
        return data({"type": kind, **fields}, kind)


@dataclass(frozen=True, slots=True)
class _Item:
    """An item of a Responses answer, empty and whole, and the events that fill it."""

    empty: dict[str, Any]
    whole: dict[str, Any]
    before: Sequence[tuple[str, dict[str, Any]]]
    delta: str
    pieces: Sequence[str]
    after: Sequence[tuple[str, dict[str, Any]]]
    place: dict[str, Any] = field(default_factory=dict)


class Responses:
    """OpenAI Responses."""

    def frames(self, model: str, said: Said) -> Frames:
        opening = [self._event("response.created", response=self._resource(model, "in_progress"))]
        tokens = [frame for at, item in enumerate(self._items(said)) for frame in self._filled(at, item)]
        whole = self.whole(model, said)
        return Frames(opening, tokens, [self._event(f"response.{whole['status']}", response=whole)])

    def whole(self, model: str, said: Said) -> dict[str, Any]:
        cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(said.finish)
        answer = self._resource(model, "incomplete" if cut else "completed")
        answer["output"] = [item.whole for item in self._items(said)]
        answer["incomplete_details"] = {"reason": cut} if cut else None
        if said.usage is not None:
            given, made = said.usage
            answer["usage"] = {
                "input_tokens": given,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": made,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": given + made,
            }
        return answer

    def error(self, status: int, code: str, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": "server_error", "code": code or str(status), "param": None}}

    def error_frame(self, code: str, message: str) -> bytes:
        return self._event("error", code=code or "server_error", message=message, param=None)

    def _items(self, said: Said) -> list[_Item]:
        found = []
        if said.thoughts:
            summary = [{"type": "summary_text", "text": "".join(said.thoughts)}]
            base: dict[str, Any] = {"type": "reasoning", "id": "rs_1"}
            kind, part = "response.reasoning_summary", {"type": "summary_text", "text": ""}
            found.append(
                _Item(
                    base | {"summary": []},
                    base | {"summary": summary},
                    [(f"{kind}_part.added", {"part": part})],
                    f"{kind}_text.delta",
                    said.thoughts,
                    [(f"{kind}_text.done", {"text": summary[0]["text"]})],
                    {"summary_index": 0},
                )
            )
        if said.words:
            text = {"type": "output_text", "text": "".join(said.words), "annotations": []}
            base = {"type": "message", "id": "msg_1", "role": "assistant"}
            found.append(
                _Item(
                    base | {"status": "in_progress", "content": []},
                    base | {"status": "completed", "content": [text]},
                    [("response.content_part.added", {"part": text | {"text": ""}})],
                    "response.output_text.delta",
                    said.words,
                    [
                        ("response.output_text.done", {"text": text["text"]}),
                        ("response.content_part.done", {"part": text}),
                    ],
                    {"content_index": 0},
                )
            )
        if said.arguments:
            base = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": TOOL}
            written = "".join(said.arguments)
            found.append(
                _Item(
                    base | {"status": "in_progress", "arguments": ""},
                    base | {"status": "completed", "arguments": written},
                    [],
                    "response.function_call_arguments.delta",
                    said.arguments,
                    [("response.function_call_arguments.done", {"arguments": written})],
                )
            )
        return found

    def _filled(self, at: int, item: _Item) -> list[bytes]:
        place = {"item_id": item.whole["id"], "output_index": at, **item.place}
        return [
            self._event("response.output_item.added", output_index=at, item=item.empty),
            *(self._event(kind, **place, **fields) for kind, fields in item.before),
            *(self._event(item.delta, **place, delta=piece) for piece in item.pieces),
            *(self._event(kind, **place, **fields) for kind, fields in item.after),
            self._event("response.output_item.done", output_index=at, item=item.whole),
        ]

    def _resource(self, model: str, status: str) -> dict[str, Any]:
        base: dict[str, Any] = {"id": "resp_1", "object": "response", "created_at": 0, "status": status, "error": None}
        return base | {"model": model, "output": [], "incomplete_details": None, "usage": None}

    def _event(self, kind: str, **fields: Any) -> bytes:
        return data({"type": kind, "sequence_number": 0, **fields}, kind)


#: By the last words of the path.
WRITERS: Mapping[str, Writer] = {"/chat/completions": Chat(), "/messages": Messages(), "/responses": Responses()}
