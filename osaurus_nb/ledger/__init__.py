"""What was spent, written down before and after each call: metered once, encrypted, and without a word of content.

It is `osaurus.ledger` too: the functions of `osaurus_nb.spent`, lazily.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osaurus_nb.spent import budgets, entries, export, orphans, status, sum, verify, void

__all__ = ["budgets", "entries", "export", "orphans", "status", "sum", "verify", "void"]


def __getattr__(name: str) -> Any:
    """They need a client, which stands on this room."""
    if name not in __all__ and name != "_repr_mimebundle_":
        raise AttributeError(f"module 'osaurus_nb.ledger' has no attribute '{name}'")
    return getattr(import_module("osaurus_nb.spent"), name)


def __dir__() -> Sequence[str]:
    return sorted({*globals(), *__all__})
