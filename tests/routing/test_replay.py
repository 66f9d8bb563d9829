"""The ledger's questions under another profile: sums that compare, nothing that nobody knows."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.models import Capabilities, ModelCard, Price, Usage
from osaurus_nb.routes import Profile, Requirements
from osaurus_nb.routing import requirements
from osaurus_nb.routing.replay import CAVEATS, _question, replay
from osaurus_nb.routing.requirements import Size
from osaurus_nb.spending import FREE, UNKNOWN, Cost, Entry

AT = 1_790_000_000.0
ABLE = Capabilities(tools=True, reasoning=True)
DEAR = ModelCard("dear", "lab", "cloud", 200_000, 32_000, ABLE, Price(Decimal(5), Decimal(20)))
CHEAP = ModelCard("cheap", "lab", "cloud", 100_000, 32_000, Capabilities(tools=False), Price(Decimal(1), Decimal(2)))
HOME = ModelCard("home-1b", "local", "process", 8_000, size_bytes=1_000_000_000)
CARDS = (HOME, DEAR, CHEAP)
USAGE = Usage(input_tokens=1_000, output_tokens=101)
ONLY_CHEAP = Profile("only-cheap", requirements=Requirements(allow_models=("lab/cheap",)))


def line(number: int = 1, **said: Any) -> Entry:
    """A settled question, answered by the dear model in three seconds for seven tenths of a cent."""
    plain = Entry(
        "settle",
        f"s{number}",
        1,
        AT + number,
        "lab",
        "dear",
        "lab/dear",
        usage=USAGE,
        cost=Cost(7_020, "list"),
        first_token_ms=1_000,
        duration_ms=3_000,
        outcome="rendered",
    )
    return replace(plain, **said)


def cheap(number: int, **said: Any) -> Entry:
    fast = {"model": "cheap", "cost": Cost(1_202, "list"), "first_token_ms": 500, "duration_ms": 1_500}
    return line(number, **{**fast, **said})


def test_another_profile_has_its_own_cost() -> None:
    """The same tokens at the other model's price; what nobody knows of its pace is not told."""
    found = replay([line(1), line(2)], CARDS, ONLY_CHEAP)

    assert [each.model for each in found.lines] == ["lab/cheap", "lab/cheap"]
    assert (found.was_micro, found.would_micro) == (14_040, 2_404)
    assert found.moved == 2
    assert not found.timed
    assert found.caveats == CAVEATS


def test_the_pace_is_what_the_ledger_saw() -> None:
    """Expected seconds are those of the other model's own lines: first token, then as many tokens as there were."""
    lines = [line(1), *(cheap(number) for number in range(2, 8))]

    found = replay(lines, CARDS, ONLY_CHEAP)

    assert found.moved == 1
    assert found.lines[0].seconds == pytest.approx(1.5)
    assert found.was_seconds == pytest.approx(12.0)
    assert found.would_seconds == pytest.approx(10.5)


def test_the_same_profile_changes_nothing() -> None:
    """Where the profile would have asked the same models, both sides are the same, cache and all."""
    cached = replace(USAGE, cache_read_input_tokens=50_000)
    profile = Profile("only-dear", requirements=Requirements(allow_models=("lab/dear",)))
    price = Price(Decimal(5), Decimal(20), cache_read=Decimal("0.5"))

    found = replay([line(1, usage=cached, cost=Cost(32_020, "list"))], [replace(DEAR, price=price)], profile)

    assert found.moved == 0
    assert found.would_micro == found.was_micro == 32_020
    assert found.would_seconds == found.was_seconds


def test_another_model_has_nothing_in_its_cache() -> None:
    """What was read from a cache is priced in full where it would have gone elsewhere, and said to be an estimate."""
    cached = Usage(input_tokens=1_000, cache_read_input_tokens=9_000, output_tokens=100)

    found = replay([line(1, usage=cached)], CARDS, ONLY_CHEAP)

    assert found.would_micro == 10_200
    assert found.lines[0].cost.estimated


def test_other_prices_for_the_same_models() -> None:
    """Without a profile each question stays with its model, and is priced anew where the list has it."""
    prices = {"lab/dear": Price(Decimal(10), Decimal(40))}

    found = replay([line(1), cheap(2)], CARDS, prices=prices)

    assert found.moved == 0
    assert found.was_micro == 8_222
    assert found.would_micro == 14_040 + 1_202


def test_home_costs_nothing_and_a_forwarder_is_not_home() -> None:
    """A local model is free; one that hands on to a cloud has a price that nobody knows."""
    at_home = Profile("here", mode="local-strict")
    only = Profile("cloud", requirements=Requirements(allow_models=("hut/*",)))
    forwarder = ModelCard("big:cloud", "hut", "loopback", 100_000)

    home = replay([line(1)], CARDS, at_home)
    handed = replay([line(1)], [forwarder], only)

    assert home.lines[0].model == "home-1b"
    assert home.would_micro == 0
    assert handed.lines[0].cost.micro is None
    assert not handed.priced


