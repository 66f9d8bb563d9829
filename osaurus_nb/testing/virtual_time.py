"""Time that passes at once: a clock, and an event loop that jumps over every wait. For tests; it does no I/O.

virtual_time.run(lambda clock: scenario(clock))
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualClock:
    """Both clocks of a machine. They go together, unless it sleeps: then only the wall's does."""

    def __init__(self) -> None:
        self._wall = datetime(2026, 1, 1, tzinfo=UTC)
        self._felt = 1000.0

    def now(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._felt

    def pass_by(self, seconds: float) -> None:
        self._felt += seconds
        self._wall += timedelta(seconds=seconds)

    def doze(self, seconds: float) -> None:
        """The machine sleeps so long: its monotonic clock stands still."""
        self._wall += timedelta(seconds=seconds)


def run(scenario: Callable[[VirtualClock], Coroutine[Any, Any, T]]) -> T:
    """The result of `scenario(clock)`. Raises AssertionError for a task that it left behind."""
    clock = VirtualClock()
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        return runner.run(_alone(scenario(clock)))


async def _alone(scenario: Coroutine[Any, Any, T]) -> T:
    result = await scenario
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, f"tasks left behind: {left}"
    return result


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Jumping(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic()


class _Jumping(selectors.SelectSelector):
    """Where a real one would wait, this one moves the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("Nothing will ever happen here: every task waits and no time is set.")
        self._clock.pass_by(max(timeout, 0.0))
        return super().select(0)
