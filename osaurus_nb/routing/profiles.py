"""Profiles by name: those that are shipped (`profiles.json`), and the user's own over them. Opens no file of theirs.

A profile is asked for as `osaurus/NAME`, `sage-router/NAME`, or by its bare name where no model has it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Protocol

from osaurus_nb.config.profiles.reading import Reading
from osaurus_nb.errors import ConfigError, RequestError, Warned
from osaurus_nb.models import LOCAL, ROUTER, Capabilities, ModelCard
from osaurus_nb.routes import Profile
from osaurus_nb.routing.requirements import LONG_CONTEXT

#: What stands before a profile's name where models are named.
PREFIXES = (f"{ROUTER}/", "sage-router/")
_FILE = "profiles.json"


class Own(Protocol):
    """The user's own profiles, as they are now."""

    def current(self) -> Reading:
        """The same object as long as nothing changed."""


class Profiles:
    """All profiles that can be asked for. Cheap to ask: the user's file is looked at, and read when it changed."""

    def __init__(self, own: Own | None = None) -> None:
        self._own = own
        self._known = _known(Reading())

    def find(self, name: str) -> Profile | None:
        """The profile that is meant, if one is. Raises ConfigError for one whose description is faulty.

        Nothing else may stand in for that: it may be what keeps questions on this machine.
        """
        bare, known = bare_name(name), self._current()
        if bare in known.faulty:
            raise ConfigError(f"The profile '{bare}' cannot be used. {known.faulty[bare]}")
        found = known.profiles.get(bare)
        if found is not None and known.damaged is not None:
            raise ConfigError(f"The profile '{bare}' cannot be used until that file is repaired. {known.damaged}")
        return found

    def named(self, name: str) -> Profile:
        """The profile of this name. Raises RequestError that lists them, ConfigError for a faulty one."""
        found = self.find(name)
        if found is None:
            near = difflib.get_close_matches(bare_name(name), self.names(), n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            there = ", ".join(self.names())
            raise RequestError(f"There is no profile '{name[:64]}'.{hint} There are: {there}.", param="profile")
        return found

    def names(self) -> Sequence[str]:
        """Bare names, the shipped ones first."""
        return tuple(self._current().profiles)

    def all(self) -> Sequence[Profile]:
        return tuple(self._current().profiles.values())

    def is_own(self, name: str) -> bool:
        """Is it the user's, and not shipped, or no longer as it was shipped?"""
        return self._current().profiles.get(name) != _shipped().get(name)

    @property
    def problems(self) -> Sequence[str]:
        """A sentence for each thing that is wrong with the user's file as it is now."""
        return self._current().problems

    def cards(self) -> Sequence[ModelCard]:
        """A card for each, for lists of models: `osaurus/auto` and the like. Not to be asked, and no candidates."""
        return self._current().cards

    def merged(self, cards: Sequence[ModelCard]) -> Sequence[ModelCard]:
        """The models, then the profiles. A model of the Router that is spelt like one cannot be named and is left out.

        What that is called is in `clashes`.
        """
        ours = self.cards()
        taken = {card.name for card in ours}
        return [*(card for card in cards if card.name not in taken), *ours]

    def clashes(self, cards: Sequence[ModelCard]) -> Sequence[Warned]:
        """A warning for each profile that is spelt like a model of these, which one then means."""
        known, found = self._current().profiles, list[Warned]()
        for card in cards:
            if card.provider == ROUTER and card.id in known:
                told = f"'{card.name}' means the profile '{card.id}', not the Router's model of the same name."
                found.append(Warned("profile_shadows_model", f"{told} Rename the profile to ask that model.", "model"))
            elif card.provider == LOCAL and card.id in known:
                told = f"'{card.id}' means the model on this machine; the profile is '{ROUTER}/{card.id}'."
                found.append(Warned("model_shadows_profile", told, "model"))
        return found

    def _current(self) -> _Known:
        reading = self._own.current() if self._own is not None else self._known.reading
        if reading is not self._known.reading:
            self._known = _known(reading)
        return self._known


def bare_name(name: str) -> str:
    """The name without what says that it is one of ours. The case does not count."""
    low = name.strip().lower()
    for prefix in PREFIXES:
        if low.startswith(prefix):
            return low.removeprefix(prefix)
    return low


def is_prefixed(name: str) -> bool:
    """Is it written as ours are, so that it cannot mean a model on this machine?"""
    return name.strip().lower().startswith(PREFIXES)


def shipped() -> Sequence[Profile]:
    """Those that come with this package."""
    return tuple(_shipped().values())


def card(profile: Profile) -> ModelCard:
    """A profile as lists of models show it. What it demands of models it can be taken to do."""
    asked = profile.requirements
    window = max(asked.min_context or 0, LONG_CONTEXT if asked.long_context else 0)
    return ModelCard(
        id=profile.name,
        provider=ROUTER,
        endpoint="loopback" if profile.mode == "local-strict" else "cloud",
        context_length=window or None,
        capabilities=Capabilities(
            tools=asked.tools or None,
            vision=asked.vision or None,
            audio=asked.audio or None,
            documents=asked.documents or None,
            json_schema=asked.json or None,
            reasoning=asked.reasoning or None,
            embeddings=False,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Known:
    reading: Reading
    profiles: Mapping[str, Profile]
    faulty: Mapping[str, str]
    cards: Sequence[ModelCard]

    @property
    def problems(self) -> Sequence[str]:
        return self.reading.problems

    @property
    def damaged(self) -> str | None:
        return self.reading.damaged


def _known(own: Reading) -> _Known:
    profiles = {**_shipped(), **{each.name: each for each in own.profiles}}
    usable = {name: each for name, each in profiles.items() if name not in own.faulty}
    return _Known(own, MappingProxyType(usable), own.faulty, tuple(map(card, usable.values())))


@cache
def _shipped() -> Mapping[str, Profile]:
    """Read once, when a profile is first asked for."""
    from osaurus_nb.config.profiles import document  # noqa: PLC0415 - brings the validation library

    found = document.read((files(__package__) / _FILE).read_bytes(), _FILE)
    if not found.sound:
        raise ValueError(" ".join(found.problems))
    return MappingProxyType({each.name: each for each in found.profiles})
