"""The vault's file: read again when it changed, replaced in one step, never written over when it cannot be read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from osaurus_nb.config.files import locked
from osaurus_nb.config.paths import write_private
from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets.sealing import Broken, Sealed, TooNew, parse
from osaurus_nb.secrets.values import SecretsLocked, VaultDamaged

Stamp = tuple[int, ...]


class VaultFile:
    """Shared by every process of this home. Reading takes no lock between processes: the file is only ever replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[Stamp, Sealed] | None = None

    def read(self) -> Sealed | None:
        """The vault as it is now; None where there is none. Raises VaultDamaged for one that it had to put aside."""
        while True:
            stamp = self._stamp()
            try:
                return self.load()
            except Broken:
                if stamp is not None and self._put_aside(stamp):
                    raise self._damaged() from None

    def load(self) -> Sealed | None:
        """The same, but damage is raised as Broken, and the file stays where it is."""
        with self._lock:
            stamp = self._stamp()
            if stamp is None:
                self._seen = None
                return None
            if self._seen is None or self._seen[0] != stamp:
                self._seen = stamp, self._parsed()
            return self._seen[1]

    def condemn(self, altered: Callable[[Sealed], bool]) -> VaultDamaged:
        """Put the file aside if it is broken now, or whole but `altered` by someone without its key."""
        stamp = self._stamp()
        try:
            now = self.load()
            bad = now is not None and altered(now)
        except Broken:
            bad = True
        if stamp is not None and bad:
            self._put_aside(stamp)
        return self._damaged()

    @contextmanager
    def held(self) -> Iterator[None]:
        """No other process changes the file meanwhile. Whoever holds it asks nobody: others wait."""
        try:
            with locked(self.path):
                yield
        except OSError as exc:
            raise ConfigError(f"Cannot write {self.path}: {exc.strerror}. Nothing was changed.") from None

    def replace(self, data: bytes) -> None:
        """Only while it is held."""
        write_private(self.path, data)

    def set_aside(self) -> tuple[str, ...]:
        """The names of damaged vaults that are still kept."""
        return tuple(sorted(file.name for file in self.path.parent.glob(f"{self.path.name}.damaged-*")))

    def _parsed(self) -> Sealed:
        try:
            return parse(self.path.read_bytes())
        except TooNew:
            raise SecretsLocked(f"{self.path} was written by a newer osaurus-nb. Update this one to use it.") from None
        except OSError as exc:
            raise ConfigError(f"Cannot read {self.path}: {exc.strerror}.") from None

    def _stamp(self) -> Stamp | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise ConfigError(f"Cannot read {self.path}: {exc.strerror}.") from None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size

    def _put_aside(self, stamp: Stamp) -> bool:
        """False where another process put it aside, or a new one in its place, meanwhile."""
        with suppress(ConfigError), self.held():  # where nothing can be written, it stays as it is
            if self._stamp() != stamp:
                return False
            base = f"{self.path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
            names = (base if number == 1 else f"{base}-{number}" for number in count(1))
            self.path.rename(next(name for name in map(self.path.with_name, names) if not name.exists()))
        return True

    def _damaged(self) -> VaultDamaged:
        kept = self.set_aside()
        return VaultDamaged(
            f"{self.path} was damaged or altered: none of it was used. It was kept as {kept[-1] if kept else 'it is'}; "
            "put back a copy of yours, or enter the keys again."
        )
