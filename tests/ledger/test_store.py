"""The ledger's store: what it writes, how it counts, what it lets go of."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from dataclasses import replace
from datetime import datetime

import pytest

from osaurus_nb import database
from osaurus_nb.errors import LedgerUnreadable
from osaurus_nb.ledger.chain import broken_at
from osaurus_nb.ledger.reading import totals
from osaurus_nb.ledger.store import Retention
from osaurus_nb.models import ROUTER, Usage
from osaurus_nb.spending import Cap, Origin, Overrun, Query
from tests.ledger.lines import NOON, opened, settled, voided

pytestmark = pytest.mark.anyio
ALL = Query(limit=100_000)


async def test_nothing_is_opened_before_something_is_written(ledger, home):
    """Looking at a ledger that is not there makes neither a file nor a key."""
    found = (await ledger.entries(), await ledger.totals("cell"), await ledger.spent(["day:x"]), await ledger.void("s"))
    status = await ledger.status()

    assert found == ([], [], [(0, 0)], 0)
    assert (status.state, status.rows) == ("encrypted", 0)
    assert not home.exists()


async def test_a_line_comes_back_as_it_was_written(ledger, process):
    """Every column is there again, in this process and in another."""
    line = settled(
        origin=Origin("session", "notes/a b.ipynb", "cell", "run", "key"),
        request_id="r",
        idempotency="i",
        answered="gpt-5-2026",
        dialect="openai-chat",
        usage=Usage(1, 2, 3, 4, 5, estimated=True, absurd=True),
        first_token_ms=7,
        finish_reason="stop",
        profile="balanced",
        fallbacks=1,
        energy_j=0.25,
    )
    ledger.add(line)

    [found] = await ledger.entries()
    [again] = await process().entries()

    assert replace(found, seq=0, chain="") == line
    assert again == found
    assert found.seq == 1


async def test_the_file_is_encrypted_and_private(ledger, home):
    """Nobody else may read it, and who does all the same sees no name in it."""
    await ledger.open(opened(model="gpt-canary"))
    ledger.add(settled(model="gpt-canary"))
    await ledger.flush()

    files = [file for file in (home / "billing").iterdir() if file.is_file()]

    assert {file.name for file in files} >= {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((home / "billing").stat().st_mode) == 0o700
    assert not any(
        word in file.read_bytes() for file in files for word in (b"gpt-canary", b"SQLite format", b"entries")
    )


async def test_only_names_and_ids_are_written(ledger, home, slots):
    """A sentence that somebody sent as an id is nowhere in the decrypted file."""
    canary = "the canary sings:\nkwyjibo"
    columns = ("step", "provider", "model", "asked", "request_id", "idempotency", "answered", "dialect")
    line = settled(**dict.fromkeys((*columns, "finish_reason", "profile"), canary), origin=Origin(*[canary] * 5))
    await ledger.open(replace(line, kind="open"), {f"budget:{canary}": 100})
    ledger.add(replace(line, provider=ROUTER))
    await ledger.aclose()

    connection = database.connect(home / "billing/ledger.sqlite", slots.key("ledger").hex())
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    dump = repr([connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables])
    connection.close()

    assert "sha256:" in dump
    assert "kwyjibo" not in dump
    assert "canary" not in dump


async def test_an_open_line_waits_for_its_end(ledger):
    """It is under way while its writer lives, and gone from the list when it is settled."""
    await ledger.open(opened())
    [under_way] = await ledger.entries()
    ledger.add(settled())
    [ended] = await ledger.entries()

    assert (under_way.kind, under_way.alive, under_way.orphan) == ("open", True, False)
    assert (ended.kind, ended.alive) == ("settle", None)


async def test_a_step_that_paid_twice_shows_both(ledger):
    """One candidate failed after it was paid, another answered: two lines, one sum."""
    for attempt, outcome in ((1, "error"), (2, "rendered")):
        await ledger.open(opened(attempt=attempt))
        ledger.add(settled(attempt=attempt, outcome=outcome, idempotency=f"k{attempt}"))

    lines = await ledger.entries(Query(step="s1"))
    [total] = await ledger.totals("cell")

    assert [line.outcome for line in lines] == ["rendered", "error"]
    assert (total.key, total.calls, total.cost_micro, total.seconds) == ("c1", 2, 60, 3.0)
    assert total.usage == Usage(1800, 500)


async def test_an_attempt_ends_once(ledger):
    """A second settle of the same attempt changes nothing, whoever sends it."""
    await ledger.open(opened(), {"day:x": 100})
    ledger.add(settled(micro=30))
    ledger.add(settled(micro=40))

    assert [line.cost.micro for line in await ledger.entries()] == [30]
    assert await ledger.spent(["day:x"]) == [(30, 0)]


async def test_one_charge_for_each_key_of_the_provider(ledger):
    """The same request sent again was charged once: its second attempt ends as one that never happened."""
    for attempt in (1, 2):
        await ledger.open(opened(attempt=attempt, idempotency="same"), {"day:x": 1000})
        ledger.add(settled(attempt=attempt, idempotency="same"))

    lines = await ledger.entries()

    assert [(line.kind, line.attempt) for line in lines] == [("void", 2), ("settle", 1)]
    assert await ledger.spent(["day:x"]) == [(30, 0)]


async def test_a_failure_that_cost_nothing_leaves_its_key_to_the_retry(ledger):
    """Or the charge of the retry under the same key would be lost."""
    ledger.add(settled(attempt=1, idempotency="same", outcome="error", micro=None))
    ledger.add(settled(attempt=2, idempotency="same", micro=30))

    [total] = await ledger.totals("cell")

    assert (total.calls, total.cost_micro, total.unpriced) == (2, 30, 1)


async def test_a_cap_refuses_before_anything_is_written(ledger):
    """What is settled and what is reserved count; the refusal says what was needed."""
    assert await ledger.open(opened("s1"), {"day:x": 100, "key:k": None}) is None
    ledger.add(settled("s1", micro=30))
    assert await ledger.open(opened("s2"), {"day:x": 100}) is None

    over = await ledger.open(opened("s3"), {"key:k": 1000, "day:x": 100})

    assert over == Overrun(Cap("day:x", 100), 30, 50, 50)
    assert await ledger.spent(["day:x", "key:k", "other"]) == [(30, 50), (30, 0), (0, 0)]
    assert await ledger.entries(Query(step="s3")) == []


async def test_who_stops_waiting_leaves_nothing_set_aside(ledger):
    """A question that is cancelled before its line is written is not sent: its line is struck, no other one's is."""
    await ledger.open(opened("s1", 2), {"day:x": 100})
    waiting = asyncio.ensure_future(ledger.open(opened("s1", 1), {"day:x": 100}))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    await ledger.flush()

    assert await ledger.spent(["day:x"]) == [(0, 50)]
    assert [(line.attempt, line.kind) for line in await ledger.entries()] == [(1, "void"), (2, "open")]


