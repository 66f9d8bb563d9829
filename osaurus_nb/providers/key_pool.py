"""Several keys for one provider: which one is asked now, and for how long one that failed rests. Pure: no I/O.

The first key that does not rest is asked; the next one when it is rejected, has no credit left or is asked to slow
down, and once when the provider itself fails. A key is remembered by a keyed digest, never as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from osaurus_nb.errors import CredentialRejected, ProviderError, QuotaExhausted, RateLimited, Unavailable, Warned
from osaurus_nb.ports import Clock

#: Seconds that a key rests which was limited without a word for how long: doubled each time, to at most so many.
LIMITED, LONGEST = 15.0, 1800.0
#: Quotas come back with a new day or a payment: one that is used up is tried again at midnight UTC, and each hour.
EXHAUSTED = 3600.0
#: A key that may not do one thing may be allowed to later.
FORBIDDEN = 3600.0
#: Statuses of a fault that is not the key's, and may pass another request by; those of 5xx besides.
_PASSING = frozenset({408, 425})
_FAILING = 500
#: The status of a key that is none. Others that say no may mean this one thing alone.
_UNKNOWN = 401
_HELPFUL = (RateLimited, QuotaExhausted, CredentialRejected)


@dataclass(frozen=True, slots=True)
class Key:
    """One of a provider's keys. `position` counts from 1, in the order of preference."""

    position: int
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rest:
    """Why a key is not asked, until when (None: until it is another key), and how often that was so in a row."""

    why: str
    until: datetime | None
    times: int = 1


class KeyPool:
    """The keys of one provider. Shared by all that ask it.

    What is asked `about` is a model or a path: a key that is limited or forbidden for one may be free for others.
    """

    def __init__(self, clock: Clock, pepper: bytes) -> None:
        self._clock = clock
        self._pepper = pepper
        self._rests: dict[tuple[bytes, str | None], Rest] = {}

    def trial(self, keys: Iterable[Key], about: str, *, provider: str) -> Trial:
        """One question's way through these keys."""
        resting: list[tuple[Key, Rest]] = []
        healthy: list[Key] = []
        for key in keys:
            rest = self.rest(key, about)
            if rest is None:
                healthy.append(key)
            else:
                resting.append((key, rest))
        if not healthy and resting:  # a provider is never given up without asking: the one that rests the shortest
            nearest = min(resting, key=lambda found: _ends(found[1]))
            resting.remove(nearest)
            healthy.append(nearest[0])
        before = healthy[0].position if healthy else 0
        skipped = [_skipped(provider, key, rest) for key, rest in resting if key.position < before]
        return Trial(self, healthy, about, provider, tuple(skipped))

    def rest(self, key: Key, about: str) -> Rest | None:
        """Why the key is not to be asked now; None if it is."""
        now = self._clock.now()
        found = [rest for rest in map(self._rests.get, self._places(key, about)) if rest is not None]
        ahead = [rest for rest in found if rest.until is None or rest.until > now]
        return max(ahead, key=_ends, default=None)

    def failed(self, key: Key, about: str, fault: ProviderError) -> Rest | None:
        """Note what became of the key; None where that is not its own fault."""
        place = self._places(key, about)[0 if _is_of_all(fault) else 1]
        before = self._rests.get(place)
        rest = _rest(fault, self._clock.now(), before.times + 1 if before is not None else 1)
        if rest is not None:
            self._rests[place] = rest
        return rest

    def worked(self, key: Key, about: str) -> None:
        """The key was good for this."""
        if self._rests:
            for place in self._places(key, about):
                self._rests.pop(place, None)

    def _places(self, key: Key, about: str) -> tuple[tuple[bytes, None], tuple[bytes, str]]:
        digest = hashlib.blake2b(key.value.encode(), key=self._pepper, digest_size=16).digest()
        return (digest, None), (digest, about)


class Trial:
    """The keys that one question may be asked with, one after the other. Nothing may have been shown of an answer."""

    def __init__(
        self, pool: KeyPool, keys: Sequence[Key], about: str, provider: str, skipped: tuple[Warned, ...]
    ) -> None:
        self._pool = pool
        self._keys = list(keys)
        self._about = about
        self._provider = provider
        self._faults: list[ProviderError] = []
        self._failing = False
        #: Was there only one, so that none is ever replaced?
        self.alone = len(keys) < 2
        #: What to tell of keys that rest.
        self.skipped = skipped

    @property
    def key(self) -> Key | None:
        """The one to ask with now; None for a provider that wants none."""
        return self._keys[0] if self._keys else None

    def worked(self) -> None:
        if self.key is not None:
            self._pool.worked(self.key, self._about)

    def failed(self, fault: ProviderError) -> None:
        """Note the fault of the key, which is not replaced any more."""
        if self.key is not None:
            self._pool.failed(self.key, self._about, fault)

    def replaced(self, fault: ProviderError) -> Warned:
        """Go on to the next key, and what to tell. Raises the fault that helps most where there is none to go to."""
        key = self.key
        if key is None:
            raise fault
        rest = self._pool.failed(key, self._about, fault)
        if rest is None and (self._failing or not _is_passing(fault)):
            raise fault
        self._faults.append(fault)
        if len(self._keys) == 1:
            raise min(self._faults, key=_rank)
        self._failing = self._failing or rest is None
        del self._keys[0]
        return _skipped(self._provider, key, rest)


def _is_of_all(fault: ProviderError) -> bool:
    """Does it concern all that the key may ask for?"""
    return isinstance(fault, QuotaExhausted) or fault.upstream_status == _UNKNOWN


def _is_passing(fault: ProviderError) -> bool:
    """Is it a fault of the provider's that another request may not meet?"""
    status = fault.upstream_status
    if status is None:
        return isinstance(fault, Unavailable)
    return status in _PASSING or status >= _FAILING


def _rest(fault: ProviderError, now: datetime, times: int) -> Rest | None:
    match fault:
        case QuotaExhausted():
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            return Rest("its credit is used up", min(now + timedelta(seconds=EXHAUSTED), midnight), times)
        case RateLimited(retry_after=wait):
            seconds = wait if wait is not None else min(LIMITED * 2 ** min(times - 1, 10), LONGEST)
            return Rest("it is limited", now + timedelta(seconds=seconds), times)
        case CredentialRejected(upstream_status=status) if status == _UNKNOWN:
            return Rest("it was rejected", None, times)
        case CredentialRejected():
            return Rest("it is not allowed to do this", now + timedelta(seconds=FORBIDDEN), times)
        case _:
            return None


def _ends(rest: Rest) -> datetime:
    return rest.until or datetime.max.replace(tzinfo=UTC)


def _rank(fault: ProviderError) -> int:
    """What helps most: to wait, then to pay, then another key. What came first of those that help alike."""
    return next((rank for rank, kind in enumerate(_HELPFUL) if isinstance(fault, kind)), len(_HELPFUL))


def _skipped(provider: str, key: Key, rest: Rest | None) -> Warned:
    """Names the position, never the key."""
    why = rest.why if rest is not None else "the provider failed"
    until = f" It is left alone until {rest.until:%H:%M:%S} UTC." if rest is not None and rest.until is not None else ""
    return Warned("key_skipped", f"Key {key.position} of '{provider}' was passed over: {why}.{until}")
