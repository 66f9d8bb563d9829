"""Stored responses: for their owner, for their time, within bounds, and never in clear on a disk."""

from __future__ import annotations

import json
import secrets
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.errors import RequestError
from osaurus_nb.gateway.responses import (
    Bounds,
    NotKept,
    PreviousNotFound,
    ResponseNotFound,
    ResponseStore,
    StoreFailed,
    page,
)

pytestmark = pytest.mark.anyio

CANARY = "heliotrope-fjord"


class Hours:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Hours:
    return Hours()


@pytest.fixture
async def store(tmp_path: Path, clock: Hours) -> AsyncIterator[ResponseStore]:
    made = ResponseStore(tmp_path / "run", bounds=Bounds(ttl=60, count=4, bytes=20_000), clock=clock)
    yield made
    await made.aclose()


def response(id: str, text: str = "ho", *, status: str = "completed") -> dict[str, Any]:
    item = {"id": f"msg_{id}", "type": "message", "role": "assistant", "content": [{"text": text}]}
    return {"id": id, "status": status, "output": [item]}


def asked(id: str, text: str = "hi") -> list[Mapping[str, Any]]:
    return [{"id": f"item_{id}", "type": "message", "role": "user", "content": text}]


async def chat(store: ResponseStore, *ids: str, owner: str = "ann") -> None:
    """A conversation of these responses."""
    previous = None
    for id in ids:
        await store.keep(owner, response(id), asked(id), previous=previous)
        previous = id


async def there(store: ResponseStore, *ids: str) -> list[str]:
    found = []
    for id in ids:
        try:
            await store.body("ann", id)
        except ResponseNotFound:
            continue
        found.append(id)
    return found


async def test_a_response_comes_back_as_it_was(store: ResponseStore) -> None:
    """The same JSON, and the items of all that was said up to its end."""
    await chat(store, "1", "2")

    body = await store.body("ann", "2")
    items = await store.continued("ann", "2")

    assert json.loads(body) == response("2")
    assert [item["id"] for item in items] == ["item_1", "msg_1", "item_2", "msg_2"]


async def test_another_owner_finds_nothing(store: ResponseStore) -> None:
    """Not to be seen, continued, deleted, referred to or gone on from."""
    await chat(store, "1")

    for ask in (store.body, store.conversation, store.forget):
        with pytest.raises(ResponseNotFound):
            await ask("bob", "1")
    with pytest.raises(PreviousNotFound):
        await store.continued("bob", "1")
    with pytest.raises(NotKept):
        await store.keep("bob", response("9"), asked("9"), previous="1")
    assert await store.items("bob", ["msg_1"]) == {}
    assert list(await store.items("ann", ["msg_1", "item_1", "msg_2"])) == ["msg_1", "item_1"]


async def test_a_response_has_its_time(store: ResponseStore, clock: Hours) -> None:
    """It is there until its lifetime ends and gone from then on; each counts from its own keeping."""
    await chat(store, "1")
    clock.forward(30)
    await store.keep("ann", response("2"), asked("2"), previous="1")
    clock.forward(29.9)
    before = await there(store, "1", "2")
    clock.forward(0.1)

    assert before == ["1", "2"]
    assert await there(store, "1", "2") == ["2"]
    assert len(await store.continued("ann", "2")) == 4
    clock.forward(30)
    assert await there(store, "1", "2") == []


async def test_what_was_deleted_is_gone_for_good(store: ResponseStore) -> None:
    """When nothing kept goes on from it, its words leave the database too."""
    await chat(store, "1", "2", "3")

    await store.forget("ann", "1")
    await store.forget("ann", "2")
    whole = await store.continued("ann", "3")
    await store.forget("ann", "3")

    assert len(whole) == 6
    assert await store._do(lambda shelf, now: shelf._db.execute("SELECT count(*) FROM response").fetchone()) == (0,)
    assert await store._do(lambda shelf, now: shelf._db.execute("SELECT count(*) FROM item").fetchone()) == (0,)
    assert await store._do(lambda shelf, now: shelf._db.execute("SELECT * FROM total").fetchall()) == [(0, 0)]


async def test_the_oldest_go_first(store: ResponseStore, clock: Hours) -> None:
    """More than the count is not kept, and what goes is the oldest."""
    for id in "12345":
        await chat(store, id)
        clock.forward(1)

    assert await there(store, *"12345") == ["2", "3", "4", "5"]


