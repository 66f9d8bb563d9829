"""Lines without an end, against a provider's own list of calls: settled, struck or left alone, never guessed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.ledger.reconcile import NEAR, OVER, Listed, likely, reconcile
from osaurus_nb.models import Usage
from osaurus_nb.spending import FREE, Cost, Entry

NOW = 1_800_000_000.0
THEN = NOW - 3 * OVER
OLD = Listed("old", "m", 1, 1, 1, THEN - 2 * OVER, "req-old")


def orphan(step: str = "s", at: float = THEN, **more) -> Entry:
    return Entry("open", step, 1, at, "osaurus", "m", "osaurus/m", request_id="mine", alive=False, **more)


def settled(step: str = "s", at: float = THEN, cost: int | None = 50, **more) -> Entry:
    source = "provider" if cost is not None else None
    line = Entry("settle", step, 1, at, "osaurus", "m", "osaurus/m", request_id=f"req-{step}", usage=Usage(10, 5))
    return replace(line, cost=Cost(cost, source), token_source="provider", **more)


def call(id: str = "c", at: float | None = THEN, request_id: str | None = None, **more) -> Listed:
    return replace(Listed(id, "m", 10, 5, 50, at, request_id, "completed"), **more)


def test_an_orphan_is_settled_by_the_key_it_was_asked_under():
    """Where the stream died before its bill, the list has our key: it names the step."""
    done = reconcile([orphan("s7")], [call(request_id="mine:s7:ab12"), OLD], NOW)

    (line,) = done.settled
    assert (line.kind, line.step, line.attempt, line.alive) == ("settle", "s7", 1, None)
    assert (line.cost, line.token_source) == (Cost(50, "provider"), "reconciled")
    assert line.usage == Usage(10, 5)
    assert not done.waiting


def test_an_orphan_is_settled_by_equal_figures_at_its_time():
    """One call of its model and its counted tokens within five minutes, and no other line that it could be."""
    line = orphan(usage=Usage(4, 5, cache_read_input_tokens=6))

    assert [end.step for end in reconcile([line], [call(at=THEN + NEAR)], NOW).settled] == ["s"]
    assert not reconcile([line], [call(at=THEN + NEAR + 1)], NOW).settled
    assert not reconcile([line], [call(model="other")], NOW).settled
    assert not reconcile([replace(line, usage=Usage(10, 5, estimated=True))], [call()], NOW).settled


def test_what_could_be_two_is_neither():
    """Two equal calls, or two equal lines: both stay open, and the charges are told."""
    line = orphan(usage=Usage(10, 5))
    two_calls = reconcile([line], [call("a"), call("b"), OLD], NOW)
    two_lines = reconcile([line, orphan("t", usage=Usage(10, 5))], [call(), OLD], NOW)

    assert not two_calls.settled + two_calls.voided
    assert [loose.listed.id for loose in two_calls.loose] == ["a", "b"]
    assert not two_lines.settled + two_lines.voided
    assert {line.step for line in two_lines.loose[0].perhaps} == {"s", "t"}


def test_an_orphan_that_is_surely_not_listed_is_struck():
    """The list reaches back beyond it, and holds nothing at its time that is not accounted for."""
    done = reconcile([orphan()], [OLD], NOW)

    assert [(line.kind, line.at) for line in done.voided] == [("void", NOW)]


def test_an_orphan_that_may_be_listed_is_left_alone():
    """An unexplained charge near it, one without a time, a list that ends too early, is empty or out of order."""
    strange = call(model="other", at=THEN + OVER - 1)

    for listed in ([strange, OLD], [call(at=None), OLD], [call("x", THEN - NEAR)], [], [OLD, call("x", NOW)]):
        done = reconcile([orphan()], listed, NOW)
        assert not done.voided
        assert done.waiting == (orphan(),)


def test_a_young_orphan_is_left_alone():
    """What was sent within the hour may still be charged."""
    young = orphan(at=NOW - OVER + 1)

    assert reconcile([young], [OLD], NOW).waiting == (young,)


def test_a_charge_that_is_not_final_settles_nothing():
    """Nor does one whose amount cannot be read; neither is the line struck."""
    for listed in (call(request_id="k:s:f", status="pending"), call(request_id="k:s:f", cost_micro=None)):
        done = reconcile([orphan()], [listed, OLD], NOW)

        assert done.waiting == (orphan(),)


def test_a_call_under_way_is_not_touched():
    """Whoever wrote its open line lives, and will end it."""
    done = reconcile([replace(orphan(), alive=True)], [OLD], NOW)

    assert not done.settled + done.voided + done.waiting


def test_an_orphan_whose_key_was_charged_in_another_line_is_struck():
    """The same question was sent again under the same key, and the provider named its one charge for it."""
    lines = [orphan("s1", idempotency="k"), settled("s2", idempotency="k")]
    failed = [lines[0], settled("s2", idempotency="k", cost=None, outcome="error")]

    assert [line.step for line in reconcile(lines, [], NOW).voided] == ["s1"]
    assert not reconcile(failed, [], NOW).voided


def test_charges_that_the_ledger_does_not_know_are_told():
    """Made elsewhere, or lost; not those from before the ledger began, nor those that cost nothing."""
    listed = [call("new"), call("free", cost_micro=0), call("mine", request_id="req-s"), OLD]
    done = reconcile([settled()], listed, NOW)

    assert [loose.listed.id for loose in done.loose] == ["new"]


def test_somebody_may_say_that_a_charge_was_a_lines():
    """Where one line alone waits near one strange charge of its model. It is offered, and never done unasked."""
    one = reconcile([orphan()], [call(request_id="req-9"), OLD], NOW)
    two_calls = reconcile([orphan()], [call("a"), call("b"), OLD], NOW)
    two_lines = reconcile([orphan("s"), orphan("t")], [call(), OLD], NOW)

    assert not one.settled
    assert [(line.kind, line.cost, line.request_id) for line in likely(one)] == [
        ("settle", Cost(50, "provider"), "req-9")
    ]
    assert not likely(two_calls) + likely(two_lines)


def test_other_costs_than_in_the_list_are_told_and_not_written():
    """Of a line whose price nobody knew, and of one that differs."""
    lines = [settled("a", cost=None), settled("b", cost=49), settled("c")]
    done = reconcile(lines, [call(id, request_id=f"req-{id}") for id in "abc"], NOW)

    assert [match.line.step for match in done.told] == ["a", "b"]
    assert not done.settled + done.voided


def test_a_line_that_was_struck_too_soon_is_settled_once():
    """The list names it with a charge; what it names without one stays struck."""
    struck = [replace(settled(step), kind="void", cost=FREE) for step in ("a", "b")]
    listed = [call("a", request_id="req-a"), call("b", request_id="req-b", cost_micro=0)]
    done = reconcile(struck, listed, NOW)

    assert [(line.kind, line.step) for line in done.settled] == [("settle", "a")]
    assert not reconcile([*struck, *done.settled], listed, NOW).settled


def test_a_line_that_was_a_replay_of_another_stays_struck():
    """Both have the request's id, and the charge is that of the one that has its end."""
    lines = [settled("a"), replace(settled("b"), kind="void", request_id="req-a", cost=FREE)]

    assert not reconcile(lines, [call(request_id="req-a")], NOW).settled


