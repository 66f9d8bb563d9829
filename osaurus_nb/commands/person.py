"""Whoever gave a command: what they can be asked, and what they may be shown where they are. Remembers nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets import asking

if TYPE_CHECKING:
    from osaurus_nb.accounts import Ledger
    from osaurus_nb.models import ModelCard


class Person(Protocol):
    """One at a terminal, or one at a notebook."""

    @property
    def offers(self) -> bool:
        """May they be asked what they did not come for?"""

    @property
    def leaves(self) -> bool:
        """Does the process end with this command, or keep nothing that others could use?"""

    def spelled(self, command: str) -> str:
        """How this command is written there."""

    def secret(self, prompt: str) -> str:
        """What they type, without echo. Raises ConfigError where nobody can be asked."""

    def agrees(self, question: str, word: str) -> bool:
        """Did they type exactly this word?"""

    def remark(self, text: str) -> None:
        """Say something before the command ends, where `offers`."""

    def alone(self, what: str, command: str) -> None:
        """Raises ConfigError where what is shown is kept, as in a notebook: `command` is for a terminal."""

    def show(self, secret: str) -> None:
        """Put a secret on the screen, once, for a program to take as well. Only after `alone`."""

    def show_briefly(self, secret: str) -> None:
        """Show a secret until it was read, and leave nothing of it on the screen. Only after `alone`."""

    def books(self) -> AbstractContextManager[Ledger]:
        """What was spent, as whoever answers their questions keeps it."""

    def models(self) -> AbstractContextManager[Sequence[ModelCard]]:
        """Every model that they can name now."""


class Terminal:
    """Somebody, or a script, that started `osaurus-nb`. What the script pipes in is taken for what would be typed."""

    leaves = True

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        # Children of a kernel have one of these from it, whoever started it: `!osaurus-nb …` in a cell is no terminal.
        inline = env.get("MPLBACKEND", "").startswith("module://matplotlib_inline")
        self._in_a_cell = inline or "JPY_PARENT_PID" in env

    @property
    def offers(self) -> bool:
        return sys.stdin.isatty() and sys.stderr.isatty() and not self._in_a_cell

    def spelled(self, command: str) -> str:
        return f"`osaurus-nb {command}`"

    def secret(self, prompt: str) -> str:
        if not sys.stdin.isatty():
            return asking.piped()
        self._refuse_waiting()
        return asking.ask(prompt)

    def agrees(self, question: str, word: str) -> bool:
        self._refuse_waiting()
        sys.stderr.write(f"{question} Type '{word}' to go on: ")
        sys.stderr.flush()
        return sys.stdin.readline().strip() == word

    def remark(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")

    def alone(self, what: str, command: str) -> None:
        if self._in_a_cell:
            raise _kept(what, command)

    def show(self, secret: str) -> None:
        sys.stdout.write(f"{secret}\n")

    def show_briefly(self, secret: str) -> None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise ConfigError("This is shown on a terminal alone, not to a file or a program.")
        sys.stdout.write(f"\x1b[?1049h\x1b[2J\x1b[H{secret}\n\nPress Enter when you have written it down. ")
        sys.stdout.flush()
        try:
            sys.stdin.readline()
        finally:
            sys.stdout.write("\x1b[2J\x1b[?1049l")  # the other screen is wiped before one comes back from it
            sys.stdout.flush()

    @contextmanager
    def books(self) -> Iterator[Ledger]:
        from osaurus_nb.client import Client  # noqa: PLC0415 - heavy, and behind every command's --help

        with Client() as client:
            yield client.ledger

    @contextmanager
    def models(self) -> Iterator[Sequence[ModelCard]]:
        from osaurus_nb.client import Client  # noqa: PLC0415 - as above

        with Client() as client:
            yield client.models()

    def _refuse_waiting(self) -> None:
        """A cell's command is on a terminal of its own, at which nobody is: it would wait for ever."""
        if self._in_a_cell and sys.stdin.isatty():
            raise ConfigError("Nothing can be typed behind `!` in a cell. Use %osaurus, or a terminal.")


class Notebook:
    """Somebody in a cell. What is shown there is saved; what is typed at a prompt is not."""

    offers = False

    def __init__(
        self,
        *,
        connected: bool = False,
        books: Callable[[], Ledger] | None = None,
        models: Callable[[], Sequence[ModelCard]] | None = None,
    ) -> None:
        #: A kernel that is connected asks nobody by itself: what only it knows helps nobody.
        self.leaves = connected
        self._books = books
        self._models = models

    def spelled(self, command: str) -> str:
        return f"`%osaurus {command}`"

    def secret(self, prompt: str) -> str:
        if self.leaves:
            raise ConfigError(
                "The server keeps the secrets here, and what is typed in a cell passes through its kernel. Type it in "
                "a terminal of the server's machine: `osaurus-nb providers key NAME` or `osaurus-nb vault unlock`."
            )
        return asking.ask(prompt)

    def agrees(self, question: str, word: str) -> bool:
        try:
            return input(f"{question} Type '{word}' to go on: ").strip() == word
        except (EOFError, NotImplementedError):
            raise ConfigError("Nobody can be asked here. Nothing was changed.") from None

    def remark(self, text: str) -> None:
        raise AssertionError("a notebook is offered nothing")

    def alone(self, what: str, command: str) -> None:
        raise _kept(what, command)

    def show(self, secret: str) -> None:
        raise AssertionError("a notebook shows no secret")

    def show_briefly(self, secret: str) -> None:
        raise AssertionError("a notebook shows no secret")

    @contextmanager
    def books(self) -> Iterator[Ledger]:
        if self._books is None:
            raise AssertionError("a notebook whose client is not told has no books")
        yield self._books()  # its client stays open

    @contextmanager
    def models(self) -> Iterator[Sequence[ModelCard]]:
        if self._models is None:
            raise AssertionError("a notebook whose client is not told has no models")
        yield self._models()


def _kept(what: str, command: str) -> ConfigError:
    return ConfigError(
        f"What a cell shows is saved with its notebook, so {what} not shown here. "
        f"In a terminal: `osaurus-nb {command}`."
    )
