"""The user's file of profiles: read when it changed, never written."""

from __future__ import annotations

from dataclasses import dataclass, replace

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.profiles.reading import Reading
from osaurus_nb.config.providers.documents import stamp

NAME = "profiles.json"


@dataclass(frozen=True, slots=True)
class _Seen:
    stamp: tuple[int, ...]
    reading: Reading
    good: Reading | None


class ProfileFile:
    """Reads `$OSAURUS_HOME/profiles.json`. One may be shared between threads."""

    def __init__(self, paths: Paths) -> None:
        self.path = paths.home / NAME
        self._seen: _Seen | None = None

    def current(self) -> Reading:
        """What is in force, with what is wrong with the file; the same object while it stays as it is. Never raises.

        Of a faulty file what was read before stays in force; where nothing was, the profiles that are right in it.
        """
        now, seen = stamp(self.path), self._seen
        if seen is None or seen.stamp != now:
            seen = self._seen = self._look(now, seen.good if seen is not None else None)
        return seen.reading

    def _look(self, now: tuple[int, ...], good: Reading | None) -> _Seen:
        found = self._read()
        if found.sound:
            return _Seen(now, found, found)
        if good is None:
            rest = "Until it is repaired, no profile can be used." if found.damaged else "The rest of it is in force."
            return _Seen(now, replace(found, problems=(*found.problems, f"{NAME}: {rest}")), None)
        still = f"{NAME}: what it said before stays in force."
        return _Seen(now, replace(good, problems=(*found.problems, still)), good)

    def _read(self) -> Reading:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Reading()
        except OSError as exc:
            told = f"{NAME}: it cannot be read: {exc.strerror}."
            return Reading(problems=(told,), damaged=told)
        from osaurus_nb.config.profiles import document  # noqa: PLC0415 - brings the validation library

        return document.read(data, NAME)
