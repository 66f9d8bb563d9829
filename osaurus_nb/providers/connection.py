"""How it stands with one provider, as a value, and what each thing that happens makes of it. Pure: no I/O, no clock.

    connect ──▶ connecting ──▶ connected ◀─ look: asks again, 10 s apart
                    │              │
                    └──▶ error ◀───┘     transient ones are retried quietly, later and later
    disable, disconnect, edit: a new epoch; what the old one still brings is dropped

A connection only says that its list of models is being fetched; who holds it starts and stops the fetch accordingly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from osaurus_nb.models import ConnectionState, Diagnosis, ModelCard

#: Looks that are closer together than this many seconds see the same list.
LOOK_APART = 10.0
#: Seconds before the first quiet retry; they double, up to the second number.
FIRST_RETRY, LAST_RETRY = 1.0, 60.0
#: The share of a wait that chance may take off, so that many who were cut off together do not return together.
JITTER = 0.5
#: Faults that are over once a question was answered; a list that is missing or odd is so all the same.
_ENDS = frozenset(
    {
        "missing-credential",
        "oauth-token-missing",
        "auth-rejected",
        "endpoint-unreachable",
        "tls-failure",
        "timeout",
        "proxy-connect-failed",
        "request-rejected",
    }
)


@dataclass(frozen=True, slots=True)
class Connection:
    """`cards` is the list while it is connected; `known` the last one, for names, through transient faults too.

    Until `spared_until` it wants to be left alone, as it said: then only its user has it asked.

    `mark` stands for the credential of the last fetch: with another one, an error is worth a new try.
    """

    epoch: int = 0
    enabled: bool = True
    auto: bool = True
    parted: bool = False
    fetching: bool = False
    cards: tuple[ModelCard, ...] | None = None
    known: tuple[ModelCard, ...] = ()
    diagnosis: Diagnosis | None = None
    failures: int = 0
    asked_at: float | None = None
    retry_at: float | None = None
    spared_until: float = 0.0
    mark: int | None = None

    @property
    def state(self) -> ConnectionState:
        if not self.enabled:
            return "disabled"
        if self.cards is not None:
            return "connected"
        if self.diagnosis is not None:
            return "error"
        return "connecting" if self.fetching else "disconnected"

    @property
    def transient(self) -> bool:
        """Did it fail in a way that may pass by itself?"""
        return self.diagnosis is not None and self.diagnosis.severity == "warning"


def connect(held: Connection, now: float, mark: int | None = None) -> Connection:
    """Somebody wants it: a fetch under way serves him too, and a fault that was shown is forgotten."""
    if not held.enabled:
        return held
    wanted = replace(held, diagnosis=None, retry_at=None, parted=False)
    return wanted if held.fetching else _fetch(wanted, now, mark)


def disconnect(held: Connection) -> Connection:
    """The user parts from it, until he connects again."""
    return replace(_anew(held), parted=True)


def disable(held: Connection) -> Connection:
    return replace(_anew(held), enabled=False)


def edit(held: Connection, *, auto: bool = True) -> Connection:
    """Another address, key or format: nothing of before holds. Also how a disabled one is enabled."""
    return replace(_anew(held), enabled=True, auto=auto)


def launch(held: Connection, now: float, mark: int | None = None) -> Connection:
    """At the start those connect that the user lets connect by themselves."""
    first = held.auto and not held.parted and held.asked_at is None
    return connect(held, now, mark) if first else held


def look(held: Connection, now: float, mark: int | None = None, *, apart: float = LOOK_APART) -> Connection:
    """Somebody looks at the list: a connected or a passing one is asked again, unless it just was."""
    if not held.enabled or held.fetching or held.asked_at is None:
        return held
    rested = now - held.asked_at >= apart and now >= held.spared_until
    if (held.cards is not None or held.transient) and rested:
        return _fetch(held, now, mark)
    return _fetch(held, now, mark) if held.diagnosis is not None and mark != held.mark else held


def doubt(held: Connection, now: float, mark: int | None = None) -> Connection:
    """Questions find nobody there: its list tells whether that is so, and when that is over."""
    fit = held.enabled and not held.fetching and held.cards is not None and now >= held.spared_until
    return _fetch(held, now, mark) if fit else held


def due(held: Connection, now: float, mark: int | None = None) -> Connection:
    """Time passed: the quiet retry begins when its moment has come."""
    return _fetch(held, now, mark) if held.retry_at is not None and now >= held.retry_at else held


def wake(held: Connection, now: float, mark: int | None = None) -> Connection:
    """The network or the machine is back: what failed in passing is retried at once, the waits begin anew."""
    if not held.transient or held.fetching or now < held.spared_until:
        return held
    return _fetch(replace(held, failures=0), now, mark)


def answered(held: Connection, now: float, mark: int | None = None) -> Connection:
    """It answered a question: what kept its list away is over, also where that was a key that it rejected."""
    told = held.diagnosis is not None and held.diagnosis.bucket in _ENDS
    if not told or held.fetching or (held.asked_at is not None and now - held.asked_at < LOOK_APART):
        return held
    return _fetch(held, now, mark)


def fetched(held: Connection, epoch: int, cards: Sequence[ModelCard]) -> Connection:
    """The list came. That of an older epoch is dropped."""
    if not _awaits(held, epoch):
        return held
    listed = tuple(cards)
    return replace(held, fetching=False, cards=listed, known=listed, diagnosis=None, failures=0, retry_at=None)


def failed(
    held: Connection, epoch: int, diagnosis: Diagnosis, now: float, *, chance: float, retry_after: float | None = None
) -> Connection:
    """No list came. `chance` is from 0 to 1; `retry_after` what the provider asked for."""
    if not _awaits(held, epoch):
        return held
    told = replace(held, fetching=False, cards=None, diagnosis=diagnosis, retry_at=None)
    if not told.transient:
        return replace(told, known=(), failures=0)
    spared = now + (retry_after or 0.0)
    again = max(now + pause(held.failures, chance), spared)
    return replace(told, failures=held.failures + 1, retry_at=again, spared_until=spared)


def pause(failures: int, chance: float) -> float:
    """Seconds before the next quiet retry, after so many failures before this one."""
    return min(FIRST_RETRY * 2.0 ** min(failures, 32), LAST_RETRY) * (1 - JITTER * chance)


def _anew(held: Connection) -> Connection:
    return Connection(epoch=held.epoch + 1, enabled=held.enabled, auto=held.auto)


def _fetch(held: Connection, now: float, mark: int | None) -> Connection:
    return replace(held, fetching=True, retry_at=None, asked_at=now, mark=mark)


def _awaits(held: Connection, epoch: int) -> bool:
    return held.fetching and held.epoch == epoch
