"""Work that may block for ever, in a thread that holds nobody up: not a loop, not the end of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def aside(work: Callable[[], T]) -> Future[T]:
    """What `work` gives or raises, from a daemon thread: an executor's threads would be waited for at exit."""
    future: Future[T] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()  # from here on a waiter who leaves cannot cancel it
        try:
            future.set_result(work())
        except BaseException as exc:  # noqa: BLE001 - handed on whole to whoever waits
            future.set_exception(exc)

    threading.Thread(target=run, name="osaurus-secrets", daemon=True).start()
    return future
