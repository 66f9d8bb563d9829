"""Slows down whoever keeps failing to prove who they are. Pure: time is an argument's clock, addresses are strings."""

from __future__ import annotations

from collections import OrderedDict

from osaurus_nb.ports import Clock, SystemClock

#: Addresses remembered at most; the one that has been quiet longest is forgotten first.
_ADDRESSES = 4096


class Throttle:
    """At most `burst` failures in a row from one address, then one for every `every` seconds."""

    def __init__(self, *, burst: int = 20, every: float = 3.0, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._allowance = (burst - 1) * every
        self._every = every
        #: For each address, the moment up to which its failures have used the time.
        self._used: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        used = self._used.get(address)
        return 0.0 if used is None else max(0.0, used - self._allowance - self._clock.monotonic())

    def failed(self, address: str) -> None:
        """This address gave a key that opens nothing."""
        now = self._clock.monotonic()
        self._used[address] = max(now, self._used.get(address, now)) + self._every
        self._used.move_to_end(address)
        while len(self._used) > _ADDRESSES:
            self._used.popitem(last=False)
