"""Every class of failure, in every dialect, streamed and whole: another model answers, or the end is an honest one.

Each row of a table says what a failing provider costs: our status, how often it is asked alone and with somebody behind
it, what the ledger says of each attempt, and whose breaker saw it.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest

from osaurus_nb.testing.loopback import Recorded
from tests.faults.conftest import GOOD, Bench, Dialect, Outcome


class Row(NamedTuple):
    """`ledger` is settle where the provider may have worked. `blame`: whose breaker counts it, if one does."""

    fault: str
    status: int
    alone: int = 1
    behind: int = 1
    ledger: str = "settle"
    blame: str | None = "model"


#: Nothing of an answer ever came: whoever is behind answers.
LOST = [
    Row("slammed", 502, 2, 2, blame="provider"),
    Row("reset", 502, 2, 2, blame="provider"),
    Row("half-head", 502, 2, 2, blame="provider"),
    Row("silent", 504),
    Row("garbage", 502),
    Row("endless-head", 502),
    Row("interim", 502),
    Row("slammed-after-head", 502),
    Row("reset-after-head", 502),
    Row("silent-after-head", 504),
    Row("page", 502),
    Row("page-502", 503, 3, 3, "void"),
    Row("endless-error", 503, 3, 3, "void"),
    Row("error-in-200", 502),
    Row("error-in-200?error=overloaded", 503, 3, 3, "void"),
    Row("error-in-200?error=insufficient_quota", 402, ledger="void", blame=None),
    Row("nothing", 502),
    Row("null", 502),
    Row("shape", 502),
    Row("bad-json", 502),
    Row("bad-utf8", 502),
    Row("bad-gzip", 502),
    Row("gzip-bomb", 502),
    Row("keep-alive", 504),
    Row("trickle", 504),
]
STATUSES = [
    Row("401", 401, ledger="void", blame=None),
    Row("402", 402, ledger="void", blame=None),
    Row("403", 401, ledger="void", blame=None),
    Row("404", 404, ledger="void", blame=None),
    Row("408", 503, 2, 2, "void", None),
    Row("409", 503, 2, 2, "void", None),
    Row("425", 400, 2, 2, "void", None),
    Row("429", 429, 3, 1, "void", None),
    Row("429?retry_after=0.1", 429, 3, 3, "void", None),
    Row("429?retry_after=100", 429, 1, 1, "void", None),
    Row("429?error=insufficient_quota", 402, 1, 1, "void", None),
    Row("500", 503, 3, 3, "void"),
    Row("501", 503, 1, 1, "void", None),
    Row("502", 503, 3, 3, "void"),
    Row("503", 503, 3, 3, "void"),
    Row("503?retry_after=0.1", 503, 3, 3, "void"),
    Row("503?retry_after=100", 503, 1, 1, "void"),
    Row("503?should_retry=false", 503, 1, 1, "void"),
    Row("504", 504),
    Row("504?should_retry=true", 504, 2, 2),
    Row("524", 504),
    Row("529", 503, 3, 3, "void"),
    Row("301", 502, ledger="void", blame=None),
    Row("302", 502, ledger="void", blame=None),
    Row("307", 502, ledger="void", blame=None),
    Row("308", 502, ledger="void", blame=None),
]
#: Nobody else could do better.
TERMINAL = [Row(name, 400, ledger="void", blame=None) for name in ("400", "413", "422")] + [
    Row("400?error=content_policy_violation", 400, ledger="void", blame=None)
]
#: Not even a connection.
UNREACHABLE = ["gone", "nameless", "untrusted"]
#: Words came, and then no more. In one piece nobody saw them.
BROKEN = [
    "stall",
    "cut",
    "reset-in-answer",
    "torn",
    "truncated",
    "error-in-answer",
    "cut-call",
    "endless?interval=0.01",
]
#: A proper answer with nothing to see.
EMPTY = ["empty", "thought-only", "length-before-text", "filter-before-text"]
#: What is odd, and none of the caller's business.
ODD = [
    "no-end-mark",
    "double-end",
    "length",
    "json-for-stream",
    "crlf",
    "commented",
    "bytewise",
    "no-usage",
    "absurd-usage",
]


def ids(row: Row) -> str:
    return row.fault


def ours(dialect: Dialect, status: int) -> int:
    """Messages has a status of its own for a provider that is overloaded."""
    return 529 if dialect.name == "messages" and status == 503 else status


def assert_noted(outcome: Outcome, row: Row, calls: int) -> None:
    """The books and the breakers after so many attempts at the failing provider."""
    assert outcome.repeats == calls
    assert [line.kind for line in outcome.failed] == [row.ledger] * calls
    assert all(line.cost.micro == 0 for line in outcome.failed if line.kind == "void")
    seen = {"provider" if one.model is None else "model" for one in outcome.conditions}
    assert seen == ({row.blame} if row.blame else set())
    assert all(one.state == "closed" for one in outcome.conditions)  # one question is no illness


def assert_rescued(outcome: Outcome, dialect: Dialect, *, stream: bool) -> None:
    """The good one answered, once and wholly, and that it did is said."""
    assert outcome.answer.status == 200
    assert dialect.text(outcome.answer, stream=stream) == GOOD
    assert dialect.error(outcome.answer, stream=stream) is None
    assert outcome.answer.headers["x-osaurus-provider"] == "good"
    assert outcome.answer.headers["x-osaurus-fallback"]
    assert [one.json["model"] for one in outcome.calls].count("good") == 1
    assert outcome.rows[-1].kind == "settle"
    assert outcome.rows[-1].outcome == "rendered"
    if stream:
        assert dialect.ends(outcome.answer) == 1


@pytest.mark.parametrize("row", [*LOST, *STATUSES], ids=ids)
def test_a_healthy_candidate_answers_instead(bench: Bench, dialect: Dialect, stream: bool, row: Row) -> None:
    """Whatever happens before the first word, the caller gets a whole answer of the next one, and hears of it."""
    outcome = bench.ask(dialect, row.fault, stream=stream, rescue=True)

    assert_rescued(outcome, dialect, stream=stream)
    assert_noted(outcome, row, row.behind)


@pytest.mark.parametrize("row", [*LOST, *STATUSES], ids=ids)
def test_alone_it_fails_in_the_callers_words(bench: Bench, dialect: Dialect, stream: bool, row: Row) -> None:
    """A proper status and error object; SDKs are kept from multiplying what we repeated; nobody is left on the line."""
    outcome = bench.ask(dialect, row.fault, stream=stream)

    assert outcome.answer.status == ours(dialect, row.status)
    assert outcome.answer.headers["content-type"] == "application/json"
    assert outcome.failed[0].provider in outcome.answer.json["error"]["message"]
    assert "<" not in outcome.answer.json["error"]["message"]
    waits = "retry_after" in row.fault
    assert outcome.answer.headers.get("x-should-retry") == (None if waits else "false")
    assert ("retry-after" in outcome.answer.headers) is waits
    assert_noted(outcome, row, row.alone)
    assert all(map(is_over, outcome.calls))


@pytest.mark.parametrize("rescue", [False, True])
@pytest.mark.parametrize("row", TERMINAL, ids=ids)
def test_a_question_that_is_wrong_is_asked_of_nobody_else(
    bench: Bench, dialect: Dialect, stream: bool, row: Row, rescue: bool
) -> None:
    """What a provider calls wrong, or against its rules, is the caller's to change."""
    outcome = bench.ask(dialect, row.fault, stream=stream, rescue=rescue)

    assert outcome.answer.status == row.status
    assert len(outcome.calls) == 1
    assert_noted(outcome, row, 1)


