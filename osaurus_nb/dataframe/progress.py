"""How far a map has come, and where that is shown: a cell's output, a terminal's line, or whom the caller names."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from osaurus_nb import _markup, money


@dataclass(frozen=True, slots=True)
class Progress:
    """At one moment. `rate` is rows a second, `eta` the seconds that are left at that rate; None: not known yet.

    `estimate` is what was said before the first row was sent; `kept` rows were answered by an earlier run.
    """

    done: int
    total: int
    errors: int = 0
    kept: int = 0
    running: int = 0
    cost_micro: int | None = 0
    rate: float | None = None
    eta: float | None = None
    estimate: str = ""
    ended: bool = False
    note: str = ""

    def __str__(self) -> str:
        parts = [f"{self.done:,} of {self.total:,} rows"]
        if self.kept:
            parts.append(f"{self.kept:,} from before")
        if self.errors:
            parts.append(f"{self.errors:,} failed")
        if self.rate is not None:
            parts.append(f"{self.rate:,.1f} rows/s")
        parts.append("cost not known" if self.cost_micro is None else money.row(self.cost_micro))
        if self.eta is not None and not self.ended:
            parts.append(f"{_span(self.eta)} left")
        return " · ".join([*parts, *([self.note] if self.note else [])])


class Watcher(Protocol):
    """Who is told: a function that takes a Progress."""

    def __call__(self, progress: Progress, /) -> object: ...


def watcher() -> Watcher:
    """What suits this process: the cell that runs, a terminal, or nobody."""
    if (publisher := _publisher()) is not None:
        return _Cell(publisher)
    return _Line() if sys.stderr.isatty() else _nobody


class _Cell:
    """One output, replaced each time."""

    def __init__(self, publish: Callable[..., Any]) -> None:
        self._publish = publish
        self._id = uuid.uuid4().hex
        self._shown = False

    def __call__(self, progress: Progress) -> None:
        said = "\n".join(part for part in (progress.estimate, str(progress)) if part)
        bundle = _markup.callout(str(progress), kind="note", hint=progress.estimate) | {"text/plain": said}
        self._publish(data=bundle, metadata={}, transient={"display_id": self._id}, update=self._shown)
        self._shown = True


class _Line:
    """The last line of a terminal."""

    def __init__(self) -> None:
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        if not self._width and progress.estimate:
            sys.stderr.write(f"{progress.estimate}\n")
        said = str(progress)
        sys.stderr.write(f"\r{said.ljust(self._width)}" + ("\n" if progress.ended else ""))
        sys.stderr.flush()
        self._width = len(said)


def _nobody(progress: Progress) -> None:
    """Nobody looks."""


def _publisher() -> Callable[..., Any] | None:
    """That of the shell that runs this cell, if one does and somebody can replace an output there.

    IPython is asked only where it is there already: it is no room of ours that would bring it here.
    """
    here = sys.modules.get("IPython")
    shell = here.get_ipython() if here is not None and hasattr(here, "get_ipython") else None
    publisher = getattr(shell, "display_pub", None)
    if publisher is None or type(publisher).__name__ == "DisplayPublisher":  # that one only prints
        return None
    found: Callable[..., Any] = publisher.publish
    return found


def _span(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
