"""Where foreign faults stop: HTTP client exceptions and error statuses become our error tree. Pure, one table each.

The provider's own words are quoted, shortened and without keys; pages are never quoted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from osaurus_nb.errors import (
    BadAnswer,
    ContextTooLong,
    CredentialRejected,
    LocalOnly,
    NotOffered,
    OsaurusError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Reason,
    Refused,
    TooSlow,
    Unavailable,
    Unreachable,
)
from osaurus_nb.providers.dial import AddressRefused, ConnectionRefused, NameNotFound, OutsideRefused, TlsFailed
from osaurus_nb.resilience.retry_after import retry_after, should_retry
from osaurus_nb.wire import _errors


class AnswerTooLarge(httpx2.RemoteProtocolError):
    """A body went past our cap."""


#: The first row that matches counts. `{who}` is the provider, `{why}` the exception's own words where those are ours.
_EXCEPTIONS: tuple[tuple[type[Exception], type[ProviderError], Reason | None, str], ...] = (
    (
        NameNotFound,
        Unreachable,
        "name",
        "{who} was not found: {why}. Check the spelling of its address and the network.",
    ),
    (AddressRefused, Unreachable, "address", "{who} was not contacted: {why}."),
    (ConnectionRefused, Unreachable, "absent", "{who} is not there: {why}. Is it running?"),
    (TlsFailed, Unreachable, "tls", "{who} has no trusted connection: {why}."),
    (httpx2.ConnectTimeout, Unreachable, "slow-connect", "{who} accepted no connection in time."),
    (httpx2.ProxyError, Unreachable, "proxy", "{who} was not reached: {why}."),
    (httpx2.ConnectError, Unreachable, "route", "{who} was not reached: {why}."),
    (
        httpx2.PoolTimeout,
        TooSlow,
        "crowded",
        "{who} has too many requests in flight; this one found no free connection in time.",
    ),
    (httpx2.WriteTimeout, TooSlow, None, "{who} did not take the request in time."),
    (httpx2.TimeoutException, TooSlow, None, "{who} sent nothing for too long."),
    (AnswerTooLarge, BadAnswer, None, "{who} sent too much: {why}."),
    (httpx2.RemoteProtocolError, BadAnswer, "protocol", "{who} broke the protocol: {why}."),
    (httpx2.DecodingError, BadAnswer, "protocol", "{who} sent a compressed body that cannot be unpacked."),
    (httpx2.NetworkError, Unreachable, "lost", "{who} was lost: the connection closed before the answer was complete."),
    (
        httpx2.LocalProtocolError,
        Unreachable,
        "unsent",
        "{who} was not asked: {why}. Check its key, headers and address.",
    ),
    (httpx2.UnsupportedProtocol, Unreachable, "unsent", "{who} was not asked: {why}."),
    (httpx2.InvalidURL, Unreachable, "unsent", "{who} was not asked: its address is not a valid URL."),
)

#: 4xx and 5xx that are neither named here nor special below: 4xx `Refused`, 5xx `Unavailable`.
_STATUSES: Mapping[int, tuple[type[ProviderError], str]] = {
    401: (CredentialRejected, "{who} rejected the key. Check the one that is set for it."),
    402: (QuotaExhausted, "{who} says that the credit is used up. Waiting does not help."),
    403: (CredentialRejected, "{who} does not allow this with the key that is set for it."),
    404: (NotOffered, "{who} does not have {model}, or its address is wrong."),
    408: (Unavailable, "{who} gave up waiting for the request."),
    409: (Unavailable, "{who} reports a conflict with another request."),
    429: (RateLimited, "{who} asks to slow down."),
    504: (TooSlow, "{who} waited too long for its own model."),
    524: (TooSlow, "{who} waited too long for its own model."),
    529: (Unavailable, "{who} is overloaded."),
}

#: Codes that say more than the status they come with.
_QUOTA = frozenset({"insufficient_quota", "billing_error", "billing_hard_limit_reached", "insufficient_credits"})
_MISSING = frozenset({"model_not_found", "model_not_available"})
_TOO_LONG = frozenset({"context_length_exceeded", "context_window_exceeded"})
#: OpenAI's, Azure's and image models' words for it; OpenRouter sends a 403 with `metadata.reasons` (seen 2026-11).
_POLICY = frozenset({"content_policy_violation", "content_filter", "moderation_blocked", "invalid_prompt"})
_FORBIDDEN = "{who} refused the request: its rules forbid what was asked."


def translate(exc: Exception, *, provider: str, model: str | None = None, begun: bool = False) -> OsaurusError:
    """What an exception of the HTTP client means. Raise the result `from exc`. `begun`: the head of an answer came."""
    if isinstance(exc, OutsideRefused):
        who = f"'{provider}/{model}'" if model is not None else f"'{provider}'"
        return LocalOnly(
            f"{who} was not asked, for this must stay on this machine and its networks: {exc}. Choose a model that is "
            "there, or allow others.",
            param="model",
        )
    for kind, error, reason, sentence in _EXCEPTIONS:
        if isinstance(exc, kind):
            fault = error(sentence.format(who=provider, why=exc), provider=provider, model=model)
            fault.reason = "cut" if begun and reason == "lost" else reason
            return fault
    return BadAnswer(f"{provider} could not be asked ({type(exc).__name__}).", provider=provider, model=model)


def status_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    provider: str,
    model: str | None = None,
    secrets: Iterable[str] = (),
) -> OsaurusError:
    """What an answer that is not a 2xx means. `headers` are looked up in lower case; `secrets` were sent with it."""
    payload = _parsed(body)
    said = _errors.read(payload)
    code = said.code if said.code and not said.code.isdigit() else said.kind
    if status < 400:
        turned = BadAnswer(_redirect(headers, provider), provider=provider, model=model, upstream_status=status)
        turned.reason = "redirect"
        return turned
    quote = f" It says: {_errors.quote(said.message, secrets)}" if said.message else ""
    if code in _TOO_LONG:
        return ContextTooLong(f"The conversation is too long for {model or 'this model'} at {provider}.{quote}")
    forbidden = status < 500 and (code in _POLICY or _is_flagged(payload))
    error, sentence = (Refused, _FORBIDDEN) if forbidden else _meaning(status, code)
    fault = error(
        f"{sentence.format(who=provider, model=model or 'this model')} (HTTP {status}){quote}",
        provider=provider,
        model=model,
        upstream_status=status,
        retry_after=retry_after(headers, datetime.now(UTC), payload),
    )
    fault.reason = "policy" if forbidden else "page" if is_page(body) else None
    fault.should_retry = should_retry(headers)
    return fault


def is_page(body: bytes) -> bool:
    """Is it markup, as web servers send it where no API is?"""
    return body[:256].lstrip().startswith(b"<")


def _meaning(status: int, code: str) -> tuple[type[ProviderError], str]:
    if code in _QUOTA:
        return _STATUSES[402]
    if code in _MISSING:
        return _STATUSES[404]
    if status in _STATUSES:
        return _STATUSES[status]
    if status < 500:
        return Refused, "{who} refused the request."
    return Unavailable, "{who} is failing."


def _redirect(headers: Mapping[str, str], provider: str) -> str:
    try:
        host = urlsplit(headers.get("location", "")).hostname
    except ValueError:
        host = None
    target = _errors.quote(host) if host and host.isprintable() else "another path"
    return f"{provider} redirects to {target}. Redirects are not followed: put the final address into its settings."


def _parsed(body: bytes) -> Any:
    """An error's JSON, in any of the shapes that providers use; None for a page."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_flagged(payload: Any) -> bool:
    """Did a moderation say no?"""
    error = payload.get("error") if isinstance(payload, Mapping) else None
    metadata = error.get("metadata") if isinstance(error, Mapping) else None
    return isinstance(metadata, Mapping) and isinstance(metadata.get("reasons"), list) and "flagged_input" in metadata
