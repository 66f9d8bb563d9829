"""What the Router's error objects mean: its codes, the errors that they are, and the words that a user reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osaurus_nb import errors
from osaurus_nb.wire import _errors

UNAUTHORIZED = "Router authentication failed. Check your clock and identity."
MINIMUM = "Minimum top-up is $5.00."
NO_IDENTITY = "Set up your Osaurus Identity before using the router."

_CODES: Mapping[str, tuple[type[errors.ProviderError], str]] = {
    "BELOW_MINIMUM_TOPUP": (errors.BelowMinimumTopUp, MINIMUM),
    "INSUFFICIENT_FUNDS": (errors.InsufficientFunds, "Insufficient credits. Add balance to continue."),
    "ACCOUNT_FROZEN": (errors.AccountFrozen, "Your Osaurus billing account is on hold."),
    "UNAUTHORIZED": (errors.SignatureRejected, UNAUTHORIZED),
    "INVALID_SIGNATURE": (errors.SignatureRejected, UNAUTHORIZED),
    "RATE_LIMITED": (errors.RateLimited, "Too many router requests. Please try again in a moment."),
}
#: What the Router says itself, in its own words.
_QUOTED: Mapping[str, type[errors.ProviderError]] = {
    "IDEMPOTENCY_CONFLICT": errors.IdempotencyConflict,
    "PROVIDER_ERROR": errors.Unavailable,
}
#: For a code that is unknown, or none at all. Below 500 whatever is not named is `Refused`, above it `Unavailable`.
_STATUSES: Mapping[int, str] = {401: "UNAUTHORIZED", 402: "INSUFFICIENT_FUNDS", 429: "RATE_LIMITED"}
_KINDS: Mapping[int, type[errors.ProviderError]] = {
    401: errors.SignatureRejected,
    403: errors.CredentialRejected,
    404: errors.NotOffered,
    408: errors.Unavailable,
    504: errors.TooSlow,
}


def fault(
    payload: Any,
    *,
    provider: str,
    model: str | None = None,
    status: int | None = None,
    retry_after: float | None = None,
) -> errors.ProviderError:
    """The error in a body, or without a `status` the one inside a stream."""
    said = _errors.read(payload)
    kind, sentence = _meaning(said, status)
    return kind(sentence, provider=provider, model=model, upstream_status=status, retry_after=retry_after)


def _meaning(said: _errors.ErrorFields, status: int | None) -> tuple[type[errors.ProviderError], str]:
    code = said.code.upper()
    if code in _CODES:
        return _CODES[code]
    if not code and status is not None and status in _STATUSES:
        return _CODES[_STATUSES[status]]
    code = _errors.quote(said.code) or (f"HTTP_{status}" if status else "no code")
    words = _errors.quote(said.message) or "The Router says no more."
    return _QUOTED.get(said.code.upper()) or _kind(status), f"{words} ({code})"


def _kind(status: int | None) -> type[errors.ProviderError]:
    if status is None or status < 400:
        return errors.BadAnswer
    return _KINDS.get(status) or (errors.Refused if status < 500 else errors.Unavailable)
