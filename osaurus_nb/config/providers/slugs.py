"""The names that models are listed under: one for each provider, and the same one as long as its name stays. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from osaurus_nb.models import LOCAL

#: Names that are ours and cannot be a provider's.
RESERVED = frozenset({LOCAL, "osaurus"})


def slug(name: str) -> str:
    """How a provider of this name is called if no other has the name."""
    return re.sub(r"[ /]", "-", name.strip().lower())


def assigned(rows: Sequence[Mapping[str, Any]], kept: Mapping[str, Any]) -> dict[str, str]:
    """The slug of each row, by its id: the one that was remembered, else the first that is free."""
    taken: dict[str, str] = {}
    for row in rows:
        known = kept.get(row["id"])
        remembered = known.get("slug") if isinstance(known, dict) else None
        if _fits(remembered, slug(row["name"])) and remembered not in taken.values():
            taken[row["id"]] = str(remembered)
    for row in rows:
        if row["id"] not in taken:
            used = RESERVED.union(taken.values())
            taken[row["id"]] = next(free for free in _choices(slug(row["name"])) if free not in used)
    return taken


def _fits(remembered: object, base: str) -> bool:
    if not isinstance(remembered, str) or remembered in RESERVED:
        return False
    return remembered == base or re.fullmatch(rf"{re.escape(base)}-\d+", remembered) is not None


def _choices(base: str) -> itertools.chain[str]:
    return itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
