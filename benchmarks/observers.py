"""What it costs a stream to be watched: nanoseconds for each piece of an answer, by who watches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import _measure as measure

from osaurus_nb.events import Finished, TextDelta
from osaurus_nb.ports import Observation, Observer, Step, SystemClock
from osaurus_nb.telemetry.listeners import Listeners
from osaurus_nb.telemetry.metrics import Metrics
from osaurus_nb.telemetry.spans import Spans

#: The most that a piece may cost with metrics and spans on.
GOAL = 500.0
PIECES = 50_000


class Everything:
    """Wants each piece, and does nothing with it."""

    def observe(self, note: Observation) -> None: ...


def each(observers: Sequence[Observer]) -> float:
    """Nanoseconds for a piece that is not the first."""
    piece = TextDelta("word ")
    with Listeners(observers, SystemClock()).to(Step("s", "r", "m", 0.0)) as tell:
        tell(piece)
        began = time.perf_counter_ns()
        for _ in range(PIECES):
            tell(piece)
        took = time.perf_counter_ns() - began
        tell(Finished("stop"))
    return took / PIECES


def main() -> None:
    given = measure.arguments(__doc__, rounds=15, quick=2)
    watching: dict[str, Sequence[Observer]] = {
        "nobody": (),
        "metrics and spans": (Metrics(), Spans()),
        "one that wants each piece": (Everything(),),
    }
    taken = measure.alternate({name: partial(each, who) for name, who in watching.items()}, given.rounds)
    rows = {name: measure.medians([[figure] for figure in figures]) for name, figures in taken.items()}
    measure.table("for each piece of an answer", ("ns, median",), rows)
    measure.verdict("metrics and spans on", rows["metrics and spans"][0], GOAL, unit=" ns")


if __name__ == "__main__":
    main()
