"""What a caller from outside is told who may not spend the Router's credit. Pure."""

from __future__ import annotations

from typing import Final

from osaurus_nb.errors import Forbidden

#: What a key must be good for, beside asking for answers.
SPEND: Final = "spend"


class SpendingForbidden(Forbidden):
    """The key opens this endpoint, but not the purse."""

    code = "spending_not_allowed"


def refuse_spending(model: str) -> SpendingForbidden:
    """What a caller is told who may not."""
    return SpendingForbidden(
        f"'{model}' costs Osaurus Router credit, which this key may not spend. Issue a key with the scope '{SPEND}'."
    )
