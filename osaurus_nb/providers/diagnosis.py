"""What a fault means for whoever set the provider up: its kind, one sentence, the next step. Pure.

It quotes our own words alone, never a provider's: no key, no part of a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from osaurus_nb.errors import (
    AccountFrozen,
    BadAnswer,
    ConfigError,
    CredentialRejected,
    InsufficientFunds,
    NotOffered,
    OsaurusError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Reason,
    Refused,
    SignatureRejected,
    TooSlow,
    Unavailable,
    Unreachable,
)
from osaurus_nb.models import Bucket, Diagnosis, Severity

#: No list of models is to be had under this address; the server may answer questions all the same.
NO_LIST = frozenset({400, 404, 405, 406, 410, 415, 422, 501})
#: Said of what is transient, to those who look at a connection.
AGAIN = "It is tried again by itself."


class _Case(NamedTuple):
    """`{host}` is where it was asked, `{who}` the provider's slug, `{why}` what our own code said of the cause."""

    bucket: Bucket
    severity: Severity
    title: str
    action: str


_BY_REASON: Mapping[Reason, _Case] = {
    "name": _Case(
        "endpoint-unreachable",
        "warning",
        "The host name {host} was not found",
        f"Check its spelling and the network. {AGAIN}",
    ),
    "absent": _Case("endpoint-unreachable", "warning", "{why}", f"Is it running? {AGAIN}"),
    "route": _Case("endpoint-unreachable", "warning", "{host} was not reached", f"Check the network. {AGAIN}"),
    "lost": _Case("endpoint-unreachable", "warning", "The connection to {host} broke off", AGAIN),
    "cut": _Case("endpoint-unreachable", "warning", "The connection to {host} broke off in an answer", AGAIN),
    "crowded": _Case("timeout", "warning", "Too many questions to {host} are under way", AGAIN),
    "address": _Case("endpoint-unreachable", "blocked", "{why}", "Give '{who}' another address."),
    "unsent": _Case(
        "request-rejected", "blocked", "{host} could not be asked", "Check the address, key and headers of '{who}'."
    ),
    "tls": _Case(
        "tls-failure",
        "warning",
        "{why}",
        "Check the host, this machine's clock, and whether the server speaks plain http. It is never asked unverified.",
    ),
    "proxy": _Case("proxy-connect-failed", "warning", "{why}", f"Check the proxy and its password. {AGAIN}"),
    "slow-connect": _Case(
        "timeout", "warning", "{host} accepted no connection in time", f"Check the address and the network. {AGAIN}"
    ),
    "protocol": _Case(
        "bad-response",
        "warning",
        "{host} did not answer in proper HTTP",
        "Check the port, and whether the server speaks https.",
    ),
    "redirect": _Case(
        "bad-response", "blocked", "{host} redirects", "Redirects are not followed: give '{who}' the final address."
    ),
    "shape": _Case(
        "models-schema-mismatch",
        "blocked",
        "{host} sent no list of models that we can read",
        "Check the base URL and the API format of '{who}', or add the ids of its models by hand.",
    ),
    "page": _Case(
        "bad-response",
        "blocked",
        "{host} answers with a web page: this is not an API",
        "Check the base URL of '{who}': is the path of its API missing, e.g. /v1?",
    ),
}

#: The first row that matches counts; `{status}` is theirs.
_BY_KIND: tuple[tuple[type[OsaurusError], _Case], ...] = (
    (QuotaExhausted, _Case("request-rejected", "blocked", "{status} from {host}: no credit left", "Add credit there.")),
    (RateLimited, _Case("request-rejected", "warning", "{status} from {host}: it asks to slow down", AGAIN)),
    (TooSlow, _Case("timeout", "warning", "{host} was too slow", AGAIN)),
    (Unavailable, _Case("models-endpoint-unavailable", "warning", "{status} from {host}: it is failing", AGAIN)),
    (
        Refused,
        _Case(
            "request-rejected",
            "blocked",
            "{status} from {host}: request refused",
            "Check the API format and the headers of '{who}'.",
        ),
    ),
    (
        BadAnswer,
        _Case("bad-response", "blocked", "{host} sent an answer that cannot be used", "Check the base URL of '{who}'."),
    ),
)
_STATUSES: Mapping[int, _Case] = {
    401: _Case(
        "auth-rejected",
        "blocked",
        "401 from {host}: key rejected",
        "Give '{who}' another key: this one is mistyped, expired, revoked or of another vendor.",
    ),
    403: _Case(
        "auth-rejected",
        "blocked",
        "403 from {host}: not allowed with this key",
        "Give the key of '{who}' the right to this, or use another; some vendors refuse whole regions so.",
    ),
}
_NO_LIST = _Case(
    "models-endpoint-unavailable",
    "blocked",
    "{status} from {host}: no list of models there",
    "Check the base URL of '{who}', e.g. for a missing /v1, or add the ids of its models by hand.",
)
_NO_MODEL = _Case(
    "unsupported-model", "blocked", "{status} from {host}: it does not have this model", "Choose one that it lists."
)


#: Their own sentence says what happened and what to do, better than their status does.
_SPEAK: Mapping[type[OsaurusError], Bucket] = {
    SignatureRejected: "auth-rejected",
    AccountFrozen: "auth-rejected",
    InsufficientFunds: "request-rejected",
}


def diagnose(error: OsaurusError, *, who: str, host: str = "") -> Diagnosis:
    """The diagnosis of a fault of the provider `who`, which is at `host`."""
    if not isinstance(error, ProviderError):
        return _own(error)
    if isinstance(error, CredentialRejected) and error.upstream_status is None:
        return _told("missing-credential", error)
    if type(error) in _SPEAK:
        return _told(_SPEAK[type(error)], error)
    case = _case(error)
    if case is None and error.upstream_status is None:
        passing = isinstance(error, Unreachable)
        return _told("endpoint-unreachable" if passing else "unknown", error, "warning" if passing else "blocked")
    if case is None:
        return Diagnosis("unknown", "blocked", f"{host or who} could not be used", "`osaurus-nb doctor` looks closer.")
    why = str(error.__cause__ or "")
    facts = {
        "host": host or who,
        "who": who,
        "status": error.upstream_status or "A refusal",
        "why": why[:1].upper() + why[1:] if why else f"{host or who} was not reached",
    }
    return Diagnosis(case.bucket, case.severity, case.title.format_map(facts), case.action.format_map(facts))


def _case(error: ProviderError) -> _Case | None:
    status = error.upstream_status or 0
    if error.reason is not None and status < 500:
        return _BY_REASON.get(error.reason)
    if status in _STATUSES:
        return _STATUSES[status]
    if isinstance(error, NotOffered) and error.model is not None:
        return _NO_MODEL
    if status in NO_LIST and error.model is None:
        return _NO_LIST
    return next((case for kind, case in _BY_KIND if isinstance(error, kind)), None)


def _own(error: OsaurusError) -> Diagnosis:
    """A fault on our side: the sentence is ours."""
    bucket: Bucket = "request-rejected" if isinstance(error, ConfigError) else "unknown"
    return _told(bucket, error)


def _told(bucket: Bucket, error: OsaurusError, severity: Severity = "blocked") -> Diagnosis:
    """A sentence of ours as it is."""
    title, _, action = str(error).partition(". ")
    return Diagnosis(bucket, severity, title.rstrip("."), action)
