"""An answer that grows in its cell: throttled for a front end, printed as it comes for a terminal."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from osaurus_nb import _markup
from osaurus_nb.reply import Reply

Bundle = Mapping[str, Any]

#: Seconds between two updates, at least: faster ones queue up in the browser.
PERIOD = 0.08
#: Of the time, rendering may take this share; of the wire, this many characters a second.
_SHARE = 0.1
_RATE = 500_000


class View(Protocol):
    """Where an answer is shown while it comes."""

    def wait(self, status: str) -> None:
        """Nothing to read yet, and why."""

    def add(self, text: str) -> None: ...

    def tick(self) -> None:
        """Time passed: show what was held back."""

    def end(self, reply: Reply, notices: Sequence[str]) -> None:
        """The last state, always shown."""

    def fail(self, reply: Reply | None, notices: Sequence[str]) -> None:
        """It failed; the error that ends the cell says why."""


def view(shell: InteractiveShell) -> View:
    """What suits this shell."""
    return CellView(Slot(shell)) if has_front_end(shell) else PrintView()


def has_front_end(shell: InteractiveShell) -> bool:
    """Is anybody there who can replace an output? IPython's own publisher only prints."""
    return type(shell.display_pub) is not DisplayPublisher


def show(shell: InteractiveShell, bundle: Bundle) -> None:
    """Show it once, as raw data: text that is a path or an address is never opened."""
    Slot(shell).put(bundle)


class Slot:
    """One output of the cell, replaced by each `put`."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._id = uuid.uuid4().hex
        self._shown = False

    def put(self, bundle: Bundle) -> None:
        place = {"display_id": self._id}
        self._shell.display_pub.publish(data=dict(bundle), metadata={}, transient=place, update=self._shown)
        self._shown = True


class Throttle:
    """How often something of a cost may be done. It grows rarer as it gets dearer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0

    def ready(self) -> bool:
        return self._clock() >= self._next

    def run(self, work: Callable[[], int]) -> None:
        """Do it now. `work` returns the size of what it sent."""
        began = self._clock()
        size = work()
        now = self._clock()
        self._next = now + max(PERIOD, (now - began) / _SHARE, size / _RATE)


class CellView:
    """One rich output that is updated in place."""

    def __init__(self, slot: Slot, throttle: Throttle | None = None) -> None:
        self._slot = slot
        self._throttle = throttle or Throttle()
        self._document = _markup.Document()
        self._pieces: list[str] = []
        self._status = ""
        self._held = False

    def wait(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._put()

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self._status = "answering …"
        self._held = True
        self.tick()

    def tick(self) -> None:
        if self._held and self._throttle.ready():
            self._throttle.run(self._put)
            self._held = False

    def end(self, reply: Reply, notices: Sequence[str]) -> None:
        body = self._document.render(reply.text)
        text = "\n".join(notices) if reply.empty else reply.text  # a front end of text alone shows no notices
        self._slot.put(_markup.frame(text, body + _markup.folded(reply.folded), footer=reply.footer, notices=notices))

    def fail(self, reply: Reply | None, notices: Sequence[str]) -> None:
        if reply is not None and reply.text:
            self.end(reply, (*notices, "The answer broke off here."))
        else:
            self._slot.put(_markup.frame("", "", footer="no answer", notices=notices))

    def _put(self) -> int:
        text = "".join(self._pieces)
        frame = _markup.frame(text, self._document.render(text), footer=self._status)
        self._slot.put(frame)
        return sum(map(len, frame.values()))


class PrintView:
    """Plain text on standard output, without what could drive a terminal."""

    def __init__(self) -> None:
        self._wrote = False

    def wait(self, status: str) -> None:
        """A terminal waits without words."""

    def add(self, text: str) -> None:
        sys.stdout.write(_markup.printable(text))
        sys.stdout.flush()
        self._wrote = True

    def tick(self) -> None:
        """Nothing is held back."""

    def end(self, reply: Reply, notices: Sequence[str]) -> None:
        lines = [*([""] if self._wrote else []), *(f"Note: {_markup.printable(notice)}" for notice in notices)]
        sys.stdout.write("\n".join([*lines, ""]) if lines else "")

    def fail(self, reply: Reply | None, notices: Sequence[str]) -> None:
        sys.stdout.write("\n" if self._wrote else "")
