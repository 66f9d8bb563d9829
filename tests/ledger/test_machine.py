"""The ledger against a model of it, through whatever calls and processes do to each other: never lost, never double."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from osaurus_nb.config.paths import Paths
from osaurus_nb.ledger.chain import broken_at
from osaurus_nb.ledger.schema import SELECT, entry_of
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.spending import Query
from tests.ledger.conftest import Still, slots_of
from tests.ledger.lines import opened, settled, voided

CAP = 400
SCOPE = "day:x"
Call = tuple[str, int, str]  # step, attempt, the key under which the provider charges once


@dataclass
class Line:
    """What should be known of one attempt. `writer` is the process that wrote it, or None when that is gone."""

    kind: str
    reserved: int
    cost: int
    writer: int | None


class Ledgers(RuleBasedStateMachine):
    """Two processes, or one after the other. Costs are between nothing and more than was set aside."""

    calls: Bundle[Call] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = Path(tempfile.mkdtemp())
        self.slots = slots_of(self.home)
        self.stores: dict[int, LedgerStore] = {}
        self.numbers, self.names = count(1), count(1)
        self.lines: dict[tuple[str, int], Line] = {}
        self.charged: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.start(0)

    @rule(target=calls, which=st.integers(0, 1), reserve=st.integers(0, 150))
    def ask(self, which: int, reserve: int) -> Any:
        """A new step; what a user retries is one too."""
        step = f"s{next(self.numbers)}"
        return self.opened(which, (step, 1, f"k{step}"), reserve)

    @rule(target=calls, call=calls, which=st.integers(0, 1), reserve=st.integers(0, 150))
    def fail_over(self, call: Call, which: int, reserve: int) -> Any:
        """Another candidate answers the same step, under another key."""
        number = next(self.numbers)
        return self.opened(which, (call[0], number + 1, f"k{call[0]}-{number}"), reserve)

    @rule(target=calls, call=calls, which=st.integers(0, 1), reserve=st.integers(0, 150))
    def reconnect(self, call: Call, which: int, reserve: int) -> Any:
        """The same request is sent again under the same key, and charged once."""
        return self.opened(which, (call[0], next(self.numbers) + 1, call[2]), reserve)

    @rule(call=calls, which=st.integers(0, 1), cost=st.integers(0, 200))
    def settle(self, call: Call, which: int, cost: int) -> None:
        """Its end, perhaps not the first, perhaps from another process."""
        step, attempt, key = call
        self.store(which).add(settled(step, attempt, cost, idempotency=key))
        self.run(self.store(which).flush())
        self.ended(call, "settle", cost)

    @rule(call=calls, which=st.integers(0, 1))
    def void(self, call: Call, which: int) -> None:
        """It never was sent."""
        if self.lines[call[:2]].kind == "open":
            self.store(which).add(voided(*call[:2]))
            self.run(self.store(which).flush())
            self.ended(call, "void", 0)

    @rule(call=consumes(calls), which=st.integers(0, 1), cost=st.integers(0, 200))
    def crash_while_settling(self, call: Call, which: int, cost: int) -> None:
        """The line may have made it to the disk or not; nothing else changes."""
        step, attempt, key = call
        self.store(which).add(settled(step, attempt, cost, idempotency=key))
        self.crash(which)
        [*_, now] = [line.kind for line in self.found() if (line.step, line.attempt) == call[:2]]
        if now == self.lines[call[:2]].kind:
            return
        self.ended(call, "settle", cost)

    @rule(which=st.integers(0, 1))
    def crash(self, which: int) -> None:
        """What it had open has nobody to end it; what waited in its memory is gone."""
        if (store := self.stores.pop(which, None)) is not None:
            if store._pid:
                store._writer._queue.clear()
            store._opener.remember = lambda *_: None  # type: ignore[method-assign]
            self.run(store.aclose())
            self.forget(self.names_of[which])

    @rule(which=st.integers(0, 1))
    def close(self, which: int) -> None:
        if (store := self.stores.pop(which, None)) is not None:
            self.run(store.aclose())
            self.forget(self.names_of[which])

    @invariant()
    def nothing_is_lost_or_double(self) -> None:
        found = {(line.step, line.attempt): line for line in self.found()}

        assert {place: line.kind for place, line in found.items()} == {p: line.kind for p, line in self.lines.items()}
        assert {place: line.orphan for place, line in found.items()} == {
            place: line.kind == "open" and line.writer is None for place, line in self.lines.items()
        }

    @invariant()
    def sums_are_right(self) -> None:
        held = sum(line.reserved for line in self.lines.values() if line.kind == "open")
        spent = sum(line.cost for line in self.lines.values() if line.kind == "settle")

        assert self.run(self.store(0).spent([SCOPE])) == [(spent, held)]

    def teardown(self) -> None:
        lines = self.run_chain()
        for store in self.stores.values():
            self.run(store.aclose())
        self.loop.close()
        shutil.rmtree(self.home)
        assert broken_at(lines) is None

    def opened(self, which: int, call: Call, reserve: int) -> Any:
        step, attempt, key = call
        known = sum(line.reserved if line.kind == "open" else line.cost for line in self.lines.values())
        entry = opened(step, attempt, idempotency=key, reserved_micro=reserve)

        over = self.run(self.store(which).open(entry, {SCOPE: CAP}))

        assert (over is not None) == (known + reserve > CAP)
        if over is not None:
            return multiple()
        self.lines[step, attempt] = Line("open", reserve, 0, self.names_of[which])
        return call

    def ended(self, call: Call, kind: str, cost: int) -> None:
        line = self.lines[call[:2]]
        if line.kind == "settle" or (line.kind == "void" and call[2] in self.charged):
            return
        if kind == "settle" and call[2] in self.charged:
            kind, cost = "void", 0
        if kind == "settle":
            self.charged.add(call[2])
        self.lines[call[:2]] = Line(kind, 0, cost, None)

    def store(self, which: int) -> LedgerStore:
        if which not in self.stores:
            self.start(which)
        return self.stores[which]

    def start(self, which: int) -> None:
        self.stores[which] = LedgerStore(Paths(self.home), self.slots, clock=Still())
        self.names_of = {**getattr(self, "names_of", {}), which: next(self.names)}

    def forget(self, writer: int) -> None:
        for line in self.lines.values():
            if line.writer == writer:
                line.writer = None

    def found(self) -> list[Any]:
        """One line for each attempt: a settle that came after a void stands for both."""
        lines = self.run(self.store(0).entries(Query(limit=10_000)))
        return [line for line in reversed(lines) if line.kind != "settle"] + [x for x in lines if x.kind == "settle"]

    def run_chain(self) -> list[Any]:
        if not self.lines:
            return []
        rows = f"{SELECT} ORDER BY seq"
        self.run(self.store(0).entries())
        return self.store(0)._desk.read(lambda db: [entry_of(row) for row in db.execute(rows)])

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)


TestLedgers = Ledgers.TestCase
TestLedgers.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
