"""Who may spend the Router's credit over HTTP: the rule for callers from outside. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol

from osaurus_nb.errors import Forbidden

#: What a key must be good for, beside asking for answers.
SPEND: Final = "spend"


class Scoped(Protocol):
    """A key, as far as this rule looks at it."""

    @property
    def scopes(self) -> Collection[str]: ...


class SpendingForbidden(Forbidden):
    """The key opens this endpoint, but not the purse."""

    code = "spending_not_allowed"


def may_spend(key: Scoped | None, *, open_to_all: bool = False) -> bool:
    """May whoever has this key use models that cost Router credit? `open_to_all` is the user's own way out."""
    return open_to_all or (key is not None and SPEND in key.scopes)


def refuse_spending(model: str) -> SpendingForbidden:
    """What a caller is told who may not."""
    return SpendingForbidden(
        f"'{model}' costs Osaurus Router credit, which this key may not spend. Issue a key with the scope '{SPEND}'."
    )
