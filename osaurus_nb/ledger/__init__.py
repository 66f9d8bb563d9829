"""What was spent, written down before and after each call: metered once, encrypted, and without a word of content.

It is `osaurus.ledger` too: the functions of `osaurus_nb.spent` are read off this module, before rooms of the same name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osaurus_nb.spent import budgets, entries, export, orphans, status, sum, verify, void

__all__ = ["budgets", "entries", "export", "orphans", "status", "sum", "verify", "void"]
_SPENT = frozenset({*__all__, "_repr_mimebundle_"})


class _Room(ModuleType):
    """They need a client, which stands on this room, so they are loaded when they are first asked for."""

    def __getattribute__(self, name: str) -> Any:
        # `budgets`, `export` and `verify` are modules here as well: whoever means those imports from them
        return getattr(import_module("osaurus_nb.spent"), name) if name in _SPENT else super().__getattribute__(name)

    def __dir__(self) -> Sequence[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Room
