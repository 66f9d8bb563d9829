"""The notebook: magics, live output, completion. The only room that knows IPython, and it loads it on demand.

`%load_ext osaurus_nb` calls `load`. All state lives in a session that is registered with the shell.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from osaurus_nb.client import AsyncClient, Client

__all__ = ["load", "unload", "use"]


def load(ipython: InteractiveShell) -> None:
    """Register `%osaurus` and `%%osaurus`. Doing it again changes nothing."""
    _extension().load(ipython)


def unload(ipython: InteractiveShell) -> None:
    """Take back everything that `load` did."""
    _extension().unload(ipython)


def use(client: Client | AsyncClient, *, shell: InteractiveShell | None = None) -> None:
    """Let the magics of this notebook ask through `client`, e.g. `use(Client(model="..."))`. Loads them if need be."""
    _extension().use(client, shell)


def _extension() -> Any:
    return import_module("osaurus_nb.notebook.extension")