async def test_bytes_are_bounded(store: ResponseStore, clock: Hours) -> None:
    """Room is made for the new one; one that alone is too much is refused and costs the others nothing."""
    for id in "123":
        await store.keep("ann", response(id, "x" * 6000), asked(id))
        clock.forward(1)
    await store.keep("ann", response("4", "x" * 6000), asked("4"))

    with pytest.raises(NotKept):
        await store.keep("ann", response("5", "x" * 20_000), asked("5"))
    with pytest.raises(NotKept):
        await store.keep("ann", response("6", "x" * 15_000), asked("6"), previous="4")
    assert await there(store, *"123456") == ["2", "3", "4"]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_what_broke_off_is_not_continued(store: ResponseStore, status: str) -> None:
    """It can be looked at, but is no ground to go on from."""
    await store.keep("ann", response("1", status=status), asked("1"))

    assert (await store.conversation("ann", "1")).status == status
    with pytest.raises(RequestError, match="broke off"):
        await store.continued("ann", "1")


async def test_without_a_key_the_file_has_no_name(store: ResponseStore, tmp_path: Path) -> None:
    """While responses are kept, no file is listed in the folder, and what the open one holds is not in clear."""
    for id in "123":
        await store.keep("ann", response(id, CANARY), asked(id, CANARY))

    assert list((tmp_path / "run").iterdir()) == []
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    if sys.platform == "linux":
        links = list(Path("/proc/self/fd").iterdir())
        [held] = [link for link in links if link.is_symlink() and str(tmp_path) in str(link.readlink())]
        data = held.read_bytes()
        assert len(data) > 4096
        assert CANARY.encode() not in data
        assert b"SQLite" not in data


async def test_with_a_key_responses_outlive_the_process(tmp_path: Path) -> None:
    """The same key opens them again; the file is for its user alone and holds nothing in clear."""
    key = secrets.token_bytes(32)
    first = ResponseStore(tmp_path, key=key)
    await first.keep("ann", response("1", CANARY), asked("1", CANARY))
    files = {path.name: (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) for path in tmp_path.iterdir()}
    await first.aclose()

    second = ResponseStore(tmp_path, key=key)

    assert CANARY.encode() in await second.body("ann", "1")
    assert "responses.sqlite" in files
    assert all(mode == 0o600 and CANARY.encode() not in data for mode, data in files.values())
    await second.aclose()


async def test_processes_with_one_key_share(tmp_path: Path) -> None:
    """Two stores on one file see each other's responses."""
    key = secrets.token_bytes(32)
    one, two = ResponseStore(tmp_path, key=key), ResponseStore(tmp_path, key=key)

    await chat(one, "1")
    await two.keep("ann", response("2"), asked("2"), previous="1")

    assert len(await one.continued("ann", "2")) == 4
    await one.aclose()
    await two.aclose()


async def test_a_file_that_the_key_does_not_open_is_put_aside(tmp_path: Path) -> None:
    """Nothing is written over it."""
    first = ResponseStore(tmp_path, key=secrets.token_bytes(32))
    await chat(first, "1")
    await first.aclose()
    was = (tmp_path / "responses.sqlite").read_bytes()

    second = ResponseStore(tmp_path, key=secrets.token_bytes(32))

    with pytest.raises(ResponseNotFound):
        await second.body("ann", "1")
    [aside] = tmp_path.glob("responses.sqlite.damaged-*")
    assert aside.read_bytes() == was
    await second.aclose()


async def test_a_folder_that_takes_nothing_is_said(tmp_path: Path) -> None:
    """A fault of the disk is an error of ours without a word of what was to be stored."""
    (tmp_path / "file").write_text("")
    store = ResponseStore(tmp_path / "file" / "below")

    with pytest.raises(StoreFailed) as failed:
        await store.keep("ann", response("1", CANARY), asked("1", CANARY))

    assert CANARY not in str(failed.value)
    assert failed.value.__cause__ is None
    await store.aclose()


async def test_what_was_begun_is_done_before_the_end(tmp_path: Path) -> None:
    """What nobody waited for is in the store when it is closed."""
    key = secrets.token_bytes(32)
    store = ResponseStore(tmp_path, key=key)
    await store.open()

    store.keep_soon("ann", response("1"), asked("1"))
    await store.aclose()

    again = ResponseStore(tmp_path, key=key)
    assert await there(again, "1") == ["1"]
    await again.aclose()


def test_a_page_is_part_of_a_list() -> None:
    """Newest first unless asked otherwise; `after` goes on behind an item, and pages end."""
    items = [{"id": name} for name in "abcde"]

    first = page(items, limit=2)
    second = page(items, limit=3, after=first["last_id"])

    assert [row["id"] for row in first["data"]] == ["e", "d"]
    assert (first["first_id"], first["last_id"], first["has_more"]) == ("e", "d", True)
    assert ([row["id"] for row in second["data"]], second["has_more"]) == (["c", "b", "a"], False)
    assert [row["id"] for row in page(items, order="asc")["data"]] == list("abcde")
    assert page([])["first_id"] is None
