"""The one thread that owns a model: it loads, reads prompts, draws tokens and forgets. Reached by queues only.

mlx's streams belong to threads, so everything that touches the model happens here. A fault of one request is told to
that request; a fault of the engine itself ends the process, because what it leaves behind cannot be trusted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from osaurus_nb.errors import OsaurusError, RateLimited, Unsupported
from osaurus_nb.local import prompt
from osaurus_nb.local.encoder import Encoder
from osaurus_nb.local.loading import Loaded
from osaurus_nb.local.talking import Talking
from osaurus_nb.local.vectors import Vectors
from osaurus_nb.local.work import Key, Parcel, Request, Work
from osaurus_nb.models import LOCAL, TokenCount
from osaurus_nb.request import ChatRequest

#: A model of either kind, ready to work.
Model = Loaded | Encoder


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an engine takes on. `kv_tokens` is what fits into memory for all answers under way; 0 lifts it."""

    slots: int = 8
    waiting: int = 64
    cache_bytes: int = 512 << 20
    kv_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the engine is, readable from any thread."""

    beat_age: float
    running: int
    waiting: int
    answered: int
    cache_bytes: int


class Engine:
    """Serves one model. `deliver` is called on the engine's thread, once for each step."""

    def __init__(self, load: Callable[[], Model], *, limits: Limits, deliver: Callable[[list[Parcel]], None]) -> None:
        self._load = load
        self._limits = limits
        self._deliver = deliver
        self._change = threading.Condition()
        self._waiting: deque[tuple[Key, Request]] = deque()
        self._cancelled: set[Key] = set()
        self._stopping = False
        self._pulse = Pulse(0.0, 0, 0, 0, 0)
        self._working = False
        self._beat = time.monotonic()
        self.loaded: Future[Model] = Future()
        self.ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="osaurus-engine", daemon=True)

    def start(self) -> None:
        """Begin to load. `loaded` tells how that went, `ended` when the thread is over, and with which fault."""
        self._thread.start()

    def submit(self, key: Key, request: Request) -> None:
        """Queue a request. Raises RateLimited when too many wait already."""
        with self._change:
            if len(self._waiting) >= self._limits.waiting:
                raise RateLimited(
                    f"{len(self._waiting)} requests are waiting for this model already. Try again later.",
                    provider=LOCAL,
                    retry_after=1.0 + len(self._waiting) / self._limits.slots,
                )
            if not self._waiting and not self._working:
                self._beat = time.monotonic()  # rest is no silence: from here on a beat is due
            self._waiting.append((key, request))
            self._change.notify()

    def cancel(self, key: Key) -> None:
        """Forget a request; one that runs stops before its next token."""
        with self._change:
            left = deque(item for item in self._waiting if item[0] != key)
            if len(left) == len(self._waiting):
                self._cancelled.add(key)
            self._waiting = left
            self._change.notify()

    def count(self, request: ChatRequest) -> TokenCount:
        """The tokens of a prompt. On the caller's thread: the tokenizer does not need the engine's."""
        loaded = self.loaded.result()
        if isinstance(loaded, Encoder):
            raise Unsupported(f"{loaded.name!r} makes embeddings and cannot chat.", param="model")
        return prompt.count(request, loaded)

    def stop(self) -> None:
        """End the thread after the present step."""
        with self._change:
            self._stopping = True
            self._change.notify()

    def pulse(self) -> Pulse:
        with self._change:
            pending = self._working or self._waiting
            age = time.monotonic() - self._beat if pending else 0.0
            return replace(self._pulse, beat_age=age, waiting=len(self._waiting))

    def _run(self) -> None:
        # The edge of this thread: whoever waits on the futures raises what was caught here.
        try:
            loaded = self._load()
        except BaseException as fault:  # noqa: BLE001
            self.loaded.set_exception(fault)
            return
        self.loaded.set_result(loaded)
        try:
            self._serve(_begin(loaded, self._limits))
        except BaseException as fault:  # noqa: BLE001
            self.ended.set_exception(fault)
        else:
            self.ended.set_result(None)

    def _serve(self, work: Work) -> None:
        while not self._stopping:
            self._wait_for_work(work)
            self._apply_cancels(work)
            parcels = self._admit(work)
            self._note(work)
            if work.running:
                parcels += work.step()
            self._note(work)
            if parcels:
                self._deliver(parcels)
        work.close()

    def _wait_for_work(self, work: Work) -> None:
        with self._change:
            self._working = work.running > 0
            self._change.wait_for(lambda: self._stopping or self._waiting or self._cancelled or work.running)
            self._working = True

    def _note(self, work: Work) -> None:
        with self._change:
            self._beat = time.monotonic()
            self._pulse = Pulse(0.0, work.running, 0, work.answered, work.cache_bytes)

    def _apply_cancels(self, work: Work) -> None:
        with self._change:
            cancelled, self._cancelled = self._cancelled, set()
        for key in cancelled:
            work.cancel(key)

    def _admit(self, work: Work) -> list[Parcel]:
        parcels: list[Parcel] = []
        while (item := self._next_fitting(work)) is not None:
            key, request = item
            try:
                if events := work.admit(key, request):
                    parcels.append((key, events))
            except OsaurusError as refused:
                parcels.append((key, refused))
        return parcels

    def _next_fitting(self, work: Work) -> tuple[Key, Request] | None:
        with self._change:
            if self._waiting and work.room_for(self._waiting[0][1]):
                return self._waiting.popleft()
            return None


def _begin(loaded: Model, limits: Limits) -> Work:
    if isinstance(loaded, Encoder):
        return Vectors(loaded, limits.slots)
    return Talking(loaded, slots=limits.slots, cache_bytes=limits.cache_bytes, kv_tokens=limits.kv_tokens)
