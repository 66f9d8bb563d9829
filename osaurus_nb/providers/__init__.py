"""The one room with a network, which alone knows the HTTP client, and `osaurus.providers`: its functions, lazily."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osaurus_nb.front import test, watch
    from osaurus_nb.providers.registry import (
        add,
        disable,
        edit,
        enable,
        find,
        key,
        list,
        offers,
        presets,
        problems,
        remove,
        reorder,
    )

__all__ = [
    "add",
    "disable",
    "edit",
    "enable",
    "find",
    "key",
    "list",
    "offers",
    "presets",
    "problems",
    "remove",
    "reorder",
    "test",
    "watch",
]
#: They need a client, which stands on this room.
_FROM_FRONT = frozenset({"test", "watch"})


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'osaurus_nb.providers' has no attribute '{name}'")
    return getattr(import_module("osaurus_nb.front" if name in _FROM_FRONT else "osaurus_nb.providers.registry"), name)


def __dir__() -> Sequence[str]:
    return sorted({*globals(), *__all__})
