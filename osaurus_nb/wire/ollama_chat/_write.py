"""The pieces of an answer: messages, calls, counts and times."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from osaurus_nb.errors import BadAnswer, OsaurusError
from osaurus_nb.events import FinishReason, TokenLogprob
from osaurus_nb.models import Timings, Usage

#: The dialect itself knows stop and length; for the others there is no better word than ours.
_REASONS: Mapping[FinishReason, str] = MappingProxyType(
    {
        "stop": "stop",
        "tool_calls": "stop",
        "length": "length",
        "content_filter": "content_filter",
        "unknown": "unknown",
    }
)


def line(payload: Mapping[str, Any]) -> bytes:
    """One line, ASCII only: the vendor's Python client splits at U+2028."""
    return json.dumps(payload, separators=(",", ":")).encode("ascii") + b"\n"


def arguments(text: str) -> dict[str, Any] | None:
    """The arguments of a call, or None when they are no JSON object."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def broken_call(name: str) -> BadAnswer:
    said = f"The arguments for '{name}' are no JSON object, and the dialect has no other form for them."
    return BadAnswer(said, provider="osaurus")


def call(id: str, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The vendor's servers send an id too; its Python client passes over it."""
    return {"id": id, "function": {"name": name, "arguments": args}}


def ending(reason: FinishReason, usage: Usage | None, timings: Timings) -> dict[str, Any]:
    """The keys of the last line. Counts are there where someone counted, times in nanoseconds or zero."""
    waited = timings.first_token or 0.0
    body: dict[str, Any] = {
        "done": True,
        "done_reason": _REASONS[reason],
        "total_duration": _nanoseconds(timings.total),
        "load_duration": 0,
        "prompt_eval_duration": _nanoseconds(waited),
        "eval_duration": _nanoseconds(max(timings.total - waited, 0.0)),
    }
    if usage is not None:
        body |= {"prompt_eval_count": usage.total_input, "eval_count": usage.total_output}
    return body


def logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """The key of the tokens, or nothing where there are none."""
    rows = [
        {**_scored(token.token, token.logprob), "top_logprobs": [_scored(*rival) for rival in token.top]}
        for token in tokens
    ]
    return {"logprobs": rows} if rows else {}


def error(error: OsaurusError) -> dict[str, Any]:
    """`error` is a plain sentence here; `code` is ours, for those who look."""
    return {"error": error.message, "code": error.code}


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _scored(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