def test_an_estimated_line_may_be_what_a_charge_was_for():
    """The stream was left before its bill: the line has an end by estimate, and is named beside the charge."""
    line = replace(settled(), cost=Cost(40, "table", "v1", estimated=True), usage=Usage(9, 4, estimated=True))
    (loose,) = reconcile([replace(line, request_id="mine")], [call(request_id="req-9")], NOW).loose

    assert [line.step for line in loose.perhaps] == ["s"]


times = st.integers(0, 12).map(lambda step: THEN + step * 250.0)
figures = st.sampled_from([Usage(), Usage(10, 5), Usage(20, 5), Usage(10, 5, estimated=True)])
ids = st.sampled_from([None, "r1", "r2", "mine:s1:f", "mine:s2:f"])


@st.composite
def ledgers(draw: st.DrawFn) -> list[Entry]:
    """Lines of different steps, ended and not."""
    made = []
    for number in range(draw(st.integers(0, 5))):
        line = orphan(f"s{number}", draw(times), usage=draw(figures), idempotency=draw(st.sampled_from([None, "k"])))
        alive, kind = draw(st.sampled_from([(False, "open"), (True, "open"), (None, "settle"), (None, "void")]))
        cost = draw(st.sampled_from([Cost(None), Cost(50, "provider"), Cost(9, "table")])) if kind == "settle" else FREE
        id = draw(st.sampled_from([None, "r1", "r2", f"mine:s{number}:f"]))
        made.append(replace(line, kind=kind, alive=alive, cost=cost, request_id=id))
    return made


@st.composite
def lists(draw: st.DrawFn) -> list[Listed]:
    """A provider's list, newest first, that may name any of them."""
    made = [
        call(str(number), draw(times), draw(ids), output_tokens=draw(st.sampled_from([5, 6])))
        for number in range(draw(st.integers(0, 6)))
    ]
    return sorted([*made, OLD] if draw(st.booleans()) else made, key=lambda listed: -(listed.at or 0))


@given(lines=ledgers(), listed=lists())
def test_each_line_ends_once_and_each_charge_is_used_once(lines, listed):
    """No living line is ended, none twice, and no charge settles two; the second time neither."""
    done = reconcile(lines, listed, NOW)
    dead = {line.step for line in lines if line.orphan}
    ended = [line.step for line in (*done.settled, *done.voided)]
    after = [*(line for line in lines if line.step not in ended), *done.settled, *done.voided]
    again = reconcile(after, listed, NOW)

    assert set(ended) <= dead | {line.step for line in lines if line.kind == "void"}
    assert max(Counter(ended).values(), default=1) == 1
    assert 50 * len(done.settled + again.settled) <= sum(call.cost_micro or 0 for call in listed)
    assert {line.step for line in done.waiting} == dead - set(ended)
    assert not {line.step for line in done.settled} & {line.step for line in again.settled}


@given(lines=ledgers(), listed=lists())
def test_nothing_is_struck_that_could_be_in_the_list(lines, listed):
    """Unless its key was charged in another line, each charge near a struck one is another's, by its id."""
    keys = {line.idempotency for line in lines if line.cost.source == "provider"} - {None}
    names = {line.request_id for line in lines} - {None}
    ends = {line.request_id for line in lines if line.kind == "settle"}

    for line in reconcile(lines, listed, NOW).voided:
        if line.idempotency in keys:
            continue
        sent = next(before.at for before in lines if before.step == line.step)
        assert any(call.at < sent - NEAR for call in listed)
        near = [call for call in listed if sent - NEAR <= call.at <= sent + OVER]
        assert all(call.request_id in names or ":s" in (call.request_id or "") for call in near)
        named = [call for call in listed if call.request_id and call.request_id == line.request_id]
        assert all(call.request_id in ends for call in named)
        assert not any(f":{line.step}:" in (call.request_id or "") for call in listed)