@pytest.mark.parametrize("provider", UNREACHABLE)
def test_who_cannot_be_reached_costs_nothing(bench: Bench, dialect: Dialect, stream: bool, provider: str) -> None:
    """No server, no such name, no trusted connection: the next one answers, or a sentence names the cause."""
    rescued = bench.ask(dialect, "m", stream=stream, provider=provider, rescue=True)
    alone = bench.ask(dialect, "m", stream=stream, provider=provider)

    assert_rescued(rescued, dialect, stream=stream)
    assert alone.answer.status == 502
    for outcome in (rescued, alone):
        assert [line.kind for line in outcome.failed] == ["void"]
        assert [one.model for one in outcome.conditions] == [None]


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("rescue", [False, True])
def test_what_breaks_off_after_a_word_is_never_spliced(
    bench: Bench, dialect: Dialect, fault: str, rescue: bool
) -> None:
    """The words stay, one error in band ends them, no proper end is pretended, and nobody else goes on with them."""
    outcome = bench.ask(dialect, fault, stream=True, rescue=rescue)

    words = dialect.text(outcome.answer, stream=True)
    assert outcome.answer.status == 200
    assert words.startswith("Hello from") or fault == "cut-call"
    assert GOOD not in words
    assert dialect.error(outcome.answer, stream=True) is not None
    assert b'"stop"' not in outcome.answer.body
    assert b'"end_turn"' not in outcome.answer.body
    assert b"response.completed" not in outcome.answer.body
    assert len(outcome.calls) == 1
    assert [(line.kind, line.outcome) for line in outcome.rows] == [("settle", "error")]
    assert outcome.rows[0].cost.micro
    assert all(map(is_over, outcome.calls))
    assert [one.model for one in outcome.conditions] == [fault]


