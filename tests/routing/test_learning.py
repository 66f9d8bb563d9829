"""What is learned of models: it grows old, it stays within bounds, and one kind of work does not speak for another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.messages import ToolCall, assistant, tool_result, user
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.request import ChatRequest, Tool
from osaurus_nb.routing import learning
from osaurus_nb.routing.learning import HALF_LIFE, Learning, in_tool_turn
from osaurus_nb.spending import Entry

CARD, OTHER = ModelCard("m", "lab"), ModelCard("n", "lab")
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = START.timestamp()


class Wall:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def days(self, number: float) -> None:
        self.time += timedelta(days=number)


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def learned(wall: Wall) -> Learning:
    return Learning(wall, secret=b"s" * 16)


def calls(learned: Learning, number: int, *, ok: bool = True, first: float = 0.5, speed: float = 50.0) -> None:
    for _ in range(number):
        learned.note(CARD, "code", ok, first, speed)


def settled(outcome: str = "rendered", *, at: float = AT, first: int | None = 500) -> Entry:
    usage = Usage(input_tokens=100, output_tokens=101)
    return Entry(
        "settle",
        "s",
        1,
        at,
        "lab",
        "m",
        "lab/m",
        usage=usage,
        first_token_ms=first,
        duration_ms=2500,
        outcome=outcome,  # type: ignore[arg-type] - parametrised
    )


def test_nothing_is_said_before_a_little_is_known(learned: Learning) -> None:
    """Two calls are chance: neither praise nor blame comes of them."""
    calls(learned, 2, ok=False)

    assert learned.record(CARD, "code") is None
    assert learned.record(OTHER, "code") is None


def test_what_was_measured_is_told(learned: Learning) -> None:
    """After some calls the record has their success, their first token and their speed."""
    calls(learned, 10, first=0.25, speed=80.0)

    found = learned.record(CARD, "code")

    assert found is not None
    assert found.success > 0.95
    assert found.first_token == pytest.approx(0.25)
    assert found.speed == pytest.approx(80.0)
    assert found.calls == pytest.approx(10)


def test_failures_grow_old_and_a_model_recovers(learned: Learning, wall: Wall) -> None:
    """A bad day is forgotten: first what works outweighs it, and in a week nothing is held against the model."""
    calls(learned, 20, ok=False)
    worst = learned.record(CARD, "code")
    wall.days(2)
    calls(learned, 10)
    better = learned.record(CARD, "code")
    wall.days(7)
    later = learned.record(CARD, "code")

    assert worst is not None
    assert better is not None
    assert worst.success < 0.15
    assert better.success > 0.6
    assert later is None


def test_a_half_life_halves_what_a_call_counts(learned: Learning, wall: Wall) -> None:
    """What was seen a day ago has half the weight of what is seen now."""
    calls(learned, 16)
    wall.days(HALF_LIFE / 86_400)

    found = learned.record(CARD, "code")

    assert found is not None
    assert found.calls == pytest.approx(8)


def test_other_work_speaks_a_little_for_this_one(learned: Learning) -> None:
    """A model that fails at code is doubted for prose, but by far not as much."""
    calls(learned, 20, ok=False)
    for _ in range(20):
        learned.note(CARD, "creative", True)

    code, prose = learned.record(CARD, "code"), learned.record(CARD, "creative")

    assert code is not None
    assert prose is not None
    assert code.success < 0.2
    assert prose.success > 0.85


def test_one_very_slow_call_does_not_outweigh_ten_usual_ones(learned: Learning) -> None:
    """Times are averaged by their size: an outlier moves them little."""
    calls(learned, 10, first=0.5)
    learned.note(CARD, "code", True, 60.0, None)

    found = learned.record(CARD, "code")

    assert found is not None
    assert found.first_token is not None
    assert found.first_token < 0.8


def test_a_failed_call_says_nothing_of_speed(learned: Learning) -> None:
    """How fast somebody refuses is no merit."""
    calls(learned, 5, ok=False, first=0.001)

    found = learned.record(CARD, "code")

    assert found is not None
    assert found.first_token is None
    assert found.speed is None


def test_a_clock_that_was_put_back_makes_nothing_younger(learned: Learning, wall: Wall) -> None:
    """Time that runs backwards neither raises nor gives weight."""
    calls(learned, 5)
    wall.days(-3)
    calls(learned, 5)

    found = learned.record(CARD, "code")

    assert found is not None
    assert found.calls <= 10


def test_only_so_many_models_are_remembered(learned: Learning, wall: Wall) -> None:
    """A provider with endless names cannot fill the memory; who was heard of last is kept."""
    for number in range(learning.MOST + 50):
        for _ in range(3):
            learned.note(ModelCard(str(number), "lab"), "chat", True)

    assert learned.record(ModelCard("0", "lab"), "chat") is None
    assert learned.record(ModelCard(str(learning.MOST + 49), "lab"), "chat") is not None


def test_votes_are_a_small_bounded_word(learned: Learning, wall: Wall) -> None:
    """However often somebody votes it stays below 1; a single vote says little, and all of them fade."""
    learned.vote(CARD, "code", +1)
    one = learned.record(CARD, "code")
    for _ in range(1000):
        learned.vote(CARD, "code", +1)
        learned.vote(OTHER, "code", -5)
    many, against = learned.record(CARD, "code"), learned.record(OTHER, "code")
    wall.days(365)

    assert one is not None
    assert many is not None
    assert against is not None
    assert 0 < one.liked < 0.3 < many.liked < 1
    assert -1 < against.liked < -0.3
    assert learned.record(CARD, "code").liked < 0.01  # type: ignore[union-attr] - it has votes


def test_what_is_forgotten_is_unknown(learned: Learning) -> None:
    """One model can be forgotten, or all."""
    calls(learned, 5)
    learned.note(OTHER, "chat", True)
    learned.forget(CARD)

    assert learned.record(CARD, "code") is None
    learned.forget()
    assert learned.record(OTHER, "chat") is None


def test_the_ledger_seeds_what_is_known(learned: Learning) -> None:
    """Settled lines count as calls of the time at which they were made; cancelled ones and other kinds do not."""
    lines = [settled() for _ in range(6)]
    lines += [settled("cancelled"), settled("reasoning_only"), Entry("open", "s", 1, AT, "lab", "m", "lab/m")]

    number = learned.seed(lines)
    found = learned.record(CARD, "chat")

    assert number == 6
    assert found is not None
    assert found.calls == pytest.approx(6)
    assert found.first_token == pytest.approx(0.5)
    assert found.speed == pytest.approx(50.0)


def test_old_lines_seed_little(learned: Learning) -> None:
    """What the ledger remembers from last week is no news."""
    learned.seed([settled("error", at=AT - 7 * HALF_LIFE) for _ in range(20)])

    assert learned.record(CARD, "chat") is None


def test_news_may_come_in_any_order(wall: Wall) -> None:
    """The same calls in another order teach the same."""
    news = [(True, 0.1, AT - 3 * HALF_LIFE), (False, None, AT - HALF_LIFE), (True, 2.0, AT), (True, 0.4, AT - 60)]
    found = []
    for order in permutations(news):
        learned = Learning(wall)
        for ok, first, at in (*order, *order):
            learned.note(CARD, "chat", ok, first, None, at)
        found.append(learned.record(CARD, "chat"))

    assert all(each is not None for each in found)
    assert len({round(each.success, 9) for each in found if each is not None}) == 1
    assert len({round(each.first_token or 0, 9) for each in found if each is not None}) == 1


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.none() | st.floats(),
            st.none() | st.floats(),
            st.floats(-1e9, 1e10),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_no_news_breaks_the_record(news: list[tuple[bool, float | None, float | None, float]]) -> None:
    """Whatever was measured, success stays within 0 and 1 and times are numbers."""
    learned = Learning(Wall())

    for ok, first, speed, at in news:
        learned.note(CARD, "code", ok, first, speed, at)
    found = learned.record(CARD, "code")

    if found is not None:
        assert 0 <= found.success <= 1
        assert found.first_token is None or 0 < found.first_token < float("inf")
        assert found.speed is None or 0 < found.speed < float("inf")


def test_at_most_one_question_in_twenty_explores(wall: Wall) -> None:
    """However much is asked for, no more than five in a hundred are used to find something out."""
    learned = Learning(wall, explore=0.9, secret=b"s" * 16)

    drawn = [learned.explores(str(number)) for number in range(20_000)]
    chosen = [each for each in drawn if each is not None]

    assert 0.04 < len(chosen) / len(drawn) < 0.06
    assert all(0 <= each < 1 for each in chosen)
    assert min(chosen) < 0.05
    assert max(chosen) > 0.95


def test_the_same_question_explores_or_does_not(learned: Learning) -> None:
    """A repeat of the same step is no second draw; another process draws by itself."""
    keys = [str(number) for number in range(500)]

    first = [learned.explores(key) for key in keys]

    assert first == [learned.explores(key) for key in keys]
    assert first != [Learning(secret=b"t" * 16).explores(key) for key in keys]


def test_exploring_can_be_switched_off() -> None:
    """With a share of 0 nobody is asked only to find something out."""
    learned = Learning(explore=0.0)

    assert all(learned.explores(str(number)) is None for number in range(1000))


def test_a_tool_turn_is_seen() -> None:
    """Offered tools, a call and a result each make one; plain talk does not."""
    call = ToolCall("1", "f", "{}")
    plain = ChatRequest("osaurus/auto", (user("hello"),))

    assert not in_tool_turn(plain)
    assert in_tool_turn(ChatRequest("osaurus/auto", (user("hello"),), tools=(Tool("f"),)))
    assert in_tool_turn(ChatRequest("osaurus/auto", (user("hello"), assistant(call), tool_result(call, "ok"))))