async def test_what_nobody_knows_the_cost_of_counts_as_its_reserve(ledger):
    """A cap must not be passed because a provider told no figures."""
    await ledger.open(opened(reserved_micro=50), {"day:x": 100})
    ledger.add(settled(micro=None))

    assert await ledger.spent(["day:x"]) == [(50, 0)]


async def test_a_void_gives_its_reserve_back(ledger):
    """It never was charged; should its settle come after all, that counts."""
    await ledger.open(opened("s1"), {"day:x": 100})
    await ledger.open(opened("s2"), {"day:x": 100})
    ledger.add(voided("s1"))
    struck = await ledger.void("s2"), await ledger.void("s2"), await ledger.void("other")

    given_back = await ledger.spent(["day:x"])
    ledger.add(settled("s2", micro=20))

    assert struck == (1, 0, 0)
    assert given_back == [(0, 0)]
    assert await ledger.spent(["day:x"]) == [(20, 0)]
    assert [total.calls for total in await ledger.totals("cell")] == [1]


@pytest.mark.parametrize("count", [50])
async def test_many_at_once_stay_under_one_cap(process, count):
    """Fifty at the same time, of two stores: never more than fits."""
    stores = [process(), process()]

    answers = await asyncio.gather(
        *(stores[number % 2].open(opened(f"s{number}"), {"day:x": 1_020}) for number in range(count))
    )

    assert answers.count(None) == 20
    assert await stores[0].spent(["day:x"]) == [(0, 1_000)]


async def test_lines_are_found_by_what_they_are(ledger):
    """By step, origin, provider, model, outcome and time; newest first, page by page."""
    for number in range(10):
        origin = Origin("s", "n", f"c{number % 2}", "r", "k")
        ledger.add(settled(f"s{number}", at=NOON + number, origin=origin, model=f"m{number % 5}"))

    pages = [await ledger.entries(Query(cell="c1", limit=3)), await ledger.entries(Query(cell="c1", limit=3, before=6))]

    assert [[line.step for line in page] for page in pages] == [["s9", "s7", "s5"], ["s3", "s1"]]
    assert [line.seq for line in await ledger.entries(Query(model="m2"))] == [8, 3]
    assert [line.seq for line in await ledger.entries(Query(since=NOON + 7, until=NOON + 9))] == [9, 8]
    assert (
        len(await ledger.entries(Query(session="s", notebook="n", key="k", provider="openai", outcome="rendered")))
        == 10
    )
    assert await ledger.entries(Query(outcome="error")) == []


