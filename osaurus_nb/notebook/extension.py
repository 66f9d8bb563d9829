"""Registers the session, magics, completion and formatter with a shell, and takes them back."""

from __future__ import annotations

from typing import Any

from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell

from osaurus_nb import origin
from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.errors import ConfigError
from osaurus_nb.notebook.completion import matcher
from osaurus_nb.notebook.magics import OsaurusMagics
from osaurus_nb.notebook.questions import Question
from osaurus_nb.notebook.session import Session
from osaurus_nb.reply import Reply

_NAME = OsaurusMagics.__name__


def load(shell: InteractiveShell) -> None:
    """Everything that a notebook needs. Doing it again changes nothing."""
    if _magics(shell) is not None:
        return
    session = Session(shell)
    magics = OsaurusMagics(shell, session, matcher(session))
    shell.register_magics(magics)
    shell.Completer.custom_matchers.append(magics.matcher)
    shell.input_transformer_manager.token_transformers.insert(0, Question)
    shell.events.register("post_run_cell", session.cell_ended)
    _formatter(shell).for_type(Reply, session.display)
    origin.process().add(session.cells)


def unload(shell: InteractiveShell) -> None:
    """Leave nothing behind."""
    if (magics := _magics(shell)) is None:
        return
    origin.process().remove(magics.session.cells)
    _formatter(shell).pop(Reply, None)
    shell.events.unregister("post_run_cell", magics.session.cell_ended)
    shell.input_transformer_manager.token_transformers.remove(Question)
    shell.Completer.custom_matchers.remove(magics.matcher)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("osaurus", None)
    del shell.magics_manager.registry[_NAME]
    magics.session.close()


def use(client: Client | AsyncClient, shell: InteractiveShell | None = None) -> None:
    """Let the magics ask through `client`, which stays the caller's to close."""
    shell = shell or get_ipython()
    if shell is None:
        raise ConfigError("There is no IPython here whose magics could use this client.")
    load(shell)
    magics = _magics(shell)
    assert magics is not None  # it was just loaded
    magics.session.use(client)


def _magics(shell: InteractiveShell) -> OsaurusMagics | None:
    found = shell.magics_manager.registry.get(_NAME)
    return found if isinstance(found, OsaurusMagics) else None


def _formatter(shell: InteractiveShell) -> Any:  # IPython's formatters are untyped
    assert shell.display_formatter is not None  # every shell that is set up has one
    return shell.display_formatter.ipython_display_formatter
