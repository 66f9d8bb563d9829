"""`osaurus.map`: rows in, rows out, in order, with what went wrong as data."""

from __future__ import annotations

import _thread
import asyncio
import json
import stat
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from pydantic import BaseModel

import osaurus_nb as osaurus
from osaurus_nb.catalog.prices import listed
from osaurus_nb.client import Client
from osaurus_nb.config.billing import BillingFile
from osaurus_nb.config.paths import Paths
from osaurus_nb.dataframe import Estimate, Mapped, Progress
from osaurus_nb.dataframe.crew import Crew
from osaurus_nb.dataframe.progress import _Cell
from osaurus_nb.errors import (
    BadAnswer,
    BudgetExceeded,
    Cancelled,
    ConfigError,
    CredentialRejected,
    EmptyAnswer,
    ModelNotFound,
    RateLimited,
    RequestError,
    Unavailable,
)
from osaurus_nb.events import Finished, PartEnded, Started, TextDelta, UsageReported
from osaurus_nb.ledger.meter import LedgerMeter
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.models import ModelCard, Price, Usage
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says
from tests.dataframe.frames import Frame, Lazy, Series, Unindexed

#: A dollar for a million tokens of input, ten for a million of output.
PRICE = Price(Decimal(1), Decimal(10))


class Label(BaseModel):
    label: str
    score: int


class Echo(ScriptedAdapter):
    """Answers each question with a function of its text, after `pause` seconds; counts how many are under way."""

    def __init__(self, answer=lambda text: text, *, pause: float = 0.0, price: Price | None = None) -> None:
        super().__init__({"m": [says("never")]})
        self.answer, self.pause, self.price = answer, pause, price
        self.running = self.most = 0

    async def models(self) -> Sequence[ModelCard]:
        return [replace(card, price=self.price) for card in await super().models()]

    def tariff(self, card):
        return listed(self.price) if self.price is not None else None

    async def stream(self, request, card, attempt) -> AsyncIterator:
        self.requests.append(request)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield Started("scripted", "m")
            await asyncio.sleep(self.pause)
            said = self.answer(request.messages[-1].text)
            if isinstance(said, Exception):
                raise said
            yield TextDelta(said)
            yield PartEnded()
            yield UsageReported(Usage(input_tokens=5, output_tokens=10))
            yield Finished("stop")
        finally:
            self.running -= 1

    @property
    def asked(self) -> list[str]:
        return [request.messages[-1].text for request in self.requests]


def asking(adapter: ScriptedAdapter, **more) -> Client:
    return Client(model="scripted/m", backend=Runtime([adapter], **more))


def ask(adapter: ScriptedAdapter, data, prompt="{text}", **options) -> Mapped:
    return osaurus.map(data, prompt, client=asking(adapter), progress=options.pop("progress", False), **options)


def test_rows_come_back_in_their_order() -> None:
    """However long each takes, the result has the order of the data."""
    adapter = Echo(pause=0.001)

    mapped = ask(adapter, [f"row {at}" for at in range(50)], "Say: {text}", concurrency=7)

    assert mapped.values == [f"Say: row {at}" for at in range(50)]
    assert (adapter.most, mapped.errors, mapped.stopped) == (7, {}, False)


def test_a_frame_is_read_by_its_columns_and_its_index_comes_back() -> None:
    """Each row's columns are in its question; the result is a frame of the same kind under the same index."""
    frame = Frame({"title": ["A", "B"], "text": ["x", "y"], "unused": [1, 2]}, index=["p", "q"])

    mapped = ask(Echo(), frame, "{title}: {text}")
    back = mapped.to_frame()

    assert mapped.values == ["A: x", "B: y"]
    assert isinstance(back, Frame)
    assert back.index == ["p", "q"]
    assert back.columns == ["value", "error", "cost", "input_tokens", "output_tokens", "model"]
    assert back["input_tokens"].cells == [5, 5]


def test_a_frame_without_an_index_and_a_series_are_data_too() -> None:
    """What has no index gets none; a series' result is a frame under its index."""
    plain = ask(Echo(), Unindexed({"text": ["x"]})).to_frame()
    series = ask(Echo(), Series(["x", "y"], index=[7, 9])).to_frame()

    assert isinstance(plain, Unindexed)
    assert (series.index, series["value"].cells) == ([7, 9], ["x", "y"])


def test_a_row_is_put_in_as_it_is_and_other_braces_stay() -> None:
    """What a row holds is no template, and JSON in the prompt is left alone."""
    mapped = ask(Echo(), ["{secret} {0}"], 'As {"a": 1} or {{text}}: {text}')

    assert mapped.values == ['As {"a": 1} or {text}: {secret} {0}']