async def test_sums_come_by_size_and_days_by_age(ledger):
    """The largest cost first; days newest first, as they are here; nothing known is an empty key."""
    ledger.add(settled("a", micro=10, at=NOON, model="small"))
    ledger.add(settled("b", micro=90, at=NOON - 86_400, model="large"))
    ledger.add(settled("c", micro=None, at=NOON, model="small"))

    models, days = await ledger.totals("model"), await ledger.totals("day")

    assert [(total.key, total.cost_micro, total.unpriced) for total in models] == [
        ("openai/large", 90, 0),
        ("openai/small", 10, 1),
    ]
    assert [total.key for total in days] == [local_day(NOON), local_day(NOON - 86_400)]
    assert [(total.key, total.calls) for total in await ledger.totals("notebook")] == [("", 3)]


def test_a_day_is_the_user_s_own(monkeypatch):
    """In Kathmandu the day begins a quarter to an hour, and sums follow."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        connection = filled([NOON + 6.24 * 3600, NOON + 6.26 * 3600])

        found = totals(connection, "day", Query(), lambda _: True)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert [(total.key, total.calls) for total in found] == [("2026-11-22", 1), ("2026-11-21", 1)]


async def test_the_newest_are_kept_while_it_runs(process):
    """Old lines go at the old end, and what is left still verifies."""
    ledger = process(retention=Retention(rows=5))
    for number in range(40):
        await ledger.open(opened(f"s{number}", at=NOON))
        ledger.add(settled(f"s{number}", at=NOON))
    await ledger.flush()

    lines = await ledger.entries(ALL)
    kept = ledger._desk.read(lambda db: db.execute("SELECT count(*), min(seq) FROM entries").fetchone())
    anchor = ledger._desk.read(lambda db: db.execute("SELECT trimmed, anchor FROM head").fetchone())

    assert [line.step for line in lines] == [f"s{number}" for number in range(39, 34, -1)]
    assert kept[0] <= 11
    assert anchor[0] == kept[1] - 1
    assert broken_at(everything(ledger), anchor[1]) is None
    assert (await ledger.status()).rows == 5


async def test_what_is_under_way_is_not_trimmed(process):
    """Lines behind it wait until it is settled."""
    ledger = process(retention=Retention(rows=2))
    await ledger.open(opened("long", at=NOON), {"day:x": 100})
    for number in range(5):
        ledger.add(settled(f"s{number}", at=NOON))
        await ledger.flush()

    before = [line.step for line in await ledger.entries()]
    ledger.add(settled("long", at=NOON))

    assert before == ["s4", "s3", "s2", "s1", "s0", "long"]
    assert [line.step for line in await ledger.entries()] == ["long", "s4"]
    assert await ledger.spent(["day:x"]) == [(30, 0)]


async def test_old_lines_go_by_their_age(process):
    """With the sums of what nobody touched for as long."""
    ledger = process(retention=Retention(days=30))
    now = NOON
    await ledger.open(opened("old", at=now - 31 * 86_400), {"day:old": 100})
    ledger.add(settled("old", at=now - 31 * 86_400))
    await ledger.flush()
    await ledger.open(opened("new", at=now), {"day:new": 100})
    ledger.add(settled("new", at=now))
    await ledger.flush()

    assert [line.step for line in await ledger.entries()] == ["new"]
    assert await ledger.spent(["day:old", "day:new"]) == [(0, 0), (30, 0)]


async def test_the_routers_rows_are_the_app_s(process):
    """One for each request id: told again it takes the new figures, and keeps its id, its age and its final outcome."""
    ledger = process(retention=Retention(rows=3, days=30))
    old = settled("old", provider=ROUTER, request_id="old", at=NOON - 31 * 86_400)
    ledger.add(replace(old, at=NOON - 29 * 86_400, outcome="tool_only", origin=Origin(session="s")))
    for number in range(2):
        ledger.add(settled(f"s{number}", provider=ROUTER, request_id="r", micro=number, at=NOON + number))
    ledger.add(settled("other", request_id="not the Router's"))
    await ledger.flush()

    before = router_rows(ledger)
    for number in range(3):
        ledger.add(settled(f"more{number}", provider=ROUTER, request_id=f"m{number}", at=NOON + 2 * 86_400 + number))
    await ledger.flush()

    assert [row[:4] for row in before] == [("old", "s", "toolOnly", "30"), ("r", None, "rendered", "1")]
    assert before[1][4:] == (NOON, 900, 250, "provider", "")
    assert [row[0] for row in router_rows(ledger)] == ["m0", "m1", "m2"]


async def test_it_opens_again_after_it_was_closed(ledger):
    """What comes late is written all the same."""
    await ledger.open(opened())
    await ledger.aclose()
    ledger.add(settled())

    assert [line.kind for line in await ledger.entries()] == ["settle"]


async def test_it_may_be_closed_while_it_is_used(ledger):
    """Whatever comes while it lets go of the file is written, by a writer that lives."""
    for number in range(20):
        await asyncio.gather(ledger.aclose(), *(late(ledger, f"s{number}-{part}") for part in range(4)))

    lines = await ledger.entries(ALL)

    assert len(lines) == 80
    assert (await ledger.status()).notices == ()


async def late(ledger, step: str) -> None:
    for _ in range(int(step[-1])):
        await asyncio.sleep(0.002)
    ledger.add(settled(step))


async def test_a_forked_child_has_a_connection_of_its_own(ledger):
    """Both write, and neither disturbs the other."""
    await ledger.open(opened("parent"))

    child = os.fork()
    if child == 0:
        asyncio.run(written_by_a_child(ledger))
    _, code = os.waitpid(child, 0)
    ledger.add(settled("parent"))
    lines = await ledger.entries()

    assert code == 0
    assert [(line.step, line.kind) for line in lines] == [("parent", "settle"), ("child", "settle")]


async def test_a_value_that_is_none_fails_nobody(ledger):
    """Figures out of bounds are cut, a line of odd types is dropped alone."""
    ledger.add(settled("huge", micro=10**30, fallbacks=-(10**30), energy_j=float("inf")))
    ledger.add(settled("odd", usage=None))
    ledger.add(settled("good"))

    assert [line.step for line in await ledger.entries()] == ["good", "huge"]


async def test_absurd_counts_do_not_hide_the_sums(ledger):
    """Together they are more than a database counts to; what was spent can be asked for all the same."""
    for step in ("s1", "s2", "s3"):
        ledger.add(settled(step, usage=Usage(10**30, -5, absurd=True)))

    [total] = await ledger.totals("model")

    assert (total.calls, total.cost_micro, total.usage.output_tokens) == (3, 90, -15)


async def test_without_a_vault_it_is_counted_in_memory(process, home):
    """It works the same, keeps nothing, and says so."""
    ledger = process(None)
    await ledger.open(opened(), {"day:x": 100})
    over = await ledger.open(opened("s2"), {"day:x": 99})
    ledger.add(settled())

    status = await ledger.status()
    await ledger.aclose()

    assert over is not None
    assert (status.state, status.path, status.rows) == ("memory", None, 1)
    assert "forgotten when this process ends" in status.notices[0]
    assert [line.kind for line in await ledger.entries()] == ["settle"]
    assert not home.exists()


async def test_what_cannot_be_read_is_told(ledger, home):
    """A fault while reading is LedgerUnreadable, not an empty list."""
    ledger.add(settled())
    await ledger.flush()
    ledger._desk.read(lambda db: None)
    ledger._desk._reader.close()

    with pytest.raises(LedgerUnreadable, match="cannot be read"):
        await ledger.entries()


async def written_by_a_child(ledger) -> None:
    try:
        await ledger.open(opened("child"))
        ledger.add(settled("child"))
        await ledger.aclose()
        os._exit(0)
    finally:
        os._exit(1)


def everything(ledger):
    from osaurus_nb.ledger.schema import SELECT, entry_of

    return ledger._desk.read(lambda db: [entry_of(row) for row in db.execute(f"{SELECT} ORDER BY seq")])


def router_rows(ledger):
    columns = (
        "request_id, session_id, outcome, cost_micro, created_at, input_tokens, output_tokens, token_source, status"
    )
    rows = f"SELECT {columns} FROM router_billing ORDER BY created_at"
    return ledger._desk.read(lambda db: db.execute(rows).fetchall())


def filled(times):
    from osaurus_nb.ledger.book import Book
    from osaurus_nb.ledger.opening import in_memory

    connection = in_memory().connection
    book = Book(connection, "w", Retention())
    book.begin()
    for number, at in enumerate(times):
        book.close(settled(f"s{number}", at=at))
    return connection


def local_day(at: float) -> str:
    return datetime.fromtimestamp(at).date().isoformat()
