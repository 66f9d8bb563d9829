"""What this process knows it has spent while the ledger cannot be written, so that caps hold meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from osaurus_nb.spending import Cap, Entry, Overrun

#: What was set aside for one attempt, by scope.
Holds = Mapping[tuple[str, int], Mapping[str, int]]


class Tally:
    """What has changed since the ledger was last read. `holds` are those that it had then."""

    def __init__(self, holds: Holds) -> None:
        self._holds = dict(holds)
        self._known: dict[str, tuple[int, int]] = {}
        self._settled: dict[str, int] = {}
        self._reserved: dict[str, int] = {}

    def learn(self, sums: Mapping[str, tuple[int, int]]) -> None:
        """What the ledger says of these scopes; the first word on each counts."""
        self._known = {**sums, **self._known}

    def open(self, entry: Entry, scopes: Mapping[str, int | None]) -> Overrun | None:
        needed = entry.reserved_micro
        for (scope, limit), (settled, reserved) in zip(scopes.items(), self.spent(tuple(scopes)), strict=True):
            if limit is not None and settled + reserved + needed > limit:
                return Overrun(Cap(scope, limit), settled, reserved, needed)
        self._holds[entry.step, entry.attempt] = dict.fromkeys(scopes, needed)
        for scope in scopes:
            self._reserved[scope] = self._reserved.get(scope, 0) + needed
        return None

    def close(self, entry: Entry) -> None:
        for scope, held in self._holds.pop((entry.step, entry.attempt), {}).items():
            cost = 0 if entry.kind == "void" else held if entry.cost.micro is None else entry.cost.micro
            self._settled[scope] = self._settled.get(scope, 0) + cost
            self._reserved[scope] = self._reserved.get(scope, 0) - held

    def spent(self, scopes: Sequence[str]) -> list[tuple[int, int]]:
        sums = [(scope, *self._known.get(scope, (0, 0))) for scope in scopes]
        return [(a + self._settled.get(scope, 0), b + self._reserved.get(scope, 0)) for scope, a, b in sums]
