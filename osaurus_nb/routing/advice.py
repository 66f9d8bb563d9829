"""Who could do what the asked model cannot. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from osaurus_nb.errors import OsaurusError, Unsupported
from osaurus_nb.models import ModelCard

#: Names in one sentence.
_NAMED = 5


def advised(error: OsaurusError, cards: Iterable[ModelCard]) -> OsaurusError:
    """A refusal of what a model cannot do, with the names of those that are known to."""
    if not isinstance(error, Unsupported) or error.needs is None:
        return error
    able = sorted(card.name for card in cards if getattr(card.capabilities, error.needs))[:_NAMED]
    who = f"Models here that can: {', '.join(able)}." if able else "No model here is known to be able to."
    return Unsupported(f"{error.message} {who}", param=error.param)
