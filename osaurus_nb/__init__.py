"""One client for every model, local or remote, in the notebook.

    import osaurus_nb as osaurus
    osaurus.Client().chat("What is the capital of France?")

Nothing heavy is imported until it is used, and nothing here touches the network.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from osaurus_nb import ledger, providers, ui
    from osaurus_nb.caps import budget
    from osaurus_nb.client import AsyncClient, Client
    from osaurus_nb.dataframe import embed, search
    from osaurus_nb.dataframe import map as map
    from osaurus_nb.errors import OsaurusError
    from osaurus_nb.front import explain, pull, status
    from osaurus_nb.messages import Message, assistant, image, system, user
    from osaurus_nb.notebook.nested import allow_nested_loop
    from osaurus_nb.rehearsal import chaos
    from osaurus_nb.reply import Reply
    from osaurus_nb.request import ResponseFormat, Tool

__version__ = "0.1.0"

#: Public name -> the module that it comes from.
_DOORS = {
    "AsyncClient": "osaurus_nb.client",
    "Client": "osaurus_nb.client",
    "Message": "osaurus_nb.messages",
    "OsaurusError": "osaurus_nb.errors",
    "Reply": "osaurus_nb.reply",
    "ResponseFormat": "osaurus_nb.request",
    "Tool": "osaurus_nb.request",
    "allow_nested_loop": "osaurus_nb.notebook.nested",
    "assistant": "osaurus_nb.messages",
    "budget": "osaurus_nb.caps",
    "chaos": "osaurus_nb.rehearsal",
    "embed": "osaurus_nb.dataframe",
    "explain": "osaurus_nb.front",
    "image": "osaurus_nb.messages",
    "ledger": "osaurus_nb.ledger",
    "map": "osaurus_nb.dataframe",
    "providers": "osaurus_nb.providers",
    "pull": "osaurus_nb.front",
    "search": "osaurus_nb.dataframe",
    "status": "osaurus_nb.front",
    "system": "osaurus_nb.messages",
    "ui": "osaurus_nb.ui",
    "user": "osaurus_nb.messages",
}
#: The names that mean a whole module.
_MODULES = frozenset({"ledger", "providers", "ui"})
#: Without `map`: `import *` must not hide Python's own.
__all__ = [
    "AsyncClient",
    "Client",
    "Message",
    "OsaurusError",
    "Reply",
    "ResponseFormat",
    "Tool",
    "allow_nested_loop",
    "assistant",
    "budget",
    "chaos",
    "embed",
    "explain",
    "image",
    "ledger",
    "providers",
    "pull",
    "search",
    "status",
    "system",
    "ui",
    "user",
]


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"module 'osaurus_nb' has no attribute '{name}'")
    module = import_module(_DOORS[name])
    found = module if name in _MODULES else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_DOORS, *__all__})


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """`%load_ext osaurus_nb`."""
    import_module("osaurus_nb.notebook").load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """`%unload_ext osaurus_nb`: leaves nothing behind."""
    import_module("osaurus_nb.notebook").unload(ipython)
