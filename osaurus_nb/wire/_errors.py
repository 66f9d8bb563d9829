"""What a provider's error object says, in whichever shape it came. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from osaurus_nb import errors
from osaurus_nb._redaction import redact

#: Longest part of a provider's own sentence that we repeat.
MAX_QUOTE = 200


class ErrorFields(NamedTuple):
    """`message` is what the provider wrote, not yet fit to be shown: see `quote`."""

    message: str = ""
    code: str = ""
    kind: str = ""


def read(payload: Any) -> ErrorFields:
    """The fields of an error body, all empty when it is none."""
    outer = payload if isinstance(payload, Mapping) else {}
    inner = outer.get("error", outer)
    if isinstance(inner, str):
        return ErrorFields(inner, _word(outer.get("code")))
    inner = inner if isinstance(inner, Mapping) else outer
    message = _sentence(inner.get("message")) or _sentence(inner.get("detail")) or _sentence(outer.get("detail"))
    return ErrorFields(message, _word(inner.get("code")) or _word(inner.get("status")), _word(inner.get("type")))


def quote(words: str, secrets: Iterable[str] = ()) -> str:
    """A provider's sentence on one printable line, short, and without anything that looks like a key."""
    clean = redact(" ".join(words.split()), secrets)
    clean = "".join(character for character in clean if character.isprintable())
    return clean if len(clean) <= MAX_QUOTE else clean[:MAX_QUOTE] + "…"


def _sentence(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):  # FastAPI lists its validation errors
        value = value[0].get("msg")
    return value if isinstance(value, str) else ""


def _word(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""


_IN_BAND: tuple[tuple[tuple[str, ...], type[errors.ProviderError]], ...] = (
    (("insufficient_quota", "billing", "insufficient_funds"), errors.QuotaExhausted),
    (("rate_limit", "resource_exhausted", "429"), errors.RateLimited),
    (("overloaded", "unavailable", "503", "529"), errors.Unavailable),
    (("authentication", "permission_error", "invalid_api_key", "unauthorized", "401"), errors.CredentialRejected),
    (("model_not_found", "not_found_error", "404"), errors.NotOffered),
    (("timeout", "deadline", "504"), errors.TooSlow),
    (("invalid_request", "invalid_argument", "context_length", "400"), errors.Refused),
)


def in_band(payload: Any, *, provider: str, model: str) -> errors.ProviderError:
    """The error that a provider sent inside a 200: in the stream or as its body."""
    fields = read(payload)
    label = f"{fields.code} {fields.kind}".lower()
    matched = next((kind for words, kind in _IN_BAND if any(word in label for word in words)), errors.BadAnswer)
    said = f" It says: {quote(fields.message)}" if fields.message else ""
    return matched(f"{provider} reported an error instead of an answer.{said}", provider=provider, model=model)
