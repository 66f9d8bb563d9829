"""What a provider's error object says, in whichever shape it came. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from osaurus_nb import errors

#: Longest part of a provider's own sentence that we repeat.
MAX_MESSAGE = 200


class ErrorFields(NamedTuple):
    message: str
    code: str
    kind: str
    param: str | None


def read(payload: Any) -> ErrorFields | None:
    """The fields of an error body, or None when it is none."""
    if not isinstance(payload, Mapping):
        return None
    inner = payload.get("error", payload)
    if isinstance(inner, str):
        return ErrorFields(inner[:MAX_MESSAGE], "", "", None)
    if not isinstance(inner, Mapping):
        return None
    message = next((inner[key] for key in ("message", "detail") if isinstance(inner.get(key), str)), "")
    code, kind, param = (inner.get(key) for key in ("code", "type", "param"))
    return ErrorFields(
        message[:MAX_MESSAGE],
        str(code or inner.get("status") or ""),
        str(kind or ""),
        param if isinstance(param, str) else None,
    )


_IN_BAND: tuple[tuple[tuple[str, ...], type[errors.ProviderError]], ...] = (
    (("insufficient_quota", "billing", "insufficient_funds"), errors.QuotaExhausted),
    (("rate_limit", "resource_exhausted", "429"), errors.RateLimited),
    (("overloaded", "unavailable", "503", "529"), errors.Unavailable),
    (("authentication", "invalid_api_key", "unauthorized", "401"), errors.CredentialRejected),
    (("model_not_found", "404"), errors.NotOffered),
    (("timeout", "deadline", "504"), errors.TooSlow),
    (("invalid_request", "invalid_argument", "context_length", "400"), errors.Refused),
)


def in_band(payload: Any, *, provider: str, model: str) -> errors.ProviderError:
    """The error that a provider sent inside a 200: in the stream or as its body."""
    fields = read(payload) or ErrorFields("", "", "", None)
    label = f"{fields.code} {fields.kind}".lower()
    matched = next((kind for words, kind in _IN_BAND if any(word in label for word in words)), errors.BadAnswer)
    said = f": {fields.message}" if fields.message else "."
    return matched(f"{provider} reported an error while answering with '{model}'{said}", provider=provider, model=model)
