"""What can go wrong, and whose fault it is.

OsaurusError
|-- RequestError            the caller's: this request cannot be served as it stands
|   |-- Unsupported         a feature that the model or the format cannot carry
|   |-- ContextTooLong      prompt and answer do not fit the model's window
|   |-- ModelNotFound       carries near matches
|   `-- ModelAmbiguous      carries the names that would be exact
|-- AccessDenied            our own door: no key, a wrong one, or one without the right
|-- BudgetExceeded          the call could cost more than a cap leaves
|-- NoEligibleModel         nobody qualified; carries each rejection
|-- NobodyAnswered          all who may answer failed; carries every cause
|-- LocalModelError         a model on this machine cannot be used
|   |-- ModelTooLarge       it needs more memory than there is
|   |-- ModelRejected       its folder holds code, pickles or a layout we do not read
|   `-- DownloadFailed      fetching or converting it did not finish
|-- ProviderError           theirs; carries provider and model
|   |-- CredentialRejected  their 401 or 403
|   |   |-- SignatureRejected   the Router did not take an identity's signature
|   |   |-- AccountFrozen   the billing account is on hold
|   |   `-- NoIdentity      there is no identity to ask in the name of
|   |-- QuotaExhausted      no credit left; waiting does not help
|   |   `-- InsufficientFunds   the Router's credit does not cover this
|   |-- RateLimited         waiting helps; carries retry_after
|   |-- NotOffered          they do not have this model
|   |-- Refused             they call the request wrong; another provider may too
|   |   |-- BelowMinimumTopUp   less than the Router lets one pay in
|   |   `-- IdempotencyConflict the same key came with another body
|   |-- Unreachable         no connection: name, route, TLS
|   |-- Unavailable         5xx, overloaded
|   |-- Resting             it failed too often lately, so it was not asked
|   |-- BadAnswer           a 200 that is no answer
|   |-- TooSlow             one of our deadlines passed
|   |-- EmptyAnswer         finished without a visible word
|   `-- WorkerDied          the local model's process ended
|-- LedgerUnreadable        what was spent cannot be told now
|-- StreamCut               broke after the first visible word; carries the cause
|-- Cancelled               the caller stopped it
`-- ConfigError             a setting or file of ours is wrong

A message says what happened, to what, and what to do next. It never holds a key, a prompt or an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from osaurus_nb.models import Charge
    from osaurus_nb.routes import Rejected
    from osaurus_nb.spending import Overrun


class OsaurusError(Exception):
    """Base of everything raised on purpose.

    `status` is the HTTP status our server answers with, `code` the stable machine name, `kind` the
    OpenAI error type, and `param` the request field at fault, if one is.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    kind: ClassVar[str] = "server_error"
    #: May the engine ask another candidate before anything was shown?
    failover: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.retry_after = retry_after
        #: What had been answered when it broke off: the client puts its Reply here.
        self.reply: Any = None

    @property
    def message(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Warned:
    """What is no error, but not to be kept silent: a knob that was not carried over, something odd that was read.

    An event of the stream, and noted by whoever read a request. `param` names what it is about.
    """

    code: str
    message: str
    param: str | None = None


class RequestError(OsaurusError):
    status, code, kind = 400, "invalid_request", "invalid_request_error"


class Unsupported(RequestError):
    """A feature that the model or the format cannot carry. `needs` names the field of `Capabilities` that it takes."""

    code = "unsupported_feature"

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None, needs: str | None = None
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after)
        self.needs = needs


class ContextTooLong(RequestError):
    code = "context_length_exceeded"
    failover = True  # a candidate with a larger window may still fit


class BodyTooLarge(RequestError):
    status, code = 413, "request_too_large"


class ModelNotFound(RequestError):
    """No model has this name. `near` lists the closest names that exist."""

    status, code = 404, "model_not_found"

    def __init__(self, message: str, *, near: Sequence[str] = ()) -> None:
        super().__init__(message, param="model")
        self.near = tuple(near)


class ModelAmbiguous(RequestError):
    """Several providers list this name. `choices` are the exact ones."""

    code = "model_ambiguous"

    def __init__(self, message: str, *, choices: Sequence[str]) -> None:
        super().__init__(message, param="model")
        self.choices = tuple(choices)


class AccessDenied(OsaurusError):
    status, code, kind = 401, "invalid_api_key", "invalid_request_error"


class Forbidden(AccessDenied):
    status, code, kind = 403, "permission_denied", "permission_error"


class LocalOnly(Forbidden):
    """The words must stay on this machine and its networks, and who would answer is not known to be there."""

    code = "local_only"
    failover = True  # nobody was asked; a candidate that is here may answer


