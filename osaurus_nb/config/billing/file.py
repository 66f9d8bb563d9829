"""The file of billing settings: read when it changed, changed under a lock, replaced in one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from osaurus_nb.config.billing import document
from osaurus_nb.config.billing.settings import BillingSettings
from osaurus_nb.config.files import locked
from osaurus_nb.config.paths import Paths, write_private
from osaurus_nb.config.providers.documents import stamp
from osaurus_nb.errors import ConfigError

_NAME = "billing/settings.json"


@dataclass(frozen=True, slots=True)
class _Seen:
    stamp: tuple[int, ...]
    settings: BillingSettings
    problems: Sequence[str]


class BillingFile:
    """Reads and changes the settings. One may be shared between threads."""

    def __init__(self, paths: Paths) -> None:
        self.path = paths.home / "billing" / "settings.json"
        self._seen: _Seen | None = None

    def read(self) -> BillingSettings:
        """What is in force. Cheap while the file stays as it is; never raises.

        Of a faulty file what was read before stays in force; where nothing was, what is right in it.
        """
        return self._current().settings

    @property
    def problems(self) -> Sequence[str]:
        """A sentence for each thing that is wrong with the file as it is now."""
        return self._current().problems

    def edit(self, change: Callable[[BillingSettings], BillingSettings]) -> BillingSettings:
        """Write what `change` makes of the settings as they are in the file now. May wait for another process.

        Raises ConfigError, and changes nothing, where the file is faulty, cannot be written or would become faulty.
        """
        try:
            with locked(self.path):
                return self._edit(change)
        except OSError as exc:
            raise ConfigError(f"Cannot write {self.path}: {exc.strerror}. Nothing was changed.") from exc

    def _edit(self, change: Callable[[BillingSettings], BillingSettings]) -> BillingSettings:
        known = self._reading()
        if not known.sound:
            raise ConfigError(f"{' '.join(_told(known))} Repair {self.path} first. Nothing was changed.")
        wanted = change(known.settings)
        text = document.changed(known, wanted)
        found = document.read(text)
        if not found.sound or found.settings != wanted:
            raise ConfigError(f"{' '.join(_told(found))} Nothing was changed.".lstrip())
        write_private(self.path, text)
        return wanted

    def _current(self) -> _Seen:
        now, seen = stamp(self.path), self._seen
        if seen is None or seen.stamp != now:
            seen = self._seen = self._look(now, seen)
        return seen

    def _look(self, now: tuple[int, ...], before: _Seen | None) -> _Seen:
        try:
            found = self._reading()
        except OSError as exc:
            found = document.Reading(problems=(f"it cannot be read: {exc.strerror}.",), sound=False)
        if found.sound:
            return _Seen(now, found.settings, _told(found))
        if before is not None:
            return replace(before, stamp=now, problems=(*_told(found), "What it said before stays in force."))
        rest = "No budget is in force" if found.settings == BillingSettings() else "Only the rest of it is in force"
        return _Seen(now, found.settings, (*_told(found), f"{rest} until it is repaired."))

    def _reading(self) -> document.Reading:
        try:
            return document.read(self.path.read_bytes())
        except FileNotFoundError:
            return document.Reading()


def _told(found: document.Reading) -> tuple[str, ...]:
    return tuple(f"{_NAME}: {problem}" for problem in found.problems)
