"""The pieces of an answer: blocks, reasons, usage and errors, with every key that strict readers want."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import FinishReason
from osaurus_nb.messages import Opaque, Part, Reasoning, Text, ToolCall
from osaurus_nb.models import Usage
from osaurus_nb.wire._opaque import own, seal
from osaurus_nb.wire.anthropic_messages._versions import NAME

#: What a block of each kind holds before its first delta.
EMPTY: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "text": {"text": "", "citations": None},
        "thinking": {"thinking": "", "signature": ""},
        "redacted_thinking": {"data": ""},
        "tool_use": {"input": {}, "caller": {"type": "direct"}},
    }
)
#: Keys of a message that are about Anthropic's own machines.
NOTHING: Mapping[str, None] = MappingProxyType({"container": None, "diagnostics": None})

_DELTAS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "text": ("text_delta", "text"),
        "thinking": ("thinking_delta", "thinking"),
        "tool_use": ("input_json_delta", "partial_json"),
    }
)
_REASONS: Mapping[FinishReason, str] = MappingProxyType(
    {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "content_filter": "refusal",
        "unknown": "end_turn",  # it ended by itself, and the dialect has no word for not knowing why
    }
)
_KINDS: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        409: "conflict_error",
        413: "request_too_large",
        429: "rate_limit_error",
        503: "overloaded_error",
        504: "timeout_error",
    }
)
#: The status that goes with `overloaded_error`; the vendor's SDK has a class of its own for it.
OVERLOADED = 529


def delta(kind: str, text: str) -> dict[str, Any]:
    name, field = _DELTAS[kind]
    return {"type": name, field: text}


def whole(part: Part, arguments: Mapping[str, Any] | None, *, quiet: bool) -> list[dict[str, Any]]:
    """The block of a part, or none of an empty one. `arguments` are those of a call, `quiet` hides thinking."""
    match part:
        case Text(text=text) if text:
            citations = own(part.provider_metadata, NAME).get("citations")
            return [{"type": "text", "text": text, "citations": citations}]
        case Reasoning(text=text, provider_metadata=metadata) if text or metadata:
            if isinstance(data := own(metadata, NAME).get("data"), str):
                return [{"type": "redacted_thinking", "data": data}]
            return [{"type": "thinking", "thinking": "" if quiet else text, "signature": signature(metadata)}]
        case ToolCall(id=id, name=name):
            block = {**EMPTY["tool_use"], **own(part.provider_metadata, NAME)}
            return [{**block, "type": "tool_use", "id": id, "name": name, "input": arguments}]
        case _:
            return []


def arguments(call: ToolCall) -> dict[str, Any] | None:
    """The arguments of a call, or None when they are no JSON object."""
    try:
        value = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def signature(metadata: Opaque | None) -> str:
    """What the caller gives back with the thinking: Anthropic's signature, or the state of another dialect, sealed."""
    if not metadata:
        return ""
    signed = own(metadata, NAME).get("signature")
    return signed if isinstance(signed, str) and len(metadata) == 1 else seal(metadata)


def ending(reason: FinishReason, stop_sequence: str | None) -> dict[str, Any]:
    word = "stop_sequence" if reason == "stop" and stop_sequence is not None else _REASONS[reason]
    details = {"type": "refusal", "category": None, "explanation": None} if word == "refusal" else None
    return {"stop_reason": word, "stop_sequence": stop_sequence, "stop_details": details}


def usage(usage: Usage | None) -> dict[str, Any]:
    """Cumulative counts. Where nobody has counted yet they are 0, as in the first frame of a stream."""
    known = usage or Usage(estimated=True)
    body: dict[str, Any] = {
        "input_tokens": known.input_tokens,
        "output_tokens": known.total_output,
        "cache_read_input_tokens": known.cache_read_input_tokens,
        "cache_creation_input_tokens": known.cache_creation_input_tokens,
        "cache_creation": None,
        "output_tokens_details": {"thinking_tokens": known.reasoning_output_tokens},
        "server_tool_use": None,
        "service_tier": None,
        "inference_geo": None,
        "speed": None,
    }
    return body | ({"estimated": True} if known.estimated else {})


def status(error: OsaurusError) -> int:
    """The HTTP status of an error in this dialect."""
    return OVERLOADED if error.status == 503 else error.status


def error(error: OsaurusError, *, request_id: str | None) -> dict[str, Any]:
    kind = _KINDS.get(error.status, "api_error")
    body: dict[str, Any] = {"type": kind, "message": error.message, "param": error.param, "code": error.code}
    if error.param == "thread":  # with these words the SDK sends the whole conversation instead (seen 2026-11)
        body["details"] = {"error_code": "thread_unsupported_request"}
    return {"type": "error", "error": body, "request_id": request_id}
