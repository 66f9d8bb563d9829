"""All lines of the ledger in the order of its chain, for an export: also those that were ended since. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from osaurus_nb.ledger.chain import GENESIS
from osaurus_nb.ledger.schema import COLUMNS, entry_of
from osaurus_nb.spending import Entry

# One statement, so that nothing is trimmed between reading the anchor and the lines behind it.
_CHAIN = (
    f"SELECT seq, chain, {', '.join(COLUMNS)}, (SELECT anchor FROM head) FROM entries"  # noqa: S608 - our own words
    " ORDER BY seq"
)


def chain(connection: Any) -> tuple[str, Sequence[Entry]]:
    """The link of the last line that was trimmed, and every line behind it."""
    rows = connection.execute(_CHAIN).fetchall()
    anchors = [row[-1] for row in rows[:1]] or [found for (found,) in connection.execute("SELECT anchor FROM head")]
    return next(iter(anchors), GENESIS), [entry_of(row[:-1]) for row in rows]