def test_a_function_may_make_the_question() -> None:
    """It gets the row, of a frame as a mapping of all its columns."""
    mapped = ask(Echo(), Frame({"a": [1, 2], "b": [3, 4]}), lambda row: f"{row['a'] + row['b']}")

    assert mapped.values == ["4", "6"]


@pytest.mark.parametrize("gone", [None, float("nan")])
def test_a_row_without_a_value_is_never_sent(gone: object) -> None:
    """A missing value is that row's error; `nan` is no text to ask about."""
    adapter = Echo()

    mapped = ask(adapter, ["a", gone, "c"])

    assert adapter.asked == ["a", "c"]
    assert isinstance(mapped[1].error, RequestError)


@pytest.mark.parametrize(
    ("data", "prompt", "said"),
    [
        (Frame({"text": ["x"]}), "{titel}", "There is no column 'titel'"),
        (["x"], "Classify.", "no place for a row"),
        (["x"], "{a} {b}", "one place"),
        ("one text", "{text}", "Give a list"),
        (Lazy(), "{text}", "collect"),
    ],
)
def test_what_is_no_map_is_refused_before_anything_is_sent(data, prompt: str, said: str) -> None:
    """A prompt that names what no row has, or data without rows, is told at once."""
    adapter = Echo()

    with pytest.raises(RequestError, match=said):
        ask(adapter, data, prompt)

    assert adapter.asked == []


def test_errors_are_data() -> None:
    """A row that fails has its error; the others have their values."""
    adapter = Echo(lambda text: Unavailable("Down.", provider="scripted") if text == "b" else text)

    mapped = ask(adapter, ["a", "b", "c"])

    assert mapped.values == ["a", None, "c"]
    assert list(mapped.errors) == [1]


def test_an_answer_without_a_word_is_an_error() -> None:
    """Nothing to read is not taken for a value."""
    assert isinstance(ask(Echo(lambda _: " "), ["a"])[0].error, EmptyAnswer)


def test_what_every_row_would_hear_is_asked_once() -> None:
    """A rejected key ends the map: the remaining rows get that error and are not sent."""
    adapter = Echo(lambda _: CredentialRejected("No.", provider="scripted"))

    mapped = ask(adapter, ["x"] * 100, concurrency=2)

    assert len(adapter.asked) <= 4
    assert len(mapped.errors) == 100
    assert all(isinstance(error, CredentialRejected) for error in mapped.errors.values())


def test_a_model_that_is_none_is_told_before_anything_is_sent() -> None:
    """A wrong name is one error, not ten thousand."""
    with pytest.raises(ModelNotFound):
        ask(Echo(), ["x"], model="scripted-nothing")


def test_a_schema_gives_instances_and_columns() -> None:
    """With a pydantic model values are instances of it; in a frame each field is a column."""
    adapter = Echo(lambda _: '```json\n{"label": "spam", "score": 3}\n```')

    mapped = ask(adapter, Frame({"text": ["a"]}), schema=Label)

    assert mapped.values == [Label(label="spam", score=3)]
    assert mapped.to_frame()["label"].cells == ["spam"]
    shape = adapter.requests[0].response_format
    assert (shape.kind, shape.strict, shape.schema["additionalProperties"]) == ("json_schema", True, False)


