"""What a failure means for the walk: ask again, ask another, give up, or tell. One table, for the whole error tree.

A row is found by class and detail (their HTTP status, or the reason), then by class, then by its base. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from osaurus_nb import errors

#: `retry` the same candidate, and sit out a Retry-After that fits; then fail over. `failover` at once. `terminal`:
#: nobody else could do better. `notice`: fail over, or with nobody left say so in the answer. `mid_stream`: words were
#: shown, so end honestly and splice nothing.
Kind = Literal["retry", "failover", "terminal", "notice", "mid_stream"]
#: Whose fault it was: nobody's whom we asked; a poor answer that lowers a score and no more; the model's; the
#: provider's, whichever model is asked. The last two count for their breaker.
Blame = Literal["none", "health", "model", "provider"]
#: When it may be sent again. `free`: nothing was worked on. `unbegun`: it may have been, so not once an answer began.
#: `keyed`: it surely was, so only under an idempotency key.
Repeat = Literal["free", "unbegun", "keyed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about one failure, and what it counts for.

    `retries` bounds the repeats at this candidate; `throttled` ones are spaced wider. `reached`: the provider did
    answer, so it is there. `code` is the error's.
    """

    kind: Kind
    blame: Blame = "none"
    retries: int = 0
    throttled: bool = False
    reached: bool = False
    code: str = ""

    @property
    def counts_for_breaker(self) -> bool:
        return self.blame in ("model", "provider")


def classify(
    error: errors.OsaurusError,
    *,
    committed: bool,
    begun: bool = False,
    keyed: bool = False,
    again: bool | None = None,
) -> Verdict:
    """The verdict on `error`.

    `committed`: a byte of the answer was handed on. `begun`: something of it came. `keyed`: an idempotency key goes
    along. `again` is what the provider said of repeating (`x-should-retry`), if it did.
    """
    if isinstance(error, errors.StreamCut):
        return replace(classify(error.cause, committed=True), code=error.code)
    row = _row(error)
    verdict = replace(row.verdict, reached=_reached(error), code=error.code)
    if committed and not isinstance(error, errors.Cancelled):
        return replace(verdict, kind="mid_stream", blame=_blame_after_words(error, verdict.blame), retries=0)
    if verdict.kind == "retry" and not _repeatable(row.repeat, begun=begun, keyed=keyed, again=again):
        return replace(verdict, kind="failover", retries=0)
    return verdict


@dataclass(frozen=True, slots=True)
class _Row:
    verdict: Verdict
    repeat: Repeat = "free"


def _terminal() -> _Row:
    return _Row(Verdict("terminal"))


def _failover(blame: Blame = "none") -> _Row:
    return _Row(Verdict("failover", blame))


def _retry(retries: int, blame: Blame = "none", *, repeat: Repeat = "free", throttled: bool = False) -> _Row:
    return _Row(Verdict("retry", blame, retries, throttled=throttled), repeat)


_GATEWAY_TIMEOUT = _retry(1, "model", repeat="keyed")

