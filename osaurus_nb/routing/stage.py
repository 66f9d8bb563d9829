"""Who chooses and remembers where faults are made on purpose: not who does in earnest, for as long as a block lasts."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from osaurus_nb.ports import Clock
from osaurus_nb.routing.choosing import Chooser
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.sticky import Sticky
from osaurus_nb.trouble import Rehearsal

#: Blocks that are remembered at once; of older ones the breakers are forgotten.
MOST = 16


class Stage:
    """One for each runtime."""

    def __init__(self, earnest: Chooser, clock: Clock) -> None:
        self._earnest = earnest
        self._clock = clock
        self._kept: OrderedDict[str, Chooser] = OrderedDict()

    def chooser(self, rehearsal: Rehearsal | None) -> Chooser:
        """In earnest the runtime's own; in a rehearsal the same rules with a health that starts well."""
        if rehearsal is None:
            return self._earnest
        kept = self._kept.get(rehearsal.id) if rehearsal.id else None
        if kept is None:
            kept = replace(self._earnest, health=Health(self._clock), sticky=Sticky())
        if rehearsal.id:
            self._kept[rehearsal.id] = kept
            self._kept.move_to_end(rehearsal.id)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return kept
