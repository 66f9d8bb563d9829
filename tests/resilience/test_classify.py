"""Every failure has one verdict, and it fits what is really raised."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import httpx2
import pytest

import osaurus_nb
from osaurus_nb import errors
from osaurus_nb.providers import faults
from osaurus_nb.providers.dial import AddressRefused, ConnectionRefused, NameNotFound, TlsFailed
from osaurus_nb.resilience.classify import TABLE, Verdict, classify
from osaurus_nb.wire import _errors
from osaurus_nb.wire.osaurus_router import faults as router_faults


def tree(kind: type[errors.OsaurusError] = errors.OsaurusError) -> Iterator[type[errors.OsaurusError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def made(kind: type[errors.OsaurusError], **more: object) -> errors.OsaurusError:
    if issubclass(kind, errors.ModelNotFound):
        return kind("lost")
    if issubclass(kind, errors.ModelAmbiguous):
        return kind("two", choices=["a", "b"])
    if issubclass(kind, errors.StreamCut):
        return kind("cut", cause=errors.BadAnswer("bad", provider="lab"))
    if issubclass(kind, errors.ProviderError):
        return kind("theirs", provider="lab", **more)  # type: ignore[arg-type]  # what each takes is up to the test
    return kind("ours")


def of_status(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Verdict:
    return classify(faults.status_error(status, headers or {}, body, provider="lab"), committed=False)


def of_exception(exc: Exception, *, begun: bool = False, keyed: bool = False) -> Verdict:
    return classify(faults.translate(exc, provider="lab"), committed=False, begun=begun, keyed=keyed)


OURS = [kind for kind in tree() if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_class_of_the_error_tree_has_a_row_of_its_own(kind: type[errors.OsaurusError]) -> None:
    """Whoever adds an error has to say what it means; none gets a verdict by accident."""
    assert kind in TABLE


def test_errors_that_other_rooms_add_get_the_verdict_of_their_base() -> None:
    """An error of our own doors, files and stores is nobody's failure, so that no other model is asked."""
    for found in pkgutil.walk_packages(osaurus_nb.__path__, "osaurus_nb."):
        if found.name.startswith(("osaurus_nb.identity.", "osaurus_nb.secrets.", "osaurus_nb.gateway.")):
            importlib.import_module(found.name)

    added = [kind for kind in tree() if kind.__module__.startswith("osaurus_nb.") and kind not in OURS]

    assert added
    for kind in added:
        base = next(row for row in kind.__mro__ if row in TABLE)
        assert issubclass(base, errors.OsaurusError)
        assert TABLE[base].verdict.kind == "terminal" or issubclass(kind, errors.ProviderError | errors.LocalModelError)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_a_verdict_goes_on_to_another_candidate_where_the_error_says_so(kind: type[errors.OsaurusError]) -> None:
    """The verdict and the error's own `failover` never tell two stories."""
    verdict = classify(made(kind), committed=False)

    assert (verdict.kind in ("retry", "failover", "notice")) == kind.failover
    assert verdict.code == kind.code


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_after_the_first_word_nothing_is_asked_again(kind: type[errors.OsaurusError]) -> None:
    """Once committed every failure ends the stream honestly, and only a caller who leaves is no failure."""
    verdict = classify(made(kind), committed=True, keyed=True, again=True)

    assert verdict.kind == ("terminal" if kind is errors.Cancelled else "mid_stream")
    assert verdict.retries == 0


@pytest.mark.parametrize(
    ("status", "kind", "counts"),
    [
        (307, "failover", False),
        (400, "terminal", False),
        (401, "failover", False),
        (402, "failover", False),
        (403, "failover", False),
        (404, "failover", False),
        (408, "retry", False),
        (409, "retry", False),
        (413, "terminal", False),
        (422, "terminal", False),
        (425, "retry", False),
        (429, "retry", False),
        (500, "retry", True),
        (501, "failover", False),
        (502, "retry", True),
        (503, "retry", True),
        (504, "failover", True),
        (524, "failover", True),
        (529, "retry", True),
    ],
)
def test_each_status_has_its_verdict_and_no_4xx_counts(status: int, kind: str, counts: bool) -> None:
    """What a provider answers decides whether it is asked again, passed over or believed; only its failing counts."""
    verdict = of_status(status)

    assert (verdict.kind, verdict.counts_for_breaker) == (kind, counts)
    assert verdict.reached


def test_a_used_up_quota_is_no_rate_limit() -> None:
    """A 429 that means an empty account is not waited for."""
    limited = of_status(429)
    empty = of_status(429, b'{"error": {"code": "insufficient_quota", "message": "pay"}}')

    assert (limited.kind, limited.throttled) == ("retry", True)
    assert (empty.kind, empty.retries) == ("failover", 0)


def test_a_conversation_that_is_too_long_looks_for_a_larger_window() -> None:
    """Another candidate may hold what this one cannot."""
    verdict = of_status(400, b'{"error": {"code": "context_length_exceeded", "message": "long"}}')

    assert (verdict.kind, verdict.counts_for_breaker) == ("failover", False)


