"""One provider's connection: five states, and what each thing that happens makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from osaurus_nb.models import Diagnosis, ModelCard
from osaurus_nb.providers import connection as c
from osaurus_nb.providers.connection import Connection

PASSING = Diagnosis("timeout", "warning", "Too slow", "")
LASTING = Diagnosis("auth-rejected", "blocked", "Key rejected", "")
CARDS = (ModelCard("m", "lab"),)


def connected(at: float = 0.0) -> Connection:
    asking = c.connect(Connection(), at)
    return c.fetched(asking, asking.epoch, CARDS)


def broken(why: Diagnosis = PASSING, at: float = 0.0) -> Connection:
    asking = c.connect(Connection(), at)
    return c.failed(asking, asking.epoch, why, at, chance=0.0)


def test_the_five_states_follow_from_what_happened() -> None:
    """Disconnected, connecting, connected, error and disabled."""
    asking = c.connect(Connection(), 0.0)

    assert Connection().state == "disconnected"
    assert asking.state == "connecting"
    assert connected().state == "connected"
    assert broken().state == "error"
    assert c.disable(connected()).state == "disabled"


def test_the_start_connects_only_those_that_may_by_themselves() -> None:
    """One that the user wants to connect himself stays disconnected."""
    assert c.launch(Connection(), 0.0).fetching
    assert not c.launch(Connection(auto=False), 0.0).fetching
    assert not c.launch(c.disconnect(connected()), 0.0).fetching


@pytest.mark.parametrize("end", [c.disable, c.disconnect, c.edit])
def test_a_late_result_is_dropped(end) -> None:
    """What was asked before a disable, a disconnect or an edit changes nothing any more."""
    asking = c.connect(Connection(), 0.0)
    after = end(asking)

    assert c.fetched(after, asking.epoch, CARDS) == after
    assert c.failed(after, asking.epoch, PASSING, 1.0, chance=0.5) == after


def test_an_edit_is_not_confused_by_the_answer_of_the_old_address() -> None:
    """The new fetch goes on; the old address's list is not taken for its."""
    asking = c.connect(Connection(), 0.0)
    again = c.connect(c.edit(asking), 1.0)

    assert c.fetched(again, asking.epoch, CARDS) == again
    assert c.fetched(again, again.epoch, CARDS).state == "connected"


def test_a_second_connect_joins_the_first() -> None:
    """Nothing begins anew while a fetch is under way."""
    asking = c.connect(Connection(), 0.0)

    assert c.connect(asking, 5.0) == asking


def test_quiet_retries_come_later_and_later() -> None:
    """The waits double up to a minute, less what chance takes off; a success begins them anew."""
    waits, state = [], broken()
    for _ in range(9):
        assert state.retry_at is not None
        waits.append(state.retry_at - (state.asked_at or 0.0))
        assert c.due(state, state.retry_at - 0.01) == state
        now = state.retry_at
        state = c.failed(c.due(state, now), state.epoch, PASSING, now, chance=0.0)

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert c.fetched(c.due(state, 1e9), state.epoch, CARDS).failures == 0


def test_a_quiet_retry_stays_red() -> None:
    """The badge does not flicker: it is an error until it is connected."""
    retrying = c.due(broken(), 10.0)

    assert retrying.fetching
    assert retrying.state == "error"


def test_a_wish_to_wait_is_honoured() -> None:
    """`Retry-After` is undercut by no look and no wake; the user himself may."""
    asking = c.connect(Connection(), 0.0)

    spared = c.failed(asking, 0, PASSING, 100.0, chance=1.0, retry_after=45.0)

    assert spared.retry_at == 145.0
    assert c.look(spared, 140.0) == c.wake(spared, 140.0) == spared
    assert c.look(spared, 145.0).fetching
    assert c.connect(spared, 101.0).fetching