#: Keys: a class; or a class with the provider's HTTP status or the reason of the error, which go before it.
TABLE: Mapping[type[errors.OsaurusError] | tuple[type[errors.OsaurusError], int | errors.Reason], _Row] = {
    errors.OsaurusError: _terminal(),  # whatever a room of ours adds
    errors.RequestError: _terminal(),
    errors.Unsupported: _terminal(),
    errors.ContextTooLong: _failover(),  # a larger window may hold it
    errors.BodyTooLarge: _terminal(),
    errors.ModelNotFound: _terminal(),
    errors.ModelAmbiguous: _terminal(),
    errors.AccessDenied: _terminal(),
    errors.Forbidden: _terminal(),
    errors.LocalOnly: _failover(),  # nobody was asked; one that is here may answer
    errors.BudgetExceeded: _failover(),  # a cheaper one may fit
    errors.NoEligibleModel: _terminal(),
    errors.NobodyAnswered: _terminal(),
    errors.LocalModelError: _failover(),
    errors.ModelTooLarge: _failover(),
    errors.ModelRejected: _failover(),
    errors.DownloadFailed: _failover(),
    errors.ProviderError: _failover("model"),
    errors.CredentialRejected: _failover(),
    errors.SignatureRejected: _failover(),
    errors.AccountFrozen: _failover(),
    errors.NoIdentity: _failover(),
    errors.QuotaExhausted: _failover(),  # no rate limit: waiting does not help
    errors.InsufficientFunds: _failover(),
    errors.RateLimited: _retry(2, throttled=True),
    errors.NotOffered: _failover(),
    errors.Refused: _terminal(),
    (errors.Refused, 425): _retry(1),
    (errors.Refused, "policy"): _terminal(),  # nobody is asked in turn until one allows it
    errors.BelowMinimumTopUp: _terminal(),
    errors.IdempotencyConflict: _terminal(),
    errors.Unreachable: _failover("provider"),
    (errors.Unreachable, "lost"): _retry(1, "provider", repeat="unbegun"),
    (errors.Unreachable, "cut"): _retry(1, "model", repeat="keyed"),  # it had begun, so it surely worked on it
    (errors.Unreachable, "deadline"): _failover(),  # the caller had no time for a connection
    (errors.Unreachable, "address"): _failover(),  # our rules forbade it: nobody was asked
    (errors.Unreachable, "unsent"): _failover(),
    errors.Unavailable: _retry(2, "model"),
    errors.Resting: _failover(),  # nobody was asked
    (errors.Unavailable, 408): _retry(1),
    (errors.Unavailable, 409): _retry(1),
    (errors.Unavailable, 501): _failover(),  # it cannot do this, and will not learn it
    errors.BadAnswer: _failover("model"),
    (errors.BadAnswer, "redirect"): _failover(),  # never followed; its address is wrong, its health is not
    errors.TooSlow: _failover("model"),
    (errors.TooSlow, 504): _GATEWAY_TIMEOUT,
    (errors.TooSlow, 524): _GATEWAY_TIMEOUT,  # Cloudflare's 504
    (errors.TooSlow, "crowded"): _failover(),  # our own doing: nobody was asked
    (errors.TooSlow, "deadline"): _failover(),  # the caller's: another one would have waited
    errors.EmptyAnswer: _Row(Verdict("notice", "health")),
    errors.WorkerDied: _failover("model"),  # its adapter has started it anew before it says so
    errors.LedgerUnreadable: _terminal(),
    errors.StreamCut: _Row(Verdict("mid_stream")),  # its cause has the row that counts
    errors.Cancelled: _terminal(),
    errors.ConfigError: _terminal(),
}

#: A provider that takes no money or no key is not ill, not even in the middle of an answer.
_BLAMELESS = (errors.CredentialRejected, errors.QuotaExhausted)


def _row(error: errors.OsaurusError) -> _Row:
    for kind in type(error).__mro__:
        if not issubclass(kind, errors.OsaurusError):
            continue
        for detail in _details(error):
            if (found := TABLE.get((kind, detail))) is not None:
                return found
        if (found := TABLE.get(kind)) is not None:
            return found
    return TABLE[errors.OsaurusError]


def _details(error: errors.OsaurusError) -> tuple[int | errors.Reason, ...]:
    if not isinstance(error, errors.ProviderError):
        return ()
    return tuple(detail for detail in (error.upstream_status, error.reason) if detail is not None)


def _reached(error: errors.OsaurusError) -> bool:
    answered = isinstance(error, errors.ProviderError) and error.upstream_status is not None
    return answered or isinstance(error, errors.EmptyAnswer)


def _blame_after_words(error: errors.OsaurusError, blame: Blame) -> Blame:
    """Whoever stops in the middle is to blame, whatever it gave as its reason."""
    if not isinstance(error, errors.ProviderError) or isinstance(error, _BLAMELESS):
        return blame
    return blame if blame == "provider" else "model"


def _repeatable(repeat: Repeat, *, begun: bool, keyed: bool, again: bool | None) -> bool:
    if again is not None:
        return again
    return keyed or repeat == "free" or (repeat == "unbegun" and not begun)