def test_a_json_schema_gives_dicts() -> None:
    """A schema as a dict is checked, and the values are plain."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    adapter = Echo(lambda text: '{"n": 1}' if text == "good" else '{"n": "no"}')

    mapped = ask(adapter, ["good", "bad"], schema=schema)

    assert mapped[0].value == {"n": 1}
    assert isinstance(mapped[1].error, BadAnswer)


def test_an_answer_of_the_wrong_shape_is_mended_once() -> None:
    """The model is told what was wrong, once; both answers are paid for, and no word of them is in an error."""
    adapter = Echo(lambda text: '{"label": "x", "score": 1}' if "schema" in text else '{"label": "hidden words"}')
    stubborn = Echo(lambda _: '{"label": "hidden words"}')

    mended = ask(adapter, ["a"], schema=Label)
    failed = ask(stubborn, ["a"], schema=Label)

    assert mended.values == [Label(label="x", score=1)]
    assert mended[0].usage == Usage(10, 20)
    assert len(stubborn.asked) == 2
    assert isinstance(failed[0].error, BadAnswer)
    assert "hidden" not in str(failed[0].error)


def test_a_dry_run_tells_the_price_and_sends_nothing() -> None:
    """The least is the prompts alone, the most an answer of full length for each."""
    adapter = Echo(price=PRICE)

    told = ask(adapter, ["x" * 400] * 10, dry_run=True, max_tokens=100)

    assert isinstance(told, Estimate)
    assert adapter.asked == []
    assert (told.input_tokens, told.low_micro, told.high_micro) == (1040, 1040, 1040 + 10 * 100 * 10)
    assert "$0.0010 to $0.01" in str(told)


def test_the_price_is_shown_before_anything_is_sent() -> None:
    """The first that is told has the estimate, and nothing was asked then."""
    adapter = Echo(price=PRICE, pause=0.3)
    told: list[tuple[int, Progress]] = []

    ask(adapter, ["a", "b"], progress=lambda state: told.append((len(adapter.asked), state)))

    sent, first = told[0]
    assert (sent, first.done, first.total) == (0, 0, 2)
    assert "rows to scripted/m" in first.estimate
    assert told[-1][1].ended
    assert told[-1][1].done == 2


def test_an_unknown_price_is_said() -> None:
    """Nobody's guess is shown as a price."""
    assert "price not known" in str(ask(Echo(), ["a"], dry_run=True))


@pytest.fixture
def paid(tmp_path):
    """A priced model, and a client whose ledger keeps caps."""
    adapter = Echo(price=PRICE, pause=0.002)
    paths = Paths(tmp_path / "home")
    meter = LedgerMeter(LedgerStore(paths, None), BillingFile(paths))
    return adapter, asking(adapter, ledger=meter)


def test_a_cap_holds_however_many_are_under_way(paid) -> None:
    """What is spent never passes the cap; what is done is kept, the rest say that there was no money for them."""
    adapter, client = paid  # each row costs 5 + 10 * 10 = 105 millionths, and 110 are set aside

    mapped = osaurus.map(["x"] * 100, "{text}", client=client, progress=False, max_cost="$0.005", max_tokens=10)

    refused = [error for error in mapped.errors.values() if isinstance(error, BudgetExceeded)]
    done = len(mapped) - len(refused)
    assert mapped.cost.micro == done * 105 <= 5_000
    assert 45 <= done <= 47
    assert len(adapter.asked) == done


def test_a_cap_with_little_room_makes_fewer_at_once_of_it(paid) -> None:
    """Money that is only set aside comes back: rows wait for it and are not lost."""
    _, client = paid  # 1,000 tokens set aside for each answer: one cent a row, of three

    mapped = osaurus.map(["x"] * 20, "{text}", client=client, progress=False, max_cost="$0.03", max_tokens=1000)

    assert mapped.errors == {}
    assert mapped.cost.micro == 20 * 105


def test_a_block_budget_counts_the_map(paid) -> None:
    """`with osaurus.budget(...)` around a map holds for it and knows what it spent."""
    _, client = paid

    with osaurus.budget("$1") as budget:
        osaurus.map(["a", "b"], "{text}", client=client, progress=False, max_tokens=10)

    assert budget.spent == Decimal("0.00021")


def test_too_many_at_once_halves_them_and_nothing_is_lost() -> None:
    """Where a provider says 429, fewer are under way, and each row is answered in the end."""
    adapter = Echo(pause=0.001)
    limited = iter([RateLimited("Slow.", provider="scripted", retry_after=0.01)] * 8)
    adapter.answer = lambda text: next(limited, text)

    mapped = ask(adapter, [f"{at}" for at in range(40)], concurrency=8)

    assert mapped.errors == {}
    assert mapped.values == [f"{at}" for at in range(40)]


@pytest.mark.anyio
async def test_a_crew_halves_once_and_grows_again() -> None:
    """One halving for all that were under way, then slowly more again, up to all."""
    now = [100.0]
    crew = Crew(8, lambda: now[0])
    entered = [await crew.enter() for _ in range(8)]
    now[0] += 1

    for moment in entered:
        crew.slow(moment, 0.0)
        crew.leave()
    halved = crew.allowed
    for _ in range(100):
        await crew.enter()
        crew.went_well()
        crew.leave()

    assert (halved, crew.allowed) == (4, 8)


@pytest.mark.anyio
async def test_nobody_is_sent_before_the_time_that_a_provider_names() -> None:
    """Retry-After holds for every row, not only for the one that was told."""
    crew = Crew(2, time.monotonic)
    began = await crew.enter()
    crew.slow(began, 0.1)
    crew.leave()

    entered = await crew.enter()

    assert entered - began >= 0.1


