"""The providers' two files: read together, changed under one lock, each replaced in one step; never with a secret."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Unpack

from osaurus_nb._redaction import redact
from osaurus_nb.config.files import locked
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import documents, drafts, provider
from osaurus_nb.config.providers.fields import Changes, Fields, Record
from osaurus_nb.config.providers.presets import Preset
from osaurus_nb.config.providers.provider import Provider
from osaurus_nb.config.providers.slugs import RESERVED, assigned, slug
from osaurus_nb.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Contents:
    """The providers that can be read, in their order, and a sentence for each thing that cannot."""

    providers: Sequence[Provider]
    problems: Sequence[str] = ()


@dataclass(slots=True)
class _State:
    """Both files as they were read, and what they mean."""

    content: dict[str, Any]
    side: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    safe: bool = True
    rows: list[Any] = field(default_factory=list)
    providers: list[Provider] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def ours(self, id: str) -> Mapping[str, Any]:
        kept = self.side.get(id)
        return kept if isinstance(kept, dict) else {}


class ProviderFile:
    """Reads and changes the file. Every change re-reads it under a lock and replaces it in one step."""

    def __init__(self, paths: Paths) -> None:
        self.path = paths.providers
        self._side = self.path.with_name("osaurus-nb.json")

    def stamp(self) -> tuple[int, ...]:
        """Changes whenever the providers may have changed. Cheap."""
        return (*documents.stamp(self.path), *documents.stamp(self._side))

    def load(self) -> Sequence[Provider]:
        """All providers that can be read, in the file's order; none when there is no file."""
        return self.read().providers

    def read(self) -> Contents:
        """All that can be read, and what is wrong with the rest."""
        state = self._state()
        if any(p.slug != slug(p.name) and state.ours(p.id).get("slug") != p.slug for p in state.providers):
            self._remember()
        return Contents(tuple(state.providers), (*state.problems, *documents.leftovers(self.path, self._side)))

    def add(
        self, name: str, url: str | None = None, /, *, preset: Preset | None = None, **said: Unpack[Fields]
    ) -> Provider:
        """Set up a provider at `url`, or where `preset` says. Raises ConfigError that names what is wrong.

        A name that is in use may be given again: the slug gets a number.
        """
        if slug(name) in RESERVED:
            raise ConfigError(f"'{name.strip()}' is a name of ours. Choose another one.", param="name")
        if url is not None:
            said["url"] = url
        record = Record({"id": str(uuid.uuid4()).upper()})
        drafts.start(record, preset, {**said, "name": name})
        provider.read(record.row, record.ours, "")
        with self._changing() as state:
            state.rows.append(record.row)
            state.side[record.row["id"]] = record.ours
        return provider.read(record.row, record.ours, state.names[record.row["id"]])

    def edit(
        self, name: str, check: Callable[[Provider, Provider], None] | None = None, /, **said: Unpack[Changes]
    ) -> Provider:
        """Change what is said and leave the rest, also what we do not know. Raises ConfigError.

        `check` sees the provider as it was and as it would be, and may refuse.
        """
        if slug(str(said.get("name", ""))) in RESERVED:
            raise ConfigError("That is a name of ours. Choose another one.", param="name")
        return self._edit(name, lambda record, known: drafts.change(record, known, said), check)

    def remove(self, name: str) -> Provider:
        """Forget a provider and return what it was: whoever keeps its secrets forgets them too."""
        with self._changing() as state:
            gone = _find(state, name)
            state.rows = [row for row in state.rows if not _is(row, gone.id)]
            state.side.pop(gone.id, None)
        return gone

    def reorder(self, names: Sequence[str]) -> Sequence[Provider]:
        """Put the named ones first, in this order; the rest follows as it was."""
        with self._changing() as state:
            first = [_find(state, name).id for name in names]
            rank = {id: number for number, id in enumerate(dict.fromkeys(first))}
            state.rows.sort(key=lambda row: next((rank[id] for id in rank if _is(row, id)), len(rank)))
        return self.load()

    def find(self, name: str) -> Provider:
        """The provider of this id, slug or name. Raises ConfigError if there is none, or more than one."""
        return _find(self._state(), name)

    def _edit(
        self,
        name: str,
        change: Callable[[Record, Provider], None],
        check: Callable[[Provider, Provider], None] | None = None,
    ) -> Provider:
        with self._changing() as state:
            known = _find(state, name)
            at = next(number for number, row in enumerate(state.rows) if _is(row, known.id))
            record = Record(dict(state.rows[at]), dict(state.ours(known.id)))
            change(record, known)
            edited = provider.read(record.row, record.ours, "")
            if check is not None:
                check(known, edited)
            state.rows[at], state.side[known.id] = record.row, record.ours
        return provider.read(record.row, record.ours, state.names[known.id])

    @contextmanager
    def _changing(self) -> Iterator[_State]:
        """The state to change, read under the lock; it is written at the end of the block."""
        try:
            with locked(self.path):
                state = self._state()
                if not state.safe:
                    raise ConfigError(" ".join((*state.problems, "Nothing was changed.")))
                yield state
                self._write(state)
        except OSError as exc:
            raise ConfigError(f"Cannot write in {self.path.parent}: {exc.strerror}. Nothing was changed.") from exc

    def _remember(self) -> None:
        """Keep the numbers that were given to names: the app knows none, and one could change hands."""
        with suppress(OSError, ConfigError), locked(self.path):
            state = self._state()
            if state.safe and not state.problems:
                documents.write(self._side, self._beside(state))

    def _state(self) -> _State:
        app, side = documents.read(self.path), documents.read(self._side)
        problems = [document.problem for document in (app, side) if document.problem is not None]
        state = _State(app.content, side.content, problems, app.safe and side.safe)
        state.rows = list(app.content.get("providers", []))
        sound = self._sound(state)
        names = assigned(sound, state.side)
        for row in sound:
            with self._naming(state, row):
                state.providers.append(provider.read(row, state.ours(row["id"]), names[row["id"]]))
        return state

    def _sound(self, state: _State) -> list[dict[str, Any]]:
        """The rows that have an id and a name; the others are named and kept as they are."""
        sound: dict[str, dict[str, Any]] = {}
        for row in state.rows:
            with self._naming(state, row):
                provider.check_identity(row)
                if row["id"] in sound:
                    raise ConfigError("another entry has the same id")
                sound[row["id"]] = row
        return list(sound.values())

    @contextmanager
    def _naming(self, state: _State, row: object) -> Iterator[None]:
        try:
            yield
        except ConfigError as error:
            number = next(at for at, other in enumerate(state.rows, start=1) if other is row)
            name = row.get("name") if isinstance(row, dict) else None
            called = f" ('{redact(name)[:40]}')" if isinstance(name, str) and name.isprintable() else ""
            told = str(error).rstrip(".")
            state.problems.append(f"Entry {number}{called} of {self.path.name} is left out: {told}.")

    def _write(self, state: _State) -> None:
        """The side file first: what is kept for an entry is there before the entry is."""
        side = self._beside(state)
        if side or any(documents.stamp(self._side)):
            documents.write(self._side, side)
        documents.write(self.path, {**state.content, "providers": state.rows})

    def _beside(self, state: _State) -> dict[str, Any]:
        """What to keep in the side file. While anything is wrong or may be restored, nothing is thrown away."""
        sound = [row for row in state.rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
        state.names = assigned([row for row in sound if isinstance(row.get("name"), str)], state.side)
        unsettled = state.problems or documents.leftovers(self.path)
        kept = dict(state.side) if unsettled else {row["id"]: state.ours(row["id"]) for row in sound}
        return kept | {id: {**state.ours(id), "slug": name} for id, name in state.names.items()}


def _is(row: object, id: str) -> bool:
    return isinstance(row, dict) and row.get("id") == id


def _find(state: _State, name: str) -> Provider:
    exact = [p for p in state.providers if name in (p.id, p.slug)]
    found = exact or [p for p in state.providers if p.name == name.strip()]
    found = found or [p for p in state.providers if p.slug == slug(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{len(found)} providers are named '{name}': say {' or '.join(p.slug for p in found)}.")
    names = [p.slug for p in state.providers]
    near = difflib.get_close_matches(slug(name), names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else f" Set up: {', '.join(names) or 'none yet'}."
    raise ConfigError(f"There is no provider '{redact(name)[:60]}'.{hint}")