def test_sums_compare_only_what_is_known_on_both_sides() -> None:
    """A question without a price is in neither sum."""
    found = replay([line(1), line(2, cost=UNKNOWN)], CARDS, ONLY_CHEAP)

    assert len(found.lines) == 2
    assert len(found.priced) == 1
    assert (found.was_micro, found.would_micro) == (7_020, 1_202)


def test_a_question_that_nobody_could_answer_is_counted() -> None:
    """Too long for the only one who is allowed: that is told, and costs nothing."""
    long = replace(USAGE, input_tokens=150_000)

    found = replay([line(1, usage=long), line(2)], CARDS, ONLY_CHEAP)

    assert [each.model for each in found.lines] == [None, "lab/cheap"]
    assert found.unanswered == 1
    assert found.moved == 1


def test_called_tools_are_a_need() -> None:
    """Of the question's kind only this is known: where tools were called, a model that has none is not chosen."""
    found = replay([line(1, outcome="tool_only")], CARDS, ONLY_CHEAP)

    assert found.unanswered == 1


def test_a_question_is_all_of_its_attempts() -> None:
    """What a failed attempt took is part of what was paid and waited for; it is no question of its own."""
    failed = line(1, outcome="error", usage=Usage(), cost=Cost(10, "provider"), duration_ms=400)
    answered = line(1, attempt=2, kind="settle")

    found = replay([answered, failed], CARDS, ONLY_CHEAP)

    assert len(found.lines) == 1
    assert found.was_micro == 7_030
    assert found.lines[0].step.seconds == pytest.approx(3.4)
    assert found.skipped == 0


def test_what_was_not_answered_is_left_out() -> None:
    """Failures, cancellations and answers whose tokens nobody counted are skipped and counted; other kinds are not."""
    lines = [
        line(1, outcome="error"),
        line(2, outcome="cancelled"),
        line(3, usage=Usage()),
        line(4, kind="open"),
        line(5, kind="void"),
        line(6),
    ]

    found = replay(lines, CARDS, ONLY_CHEAP)

    assert len(found.lines) == 1
    assert found.skipped == 3


def test_an_empty_ledger_replays_to_nothing() -> None:
    """No line, no sum."""
    found = replay([], CARDS, ONLY_CHEAP)

    assert not found.lines
    assert (found.was_micro, found.would_micro, found.would_seconds) == (0, 0, 0)


def test_a_model_that_is_gone_keeps_its_cost() -> None:
    """At other prices for others, a question of a model that nobody lists any more counts as it did."""
    found = replay([line(1, model="gone")], CARDS, prices={"lab/cheap": Price(Decimal(1), Decimal(1))})

    assert found.would_micro == found.was_micro == 7_020


@pytest.mark.parametrize("tokens", [0, 1, 17, 1_000, 123_456])
def test_a_question_of_a_size_has_this_size(tokens: int) -> None:
    """The planner weighs a stand-in as it would have weighed the question."""
    size = requirements.size(_question(Size(tokens, 33), tools=False))

    assert abs(size.prompt - tokens) <= 4
    assert size.answer == 33


@given(
    st.lists(
        st.builds(
            line,
            st.integers(0, 20),
            usage=st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**4), st.integers(0, 10**5)),
            cost=st.sampled_from([FREE, UNKNOWN, Cost(5, "provider")]),
            outcome=st.sampled_from([None, "rendered", "tool_only", "error", "cancelled"]),
            kind=st.sampled_from(["settle", "open", "void"]),
            first_token_ms=st.none() | st.integers(0, 10**6),
            duration_ms=st.none() | st.integers(0, 10**6),
            attempt=st.integers(1, 3),
            model=st.sampled_from(["dear", "cheap", "gone"]),
        ),
        max_size=12,
    ),
    st.sampled_from([None, ONLY_CHEAP, Profile("auto"), Profile("here", mode="local-strict")]),
)
def test_every_line_is_replayed_or_skipped(lines: list[Entry], profile: Profile | None) -> None:
    """Whatever the ledger holds: nothing is lost, nothing is counted twice, and sums are of known figures."""
    settled = [each for each in lines if each.kind == "settle"]

    found = replay(lines, CARDS, profile)

    told = {each.step.id for each in found.lines}
    assert sum(each.step in told for each in settled) + found.skipped == len(settled)
    assert len(found.lines) == len(told)
    assert found.would_micro >= 0
    assert found.would_seconds >= 0