def test_faults_that_last_are_left_alone() -> None:
    """A rejected key is not tried again by time, wake or look; by another key or the user it is."""
    stuck = broken(LASTING)

    assert stuck.retry_at is None
    assert c.due(stuck, 1e9) == c.wake(stuck, 1e9) == c.look(stuck, 1e9) == stuck
    assert c.look(stuck, 1.0, mark=7).fetching
    assert c.connect(stuck, 1.0).state == "connecting"


def test_waking_retries_what_failed_in_passing() -> None:
    """At once, and only that: one that the user parted from stays so."""
    parted = c.disconnect(connected())

    assert c.wake(broken(), 0.1).fetching
    assert c.wake(parted, 0.1) == parted
    assert c.wake(connected(), 0.1) == connected()


def test_looks_are_ten_seconds_apart() -> None:
    """A picker that opens twice asks once, and the list stays there meanwhile."""
    again = c.look(connected(), 10.0)

    assert c.look(connected(), 9.9) == connected()
    assert again.fetching
    assert again.state == "connected"
    assert c.look(again, 30.0) == again


def test_names_are_known_through_a_passing_fault() -> None:
    """The listing is cleared, but a question by a bare id still finds its provider; not after a rejected key."""
    again = c.look(connected(), 10.0)

    assert c.failed(again, 0, PASSING, 11.0, chance=0.0).cards is None
    assert c.failed(again, 0, PASSING, 11.0, chance=0.0).known == CARDS
    assert c.failed(again, 0, LASTING, 11.0, chance=0.0).known == ()


@given(failures=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_no_wait_is_ever_too_short_or_too_long(failures: int, chance: float) -> None:
    """Between half a second and a minute, whatever happened before."""
    assert 0.5 <= c.pause(failures, chance) <= 60


def test_who_answers_is_looked_at_again() -> None:
    """An answered question ends a fault of the key or the network, not one of the list; ten seconds apart."""
    missing = Diagnosis("models-endpoint-unavailable", "blocked", "404", "")

    assert c.answered(broken(LASTING), 10.0).fetching
    assert c.answered(broken(PASSING), 10.0).state == "error"
    assert c.answered(broken(LASTING), 9.0) == broken(LASTING)
    assert c.answered(broken(missing), 10.0) == broken(missing)
    assert c.answered(connected(), 10.0) == connected()


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.held = Connection()
        self.asked: set[int] = set()  # epochs with a fetch that may still bring something

    def put(self, held: Connection) -> None:
        if held.fetching:
            self.asked.add(held.epoch)
        self.held = held

    @rule(seconds=st.floats(0, 100))
    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.put(c.due(self.held, self.now))

    @rule(kind=st.sampled_from([c.connect, c.launch, c.look, c.wake, c.answered]), mark=st.integers(0, 1))
    def wants(self, kind, mark: int) -> None:
        self.put(kind(self.held, self.now, mark))

    @rule(kind=st.sampled_from([c.disable, c.disconnect, c.edit]))
    def ends(self, kind) -> None:
        before = self.held.epoch
        self.put(kind(self.held))
        assert self.held.epoch > before
        assert not self.held.fetching

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), why=st.sampled_from([PASSING, LASTING, None]))
    def arrives(self, data: st.DataObject, why: Diagnosis | None) -> None:
        epoch, before = data.draw(st.sampled_from(sorted(self.asked))), self.held
        if why is None:
            self.put(c.fetched(before, epoch, CARDS))
        else:
            self.put(c.failed(before, epoch, why, self.now, chance=0.5))
        assert epoch == before.epoch or self.held == before

    @invariant()
    def is_sound(self) -> None:
        held = self.held
        assert held.enabled or (held.state == "disabled" and not held.fetching and held.retry_at is None)
        assert not (held.cards is not None and held.diagnosis is not None)
        assert held.retry_at is None or (held.transient and not held.fetching)
        assert not (held.transient and not held.fetching) or held.retry_at is not None
        assert not (held.parted and (held.fetching or held.cards is not None))


AnyOrder.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
test_no_order_of_events_breaks_a_connection = AnyOrder.TestCase
