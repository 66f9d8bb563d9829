"""A bounded number of questions are under way and waiting; the rest is told at once."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from osaurus_nb.resilience.shedding import LONGEST, SHORTEST, Door, Overloaded, Ticket


def ticket(door: Door, now: float = 0.0) -> Ticket:
    found = door.ask(now)
    assert isinstance(found, Ticket)
    return found


def test_some_go_in_some_wait_and_the_rest_is_turned_away() -> None:
    """Nobody waits without knowing it, and nobody waits in a line that does not move."""
    door = Door(inside=2, waiting=3)

    found = [door.ask(0.0) for _ in range(6)]

    assert [one.inside for one in found if isinstance(one, Ticket)] == [True, True, False, False, False]
    assert isinstance(found[5], Overloaded)
    assert (door.inside, door.waiting) == (2, 3)


def test_first_come_first_served() -> None:
    """Who leaves names the one that waited the longest; one that gave up is passed over."""
    door = Door(inside=1, waiting=3)
    first, second, third, fourth = (ticket(door) for _ in range(4))

    assert door.leave(second, 1.0) is None
    assert door.leave(first, 1.0) is third
    assert third.inside
    assert door.leave(third, 2.0) is fourth
    assert door.leave(fourth, 3.0) is None
    assert (door.inside, door.waiting) == (0, 0)


def test_who_left_cannot_leave_again() -> None:
    """A second call lets nobody in beyond the bound."""
    door = Door(inside=1, waiting=2)
    first, second, third = (ticket(door) for _ in range(3))

    assert door.leave(first, 0.0) is second
    assert door.leave(first, 0.0) is None
    assert not third.inside


def test_the_wait_that_is_told_follows_the_pace_of_late() -> None:
    """A full line of slow questions sends away for longer than one of quick ones, within bounds."""
    waits = []
    for took in (0.01, 10.0, 10_000.0):
        door = Door(inside=2, waiting=3)
        door.leave(ticket(door, 0.0), took)
        while isinstance(turned := door.ask(took), Ticket):
            pass
        waits.append(turned.retry_after)

    assert waits == [SHORTEST, 20.0, LONGEST]


def test_the_pace_is_that_of_the_work_not_of_the_waiting() -> None:
    """Who waited long and worked briefly makes nobody behind it wait longer."""
    door = Door(inside=1, waiting=1)
    for _ in range(3):
        first, second = ticket(door, 0.0), ticket(door, 0.0)
        door.leave(first, 2.0)
        door.leave(second, 4.0)

    turned = [door.ask(4.0) for _ in range(3)][-1]

    assert turned == Overloaded(4.0)


@pytest.mark.parametrize(("inside", "waiting"), [(0, 1), (1, -1)])
def test_a_door_that_lets_nobody_in_is_a_mistake(inside: int, waiting: int) -> None:
    """It is refused where it is made."""
    with pytest.raises(ValueError, match="door"):
        Door(inside=inside, waiting=waiting)


class AnyOrder(RuleBasedStateMachine):
    """Questions come, end and give up in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.door = Door(inside=3, waiting=4)
        self.tickets: list[Ticket] = []
        self.now = 0.0

    @rule()
    def one_comes(self) -> None:
        found = self.door.ask(self.now)
        if isinstance(found, Ticket):
            self.tickets.append(found)
        else:
            assert len(self.tickets) == 7
            assert SHORTEST <= found.retry_after <= LONGEST

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), took=st.floats(0, 100))
    def one_leaves(self, data: st.DataObject, took: float) -> None:
        self.now += took
        gone = self.tickets.pop(data.draw(st.integers(0, len(self.tickets) - 1)))
        waiting = [one for one in self.tickets if not one.inside]
        following = self.door.leave(gone, self.now)
        assert following is (waiting[0] if gone.inside and waiting else None)

    @invariant()
    def nobody_waits_while_there_is_room(self) -> None:
        inside = sum(one.inside for one in self.tickets)
        assert (self.door.inside, self.door.waiting) == (inside, len(self.tickets) - inside)
        assert inside == min(len(self.tickets), 3)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
