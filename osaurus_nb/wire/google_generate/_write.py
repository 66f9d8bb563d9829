"""The pieces of an answer: parts, reasons, usage and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import FinishReason, TokenLogprob
from osaurus_nb.messages import Opaque
from osaurus_nb.models import Usage
from osaurus_nb.wire.google_generate import _signatures as signatures

#: What ended because its call could not be read. The vendor says it of its own models.
MALFORMED = "MALFORMED_FUNCTION_CALL"

_REASONS: Mapping[FinishReason, str] = MappingProxyType(
    {
        "stop": "STOP",
        "tool_calls": "STOP",
        "length": "MAX_TOKENS",
        "content_filter": "SAFETY",
        "unknown": "OTHER",
    }
)
_STATUSES: Mapping[int, str] = MappingProxyType(
    {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        402: "RESOURCE_EXHAUSTED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        409: "ABORTED",
        413: "INVALID_ARGUMENT",
        429: "RESOURCE_EXHAUSTED",
        499: "CANCELLED",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
    }
)
_DETAIL = "type.googleapis.com/google.rpc."


def said(text: str, metadata: Opaque | None = None, *, thought: bool = False) -> dict[str, Any]:
    return {"text": text} | ({"thought": True} if thought else {}) | _signed(metadata)


def call(id: str, name: str, args: Mapping[str, Any], metadata: Opaque | None) -> dict[str, Any]:
    return {"functionCall": {"id": id, "name": name, "args": args}} | _signed(metadata)


def arguments(text: str) -> dict[str, Any] | None:
    """The arguments of a call, or None when they are no JSON object."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def candidate(at: int, parts: Sequence[Mapping[str, Any]], tokens: Sequence[TokenLogprob] = ()) -> dict[str, Any]:
    """The vendor's SDK drops a turn from its conversation when any chunk of it has no part."""
    body: dict[str, Any] = {"content": {"role": "model", "parts": list(parts) or [{"text": ""}]}, "index": at}
    return body | ({"logprobsResult": _logprobs(tokens)} if tokens else {})


def ending(reason: FinishReason, broken: str | None) -> dict[str, Any]:
    """`broken` names the function whose call could not be read."""
    if broken is None:
        return {"finishReason": _REASONS[reason]}
    return {"finishReason": MALFORMED, "finishMessage": f"The arguments for '{broken}' are no JSON object."}


def usage(usage: Usage | None) -> dict[str, Any]:
    """The key of the counts, or nothing where nobody counted."""
    if usage is None:
        return {}
    body = {
        "promptTokenCount": usage.total_input,
        "candidatesTokenCount": usage.output_tokens,
        "totalTokenCount": usage.total,
    }
    if usage.cache_read_input_tokens:
        body["cachedContentTokenCount"] = usage.cache_read_input_tokens
    if usage.reasoning_output_tokens:
        body["thoughtsTokenCount"] = usage.reasoning_output_tokens
    return {"usageMetadata": body}


def error(error: OsaurusError) -> dict[str, Any]:
    details: list[dict[str, Any]] = [
        {"@type": f"{_DETAIL}ErrorInfo", "reason": error.code.upper(), "domain": "osaurus"},
    ]
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_DETAIL}BadRequest", "fieldViolations": [violation]})
    if error.retry_after is not None:
        details.append({"@type": f"{_DETAIL}RetryInfo", "retryDelay": f"{error.retry_after:g}s"})
    status = _STATUSES.get(error.status, "INTERNAL")
    return {"error": {"code": error.status, "message": error.message, "status": status, "details": details}}


def _signed(metadata: Opaque | None) -> dict[str, str]:
    signature = signatures.write(metadata)
    return {signatures.KEY: signature} if signature else {}


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    chosen = [{"token": token.token, "logProbability": token.logprob} for token in tokens]
    rivals = [[{"token": word, "logProbability": logprob} for word, logprob in token.top] for token in tokens]
    return {"chosenCandidates": chosen, "topCandidates": [{"candidates": row} for row in rivals]}
