"""The portal: sync code reaches async code, from anywhere, and an interrupt reaches it too."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import AsyncGenerator

import pytest

from osaurus_nb._portal import Portal, portal

THROUGH = Portal()


async def count(to: int) -> AsyncGenerator[int, None]:
    for number in range(to):
        yield number


def test_a_coroutine_gives_its_result() -> None:
    """run() returns what the coroutine returns, and raises what it raises."""

    async def fail() -> None:
        raise TimeoutError("mine")

    assert THROUGH.run(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(TimeoutError, match="mine"):
        THROUGH.run(fail())


def test_a_stream_arrives_in_order() -> None:
    """More items than the backlog holds, all of them, in order."""
    assert list(THROUGH.iterate(lambda: count(1000))) == list(range(1000))


def test_it_works_inside_a_running_loop() -> None:
    """A notebook cell runs inside a loop; nothing is patched and nothing deadlocks."""

    async def cell() -> list[int]:
        return list(THROUGH.iterate(lambda: count(3)))

    assert asyncio.run(cell()) == [0, 1, 2]


def test_it_works_from_many_threads_at_once() -> None:
    """Widget callbacks arrive on threads of their own."""
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(THROUGH.run(asyncio.sleep(0.01, 1)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert results == [1] * 8


def test_leaving_a_stream_early_closes_it() -> None:
    """A reader that breaks off leaves nothing running."""
    closed = threading.Event()

    async def endless() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0)
        finally:
            closed.set()

    for _ in THROUGH.iterate(endless):
        break

    assert closed.wait(1)


def test_a_slow_reader_holds_the_stream_back() -> None:
    """Backpressure: what nobody reads is not made."""
    made = 0

    async def eager() -> AsyncGenerator[int, None]:
        nonlocal made
        for made in range(100_000):
            yield made

    stream = THROUGH.iterate(eager)
    next(stream)
    time.sleep(0.1)

    assert made < 1000
    stream.close()


def test_context_variables_go_along() -> None:
    """What the caller's context holds, the coroutine sees."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("mine")

    async def look() -> str:
        return variable.get()

    assert THROUGH.run(look()) == "mine"


def test_calling_it_from_its_own_loop_is_refused() -> None:
    """It would wait for itself; the error says what to use."""

    async def inside() -> None:
        THROUGH.run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="AsyncClient"):
        THROUGH.run(inside())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_a_portal_of_its_own() -> None:
    """The parent's thread is not in the child: it starts another."""
    portal().run(asyncio.sleep(0))
    child = os.fork()
    if child == 0:
        os._exit(0 if portal().run(asyncio.sleep(0, 7)) == 7 else 1)

    assert os.waitpid(child, 0)[1] == 0
