"""Tells observers what happens in a stream, at the least cost for each piece of an answer. No observer can hurt it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import TracebackType

from osaurus_nb.errors import Cancelled
from osaurus_nb.events import (
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    Relayed,
    TextDelta,
    ToolCallDelta,
    is_token,
)
from osaurus_nb.ports import Clock, Observation, Observer, Step

log = logging.getLogger("osaurus_nb")

#: What an answer is made of: hundreds of them for each one.
PIECES = frozenset({TextDelta, ReasoningDelta, ToolCallDelta, Relayed})


class Listeners:
    """All observers of one runtime. `with listeners.to(step) as tell:` and then `tell(event)`."""

    def __init__(self, observers: Sequence[Observer], clock: Clock) -> None:
        self.all = tuple(observers)
        self.patient = tuple(each for each in self.all if getattr(each, "pieces", True))
        self._clock = clock
        self._broken: set[int] = set()

    def add(self, observer: Observer) -> None:
        """Tell this one too, of the streams that begin from now on."""
        self.all = (*self.all, observer)
        self.patient = tuple(each for each in self.all if getattr(each, "pieces", True))

    def to(self, step: Step) -> Telling:
        return Telling(self, step)

    def tell(self, observers: Sequence[Observer], step: Step, event: Event) -> None:
        note = Observation(step, event, self._clock.monotonic())
        for observer in observers:
            try:
                observer.observe(note)
            except Exception as exc:  # noqa: BLE001 - observers cannot hurt: the answer goes on
                if id(observer) not in self._broken:
                    self._broken.add(id(observer))
                    log.warning("%s failed with %s and is ignored", type(observer).__name__, type(exc).__name__)


class Telling:
    """One stream. Who leaves it before its end is told as that."""

    __slots__ = ("_all", "_listeners", "_patient", "_spoke", "_step", "_waiting")

    def __init__(self, listeners: Listeners, step: Step) -> None:
        self._listeners = listeners
        self._all, self._patient = listeners.all, listeners.patient
        self._step = step
        self._spoke = False
        self._waiting = True

    def __call__(self, event: Event) -> None:
        if type(event) in PIECES:
            if self._spoke:
                if self._patient:
                    self._listeners.tell(self._patient, self._step, event)
                return
            self._spoke = is_token(event)
        elif isinstance(event, Finished | Failed):
            self._waiting = False
        if self._all:
            self._listeners.tell(self._all, self._step, event)

    def __enter__(self) -> Telling:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        if self._waiting and self._all:
            self._listeners.tell(self._all, self._step, Failed(Cancelled("The caller stopped it.")))
