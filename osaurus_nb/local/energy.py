"""How much energy this machine's processors took, where the kernel lets us read it: Linux's RAPL counters.

It counts all that runs on the machine, so that a difference between two readings is an estimate, from above. Since 2020
the counters are readable by root alone unless an administrator says otherwise, and macOS tells root alone: then None.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")
#: Parts that do not contain each other. `core` and `uncore` are in the package, `psys` contains all.
_PARTS = ("package", "dram")


@dataclass(slots=True)
class _Zone:
    """One counter of microjoules. It begins anew after `span`."""

    path: Path
    span: int
    last: int
    total: int = 0

    def read(self) -> int:
        now = int(self.path.read_text())
        self.total += now - self.last if now >= self.last else now - self.last + self.span
        self.last = now
        return self.total


class Energy:
    """One for each process; any thread may ask. Counters that are not there at first are not looked for again."""

    def __init__(self, root: Path = _POWERCAP) -> None:
        self._lock = threading.Lock()
        self._zones = [zone for path in sorted(root.glob("intel-rapl:*")) if (zone := _zone(path)) is not None]

    def joules(self) -> float | None:
        """Joules since this object was made; only differences mean something. None where nobody tells.

        Right as long as no counter goes round twice between two readings, which takes many minutes at full load.
        """
        with self._lock:
            try:
                return sum(zone.read() for zone in self._zones) / 1e6 if self._zones else None
            except (OSError, ValueError):
                self._zones = []
                return None


def _zone(path: Path) -> _Zone | None:
    try:
        if not (path / "name").read_text().startswith(_PARTS):
            return None
        counter = path / "energy_uj"
        return _Zone(counter, int((path / "max_energy_range_uj").read_text()), int(counter.read_text()))
    except (OSError, ValueError):
        return None
