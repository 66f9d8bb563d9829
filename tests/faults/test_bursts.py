"""What many questions do together to a provider that fails, and what the caller's own haste does not."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from osaurus_nb.testing.faulty import FAULTS
from osaurus_nb.testing.faulty_answers import Ask
from osaurus_nb.testing.faulty_dialects import WRITERS
from tests.faults.conftest import GOOD, Bench, Dialect

CHAT = Dialect("chat")


@pytest.mark.parametrize("fault", ["503", "reset", "429?retry_after=0.05"])
def test_a_burst_at_a_failing_provider_is_not_multiplied(bench: Bench, fault: str) -> None:
    """Of fifty questions at once all are answered, and the failing one is asked at most a fifth more often."""
    bench.forget()
    body = CHAT.body(f"bad/{fault}", stream=False, fallbacks=["good/good"])
    before = len(bench.upstream.requests)

    with ThreadPoolExecutor(25) as many:
        answers = list(many.map(lambda _: bench.server.ask("POST", CHAT.path, json_body=body), range(50)))

    calls = [one for one in bench.upstream.requests[before:] if one.method == "POST" and one.json["model"] == fault]
    assert {CHAT.text(answer, stream=False) for answer in answers} == {GOOD}
    assert len(calls) <= 60


def test_who_failed_often_is_left_alone_and_that_is_said(bench: Bench) -> None:
    """After five failures the next question costs the failing provider nothing, and says when it is asked again."""
    bench.forget()
    for _ in range(5):
        last = bench.ask(CHAT, "504", stream=False, fresh=False)
    before = len(bench.upstream.requests)

    refused = bench.ask(CHAT, "504", stream=False, fresh=False)

    assert last.answer.status == 504
    assert refused.answer.status == 503
    assert refused.answer.json["error"]["code"] == "provider_resting"
    assert 1 <= int(refused.answer.headers["retry-after"]) <= 30
    assert refused.answer.headers["x-should-retry"] == "false"
    assert [one for one in bench.upstream.requests[before:] if one.method == "POST"] == []
    assert [one.state for one in refused.conditions] == ["open"]


def test_a_caller_in_a_hurry_opens_no_breaker(bench: Bench) -> None:
    """A deadline that no model could keep is the caller's: others who have more time are still served."""
    bench.forget()
    for _ in range(6):
        late = bench.ask(CHAT, "silent", stream=True, fresh=False, provider="odd", deadline_ms=30)

    assert late.answer.status == 504
    assert not late.conditions


def test_a_deadline_is_shared_by_all_candidates(bench: Bench) -> None:
    """Who says nothing gets its share of the time; what is left is for the next one, and the whole is not exceeded."""
    began = time.monotonic()

    outcome = bench.ask(CHAT, "silent", stream=True, provider="odd", rescue=True, deadline_ms=1500)

    assert CHAT.text(outcome.answer, stream=True) == GOOD
    assert time.monotonic() - began < 1.5


def test_a_script_fails_in_turn(bench: Bench) -> None:
    """The upstream can come back: one fault after the other, the last for ever."""
    bench.upstream.turns["flaky"] = ["503", "503", "good"]

    outcome = bench.ask(CHAT, "flaky", stream=False)

    assert CHAT.text(outcome.answer, stream=False) == GOOD
    assert [line.kind for line in outcome.rows] == ["void", "void", "settle"]


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_begins(name: str) -> None:
    """Each name in the list plays something in each dialect, streamed and whole."""
    for writer, stream in itertools.product(WRITERS.values(), (False, True)):
        first = next(iter(FAULTS[name].play(Ask(writer, "m", stream))))
        assert first
