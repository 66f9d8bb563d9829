"""What this process knows it has spent while the ledger cannot be written, so that caps hold meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from osaurus_nb.spending import Cap, Entry, Overrun

Base = Callable[[Sequence[str]], Sequence[tuple[int, int]]]


class Tally:
    """Sums on top of what the ledger said when it was last readable: `base` is asked once for each scope."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._sums: dict[str, list[int]] = {}
        self._held: dict[tuple[str, int], tuple[int, tuple[str, ...]]] = {}

    def open(self, entry: Entry, scopes: Mapping[str, int | None]) -> Overrun | None:
        self._learn([scope for scope in scopes if scope not in self._sums])
        needed = entry.reserved_micro
        for scope, limit in scopes.items():
            settled, reserved = self._sums[scope]
            if limit is not None and settled + reserved + needed > limit:
                return Overrun(Cap(scope, limit), settled, reserved, needed)
        self._held[entry.step, entry.attempt] = (needed, tuple(scopes))
        for scope in scopes:
            self._sums[scope][1] += needed
        return None

    def close(self, entry: Entry) -> None:
        held, scopes = self._held.pop((entry.step, entry.attempt), (0, ()))
        cost = 0 if entry.kind == "void" else held if entry.cost.micro is None else entry.cost.micro
        for scope in scopes:
            self._sums[scope][0] += cost
            self._sums[scope][1] -= held

    def spent(self, scopes: Sequence[str]) -> list[tuple[int, int]]:
        self._learn([scope for scope in scopes if scope not in self._sums])
        return [(self._sums[scope][0], self._sums[scope][1]) for scope in scopes]

    def _learn(self, scopes: Sequence[str]) -> None:
        if scopes:
            for scope, (settled, reserved) in zip(scopes, self._base(scopes), strict=True):
                self._sums[scope] = [settled, reserved]