class NoEligibleModel(OsaurusError):
    """Nobody qualified. `rejections` says why, model by model."""

    status, code = 503, "no_candidate"

    def __init__(self, message: str, *, rejections: Sequence[Rejected] = ()) -> None:
        super().__init__(message, param="model")
        self.rejections = tuple(rejections)


class NobodyAnswered(OsaurusError):
    """Every candidate was asked, or left alone for its last faults. `causes` has the fault of each, in order."""

    status, code = 503, "nobody_answered"

    def __init__(self, message: str, *, causes: Sequence[OsaurusError] = (), retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.causes = tuple(causes)


class BudgetExceeded(OsaurusError):
    """The call was not made: it could have cost more than a cap leaves. `overrun` has the figures."""

    status, code, kind = 402, "budget_exceeded", "insufficient_quota"
    failover = True  # a candidate that costs less may still fit

    def __init__(self, message: str, *, overrun: Overrun | None = None, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.overrun = overrun


class LedgerUnreadable(OsaurusError):
    status, code = 503, "ledger_unreadable"


class LocalModelError(OsaurusError):
    status, code = 503, "local_model_error"
    failover = True


class ModelTooLarge(LocalModelError):
    code = "insufficient_resources"


class ModelRejected(LocalModelError):
    code = "model_rejected"


class DownloadFailed(LocalModelError):
    code = "download_failed"


#: What exactly broke, where the class of an error does not say.
Reason = Literal[
    "no-key",  # there was none to send
    "name",  # the host name does not resolve
    "absent",  # nobody listens there
    "route",  # no connection came about
    "address",  # our own rules forbid it
    "tls",
    "proxy",
    "slow-connect",
    "lost",  # the connection closed before an answer began
    "cut",  # the connection closed in the middle of an answer
    "protocol",  # it was no HTTP that came back
    "unsent",  # it could not even be sent
    "redirect",
    "page",  # a web page came back
    "shape",  # JSON came back, or none, but not what was asked for
    "policy",  # its rules forbid what was asked
    "crowded",  # too many of our own questions are under way there
    "deadline",  # the caller's own time was over
]


class ProviderError(OsaurusError):
    """Something the provider did. `provider` and `model` say who; `upstream_status` is their HTTP status.

    `charge` is what it took all the same, where it said so; `reason` what exactly broke, where that is known;
    `should_retry` what it said of asking again (`x-should-retry`).
    """

    status, code = 502, "provider_error"
    failover = True

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        model: str | None = None,
        upstream_status: int | None = None,
        retry_after: float | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after)
        self.provider = provider
        self.model = model
        self.upstream_status = upstream_status
        self.charge: Charge | None = None
        self.reason: Reason | None = None
        self.should_retry: bool | None = None


class CredentialRejected(ProviderError):
    status, code, kind = 401, "auth_rejected", "authentication_error"


class SignatureRejected(CredentialRejected):
    code = "signature_rejected"


class AccountFrozen(CredentialRejected):
    status, code, kind = 403, "account_frozen", "permission_error"


class NoIdentity(CredentialRejected):
    code = "no_identity"


class QuotaExhausted(ProviderError):
    status, code, kind = 402, "insufficient_quota", "insufficient_quota"


class InsufficientFunds(QuotaExhausted):
    code = "insufficient_funds"


class RateLimited(ProviderError):
    status, code, kind = 429, "rate_limit_exceeded", "rate_limit_error"


class NotOffered(ProviderError):
    status, code, kind = 404, "model_not_found", "invalid_request_error"


class Refused(ProviderError):
    status, code, kind = 400, "request_rejected", "invalid_request_error"
    failover = False


class BelowMinimumTopUp(Refused):
    code = "below_minimum_topup"


class IdempotencyConflict(Refused):
    """Never sent again under a new key by itself: the first body may have been charged."""

    status, code = 409, "idempotency_conflict"


class Unreachable(ProviderError):
    code = "endpoint_unreachable"


class Unavailable(ProviderError):
    status, code = 503, "provider_unavailable"


class Resting(ProviderError):
    """Its breaker is open. `retry_after` is in how many seconds it is asked again."""

    status, code = 503, "provider_resting"


class BadAnswer(ProviderError):
    code = "bad_response"


class TooSlow(ProviderError):
    status, code = 504, "timeout"


class EmptyAnswer(ProviderError):
    code = "empty_answer"


class WorkerDied(ProviderError):
    code = "worker_died"


class StreamCut(OsaurusError):
    """The answer broke off after a word was shown. `cause` is the fault."""

    status, code = 502, "stream_cut"

    def __init__(self, message: str, *, cause: OsaurusError) -> None:
        super().__init__(message)
        self.cause = cause


class Cancelled(OsaurusError):
    status, code, kind = 499, "cancelled", "cancelled"


class ConfigError(OsaurusError):
    code = "configuration_error"