@pytest.mark.parametrize("fault", [fault for fault in BROKEN if fault != "truncated"])
def test_what_breaks_off_is_replaced_where_nobody_saw_it(bench: Bench, dialect: Dialect, fault: str) -> None:
    """A caller who gets his answer in one piece gets a whole one of the next model, however far the first one came."""
    rescued = bench.ask(dialect, fault, stream=False, rescue=True)
    alone = bench.ask(dialect, fault, stream=False)

    assert_rescued(rescued, dialect, stream=False)
    assert alone.answer.status in (502, 504)
    assert alone.answer.headers["x-should-retry"] == "false"
    for outcome in (rescued, alone):
        assert outcome.repeats == 1
        assert [(line.kind, line.outcome) for line in outcome.failed] == [("settle", "error")]
        assert [one.model for one in outcome.conditions] == [fault]


@pytest.mark.parametrize("fault", EMPTY)
def test_an_answer_without_a_word_is_said_to_be_one(bench: Bench, dialect: Dialect, stream: bool, fault: str) -> None:
    """Alone it is shown with a notice and its cost; with somebody behind it, that one answers. No breaker opens."""
    alone = bench.ask(dialect, fault, stream=stream)
    rescued = bench.ask(dialect, fault, stream=stream, rescue=True)

    assert alone.answer.status == 200
    assert dialect.text(alone.answer, stream=stream) == ""
    assert "empty_answer" in alone.answer.headers.get("x-osaurus-warnings", "") + alone.answer.body.decode()
    assert_rescued(rescued, dialect, stream=stream)
    for outcome in (alone, rescued):
        assert [line.kind for line in outcome.failed] == ["settle"]
        assert outcome.failed[0].outcome in ("empty", "reasoning_only")
        assert not outcome.conditions


@pytest.mark.parametrize("fault", ODD)
def test_an_oddity_is_none_of_the_callers_business(bench: Bench, dialect: Dialect, stream: bool, fault: str) -> None:
    """Line ends, comments, split bytes, marks of the end, missing or mad figures: one whole answer, one line, once."""
    outcome = bench.ask(dialect, fault, stream=stream, rescue=True)

    assert outcome.answer.status == 200
    assert dialect.text(outcome.answer, stream=stream) == GOOD
    assert dialect.error(outcome.answer, stream=stream) is None
    assert len(outcome.calls) == 1
    [line] = outcome.rows
    source = {"no-usage": "estimate", "absurd-usage": "absurd"}.get(fault, "provider")
    assert (line.kind, line.outcome, line.token_source) == ("settle", "rendered", source)
    assert 0 < (line.cost.micro or 0) < 10**6
    assert not outcome.conditions


def test_a_huge_word_comes_through(bench: Bench, dialect: Dialect, stream: bool) -> None:
    """One frame of a MiB is no attack."""
    outcome = bench.ask(dialect, "huge-frame", stream=stream)

    assert dialect.text(outcome.answer, stream=stream) == "x" * (1 << 20)


def test_a_call_with_broken_arguments_is_told_as_it_is(bench: Bench, dialect: Dialect, stream: bool) -> None:
    """It goes on to the caller, who can tell the model; where a dialect has no room for it, that is an error."""
    outcome = bench.ask(dialect, "broken-call", stream=stream)

    roomy = stream or dialect.name != "messages"
    assert outcome.answer.status == (200 if roomy else 502)
    assert b"Par" in outcome.answer.body or not roomy
    assert [(line.kind, line.outcome) for line in outcome.rows] == [("settle", "tool_only")]
    assert not outcome.conditions


def test_thoughts_without_end_are_not_waited_for(bench: Bench, dialect: Dialect, stream: bool) -> None:
    """The whole has a deadline that no thought moves: the next one answers, or the end says what was too slow."""
    fault = "endless-thought?interval=0.01"

    rescued = bench.ask(dialect, fault, stream=stream, rescue=True)
    alone = bench.ask(dialect, fault, stream=stream)

    assert_rescued(rescued, dialect, stream=stream)
    assert alone.answer.status in (502, 504) if not stream else dialect.error(alone.answer, stream=True)
    assert [line.kind for line in alone.rows] == ["settle"]


@pytest.mark.parametrize("fault", ["endless-line", "endless-event", "endless", "endless-thought"])
def test_a_flood_is_stopped(bench: Bench, dialect: Dialect, stream: bool, fault: str) -> None:
    """Whoever sends as fast as it can is cut at our cap or our deadline, and hung up on."""
    outcome = bench.ask(dialect, fault, stream=stream)

    [call] = outcome.calls
    assert outcome.answer.status in ((200, 502, 504) if stream else (502, 504))
    assert call.sent < 256 * 2**20
    assert is_over(call)
    assert call.hung_up_at is not None


def is_over(call: Recorded) -> bool:
    """Did it end, or was it hung up on? No connection may be left at which nobody listens any more."""
    ends = time.monotonic() + 2
    while not call.finished.is_set() and time.monotonic() < ends:
        time.sleep(0.005)
    return call.finished.is_set()
