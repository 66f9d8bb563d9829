"""The front door to the widgets: `osaurus.ui.chat()`. Loads them when they are asked for, and imports no surface."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Unpack

from osaurus_nb.client import Client
from osaurus_nb.options import ChatOptions

_NEEDED = frozenset({"anywidget", "ipywidgets", "osaurus_nb_widgets", "traitlets"})


def chat(client: Client | None = None, *, height: str | int = "480px", **options: Unpack[ChatOptions]) -> Any:
    """A chat with any model, to show in a cell: `osaurus.ui.chat(model="...", system="...")`.

    `options` are those of `Client.chat`. Raises ImportError, saying what to install, where there are no widgets.
    """
    return _widgets().Chat(client, height=height, **options)


def _widgets() -> Any:
    try:
        return import_module("osaurus_nb_widgets")  # by name: the SDK stands below every surface
    except ModuleNotFoundError as exc:
        if exc.name not in _NEEDED:
            raise
        raise ImportError(
            f"Widgets need '{exc.name}', which is not installed here: run `pip install 'osaurus-nb[jupyter]'` "
            "and restart the kernel.",
            name=exc.name,
        ) from exc