def test_what_nobody_knows_is_not_shown_as_nothing() -> None:
    """Where no price is known, progress says so and shows no $0.00."""
    told: list[Progress] = []

    ask(Echo(), ["a"], progress=told.append)

    assert "cost not known" in str(told[-1])


def test_an_interrupt_keeps_what_is_done() -> None:
    """Ctrl-C ends the map at once, closes what is under way, and the result has what came before."""
    started = threading.Event()

    class Slow(Echo):
        async def stream(self, request, card, attempt):
            if request.messages[-1].text == "slow":
                self.pause = 30
                started.set()
            async for event in super().stream(request, card, attempt):
                yield event

    adapter = Slow()
    stopper = threading.Thread(target=lambda: (started.wait(5), time.sleep(0.1), _thread.interrupt_main()))
    stopper.start()

    mapped = ask(adapter, ["a", "b", "slow", "never"], concurrency=1)
    stopper.join()

    assert mapped.stopped
    assert mapped.values == ["a", "b", None, None]
    assert isinstance(mapped[3].error, Cancelled)
    assert adapter.running == 0


def test_nobody_pays_twice_for_a_row(tmp_path) -> None:
    """Rows that are in the file are not asked again, those that failed are; another model or prompt is another row."""
    file = tmp_path / "answers.jsonl"
    first = Echo(lambda text: Unavailable("Down.", provider="scripted") if text == "b" else text)
    second = Echo()
    third = Echo()

    ask(first, ["a", "b", "c"], resume=file)
    mapped = ask(second, ["a", "b", "c"], resume=file)
    ask(third, ["a"], "Other: {text}", resume=file)

    assert second.asked == ["b"]
    assert mapped.values == ["a", "b", "c"]
    assert [row.kept for row in mapped] == [True, False, True]
    assert third.asked == ["Other: a"]


def test_a_torn_line_costs_one_row(tmp_path) -> None:
    """What a crash left half-written is asked again; all before it is known."""
    file = tmp_path / "answers.jsonl"
    ask(Echo(), ["a", "b"], resume=file, concurrency=1)
    file.write_bytes(file.read_bytes()[:-20])
    adapter = Echo()

    mapped = ask(adapter, ["a", "b"], resume=file)
    again = Echo()
    ask(again, ["a", "b"], resume=file)

    assert adapter.asked == ["b"]
    assert mapped.values == ["a", "b"]
    assert again.asked == []


def test_the_file_is_for_its_user_alone_and_holds_no_question(tmp_path) -> None:
    """Answers are in it because that was asked for; questions are there as digests only; nobody else may read it."""
    file = tmp_path / "answers.jsonl"

    ask(Echo(lambda _: "an answer"), ["a private question"], resume=file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "private question" not in file.read_text()
    assert json.loads(file.read_text().splitlines()[1])["text"] == "an answer"


def test_another_file_is_left_alone(tmp_path) -> None:
    """A file that is no map's is refused, and not a byte of it changes."""
    file = tmp_path / "notes.txt"
    file.write_text("my notes\n")

    with pytest.raises(ConfigError, match="no file of a map"):
        ask(Echo(), ["a"], resume=file)

    assert file.read_text() == "my notes\n"


def test_two_rows_with_one_question_have_an_answer_each(tmp_path) -> None:
    """The same question twice is asked twice, and both are known again."""
    file = tmp_path / "answers.jsonl"
    ask(Echo(), ["a", "a"], resume=file)
    adapter = Echo()

    ask(adapter, ["a", "a", "a"], resume=file)

    assert adapter.asked == ["a"]


def test_an_answer_is_shown_by_nobody() -> None:
    """What shows a result has figures and errors, never a value."""
    mapped = ask(Echo(), ["hidden words"])

    assert "hidden" not in repr(mapped) + repr(mapped[0]) + str(mapped._repr_mimebundle_())


def test_a_cell_shows_one_line_that_is_replaced() -> None:
    """Progress has one output of the cell, with the price range in it from the first."""
    shown: list[dict] = []
    cell = _Cell(lambda **said: shown.append(said))

    ask(Echo(pause=0.3, price=PRICE), ["a", "b"], progress=cell)

    assert [each["update"] for each in shown] == [False, *[True] * (len(shown) - 1)]
    assert len({each["transient"]["display_id"] for each in shown}) == 1
    assert all("rows to scripted/m" in each["data"]["text/html"] for each in shown)
    assert "2 of 2 rows" in shown[-1]["data"]["text/plain"]