@pytest.mark.parametrize(
    ("exc", "kind", "blame"),
    [
        (NameNotFound("lab.invalid"), "failover", "provider"),
        (ConnectionRefused("lab:1"), "failover", "provider"),
        (TlsFailed("untrusted"), "failover", "provider"),
        (httpx2.ConnectTimeout("slow"), "failover", "provider"),
        (httpx2.ConnectError("route"), "failover", "provider"),
        (httpx2.ProxyError("proxy"), "failover", "provider"),
        (AddressRefused("metadata"), "failover", "none"),
        (httpx2.LocalProtocolError("header"), "failover", "none"),
        (httpx2.ReadTimeout("quiet"), "failover", "model"),
        (httpx2.RemoteProtocolError("garbage"), "failover", "model"),
        (faults.AnswerTooLarge("bomb"), "failover", "model"),
        (httpx2.DecodingError("gzip"), "failover", "model"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_the_network_does_is_passed_over_and_blamed_where_it_belongs(
    exc: Exception, kind: str, blame: str
) -> None:
    """A provider that is not there is failing with every model, a poor answer is one model's, our rules nobody's."""
    verdict = of_exception(exc)

    assert (verdict.kind, verdict.blame, verdict.reached) == (kind, blame, False)


def test_a_connection_lost_before_the_answer_began_is_tried_once_more() -> None:
    """Half an answer may be charged for, so it is asked again only under an idempotency key."""
    lost = httpx2.ReadError("closed")

    assert (of_exception(lost).kind, of_exception(lost).retries) == ("retry", 1)
    assert of_exception(lost, begun=True).kind == "failover"
    assert of_exception(lost, begun=True, keyed=True).kind == "retry"


def test_a_gateway_timeout_is_repeated_only_under_an_idempotency_key() -> None:
    """The model behind the gateway may still be at work, and be paid for it."""
    late = made(errors.TooSlow, upstream_status=504)
    ours = made(errors.TooSlow)

    assert classify(late, committed=False).kind == "failover"
    assert classify(late, committed=False, keyed=True).kind == "retry"
    assert classify(ours, committed=False, keyed=True).kind == "failover"


def test_a_provider_that_says_whether_to_repeat_is_obeyed() -> None:
    """`x-should-retry` is heard both ways, but makes nothing repeatable that is not."""
    failing, late, refused = (
        made(errors.Unavailable, upstream_status=503),
        made(errors.TooSlow, upstream_status=504),
        made(errors.Refused, upstream_status=400),
    )

    assert classify(failing, committed=False, again=False).kind == "failover"
    assert classify(late, committed=False, again=True).kind == "retry"
    assert classify(refused, committed=False, again=True).kind == "terminal"


def test_the_same_key_with_another_body_is_never_sent_again() -> None:
    """A conflict of idempotency is no conflict that passes: the first body may have been charged."""
    verdict = classify(made(errors.IdempotencyConflict, upstream_status=409), committed=False, again=True)

    assert (verdict.kind, verdict.retries) == ("terminal", 0)


def test_an_empty_answer_is_a_notice_that_harms_health_alone() -> None:
    """Nobody is blocked for having nothing to say, but it is told."""
    verdict = classify(made(errors.EmptyAnswer), committed=False)

    assert (verdict.kind, verdict.blame, verdict.counts_for_breaker) == ("notice", "health", False)


@pytest.mark.parametrize("type_", ["overloaded_error", "rate_limit_error", "invalid_request_error", "odd"])
def test_whoever_stops_in_the_middle_is_to_blame(type_: str) -> None:
    """An error event after the first word counts, whatever it names as its reason."""
    error = _errors.in_band({"error": {"type": type_, "message": "x"}}, provider="lab", model="m")

    verdict = classify(error, committed=True)

    assert (verdict.kind, verdict.blame) == ("mid_stream", "model")


def test_a_cut_stream_counts_as_its_cause_does() -> None:
    """The wrapper of a failure in the middle hides neither whose fault it was nor that it is over."""
    lost = made(errors.Unreachable)
    broke = errors.QuotaExhausted("no credit", provider="lab")

    assert classify(errors.StreamCut("cut", cause=lost), committed=True).blame == "provider"
    assert classify(errors.StreamCut("cut", cause=broke), committed=True).blame == "none"
    assert classify(errors.StreamCut("cut", cause=lost), committed=False).kind == "mid_stream"


def test_the_routers_codes_have_their_verdicts() -> None:
    """Its limits are waited for, its frozen accounts and empty purses are not, and its failing counts."""
    codes = {
        "RATE_LIMITED": ("retry", False),
        "INSUFFICIENT_FUNDS": ("failover", False),
        "ACCOUNT_FROZEN": ("failover", False),
        "IDEMPOTENCY_CONFLICT": ("terminal", False),
        "PROVIDER_ERROR": ("retry", True),
    }

    for code, told in codes.items():
        error = router_faults.fault({"error": {"code": code}}, provider="osaurus", status=400)
        verdict = classify(error, committed=False)
        assert (verdict.kind, verdict.counts_for_breaker) == told, code
