"""What a provider's own list of calls says about lines that never came to their end. Pure; guesses nothing.

A line whose writer died is settled where the list names its request, or holds one call, and one alone, of its model and
figures at its time. It is struck only where the list surely reaches back beyond it and holds no call that it could be.
Whatever is not sure stays as it is, and is told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from osaurus_nb.models import Usage
from osaurus_nb.spending import Cost, Entry, Kind

#: Seconds by which the clocks of two machines may differ, and a call's beginning from its end.
NEAR = 300.0
#: Seconds after which a call is over, and in the list, if it ever will be.
OVER = 3600.0
_RANK: Mapping[Kind, int] = {"open": 0, "void": 1, "settle": 2}
_PENDING = frozenset({"pending", "open", "reserved", "processing", "in_progress", "running", "streaming"})

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Listed:
    """A call as its provider lists it. What cannot be read is None; `at` is Unix seconds."""

    id: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_micro: int | None
    at: float | None
    request_id: str | None = None
    status: str = ""

    @property
    def final(self) -> bool:
        """Is it known what it cost, for good?"""
        return self.cost_micro is not None and self.status.lower() not in _PENDING


@dataclass(frozen=True, slots=True)
class Match:
    """A line that has its end, and the call in the list that it is."""

    line: Entry
    listed: Listed


@dataclass(frozen=True, slots=True)
class Loose:
    """A charge that no line of the ledger surely is: made elsewhere, lost, or that of one of `perhaps`."""

    listed: Listed
    perhaps: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconciled:
    """`settled` and `voided` are lines to add; a line that was struck too soon is among the settled. The rest is told.

    `waiting` lines stay open. `told` ones have their end, with another cost than in the list, or with none that is
    known; no line is ever written a second time.
    """

    settled: tuple[Entry, ...] = ()
    voided: tuple[Entry, ...] = ()
    waiting: tuple[Entry, ...] = ()
    told: tuple[Match, ...] = ()
    loose: tuple[Loose, ...] = ()


def reconcile(lines: Sequence[Entry], listed: Sequence[Listed], now: float) -> Reconciled:
    """`lines` are one provider's: ended ones and those without an end. `listed` is its list, newest first, from `now`
    back to some time."""
    calls = list({call.id: call for call in listed}.values())
    lines = _last(lines)
    ended, struck, open = (_of(lines, kind) for kind in ("settle", "void", "open"))
    orphans = [line for line in open if line.orphan]
    pairs = _Pairs(calls)
    for some in (ended, open, struck):
        pairs.by(_id, some, _call_id)
        pairs.by(_step, some, _call_step)
    gaps = _Gaps(calls, pairs.free())  # what is paired by its figures alone proves nothing about another line
    pairs.by(_figures, ended, _call_figures, fits=_may_be)
    pairs.by(_figures, orphans, _call_figures, fits=_may_be)
    found = pairs.found
    settled = [_settled(line, found[_name(line)]) for line in orphans if _is_final(found.get(_name(line)))]
    late = [_settled(line, found[_name(line)]) for line in struck if _is_charged(found.get(_name(line)))]
    missing = [line for line in orphans if _name(line) not in found and _name(line) not in pairs.unclear]
    voided = _voided(missing, ended, gaps, now)
    gone = {_name(line) for line in (*settled, *voided)}
    waiting = tuple(line for line in orphans if _name(line) not in gone)
    return Reconciled(
        settled=(*settled, *late),
        voided=tuple(voided),
        waiting=waiting,
        told=tuple(_differing(ended, found)),
        loose=tuple(_loose(pairs.free(), lines, (*waiting, *filter(_is_vague, ended)))),
    )


def likely(done: Reconciled) -> tuple[Entry, ...]:
    """Lines to add where somebody says so: each waiting one that alone could be a charge, and could be no other."""
    single = [(loose.perhaps[0], loose.listed) for loose in done.loose if len(loose.perhaps) == 1]
    times = Counter(_name(line) for loose in done.loose for line in loose.perhaps)
    fitting = [(line, call) for line, call in single if line.orphan and call.final and times[_name(line)] == 1]
    return tuple(_settled(line, call) for line, call in fitting)


def _last(lines: Iterable[Entry]) -> list[Entry]:
    """For each attempt the line that holds: its settle, else its void, else what was opened."""
    best: dict[tuple[str, int], Entry] = {}
    for line in lines:
        known = best.setdefault(_name(line), line)
        if _RANK[line.kind] > _RANK[known.kind]:
            best[_name(line)] = line
    return list(best.values())


def _of(lines: Iterable[Entry], kind: Kind) -> list[Entry]:
    return [line for line in lines if line.kind == kind]


class _Pairs:
    """Which line is which call. Both are taken once, and only where neither could be another's."""

    def __init__(self, calls: Sequence[Listed]) -> None:
        self._calls = calls
        self._taken: set[str] = set()
        self.found: dict[tuple[str, int], Listed] = {}
        #: Lines that are in the list, though nobody can say as which call.
        self.unclear: set[tuple[str, int]] = set()

    def by(
        self,
        of_line: Callable[[Entry], Iterable[K]],
        lines: Iterable[Entry],
        of_call: Callable[[Listed], Iterable[K]],
        *,
        fits: Callable[[Entry, Listed], bool] = lambda line, call: True,
    ) -> None:
        """Pair by what both say."""
        said = _grouped(self.free(), of_call)
        wanted: dict[str, list[Entry]] = defaultdict(list)
        choices: dict[tuple[str, int], dict[str, Listed]] = {}
        for line in lines:
            if _name(line) in self.found:
                continue
            fitting = {call.id: call for key in of_line(line) for call in said.get(key, ()) if fits(line, call)}
            choices[_name(line)] = fitting
            for id in fitting:
                wanted[id].append(line)
        for name, fitting in choices.items():
            match list(fitting.values()):
                case [call] if len(wanted[call.id]) == 1:
                    self.found[name] = call
                    self._taken.add(call.id)
                case [_, *_]:
                    self.unclear.add(name)
                case _:
                    pass

    def free(self) -> list[Listed]:
        return [call for call in self._calls if call.id not in self._taken]


class _Gaps:
    """Where a list surely holds nothing that was not accounted for."""

    def __init__(self, calls: Sequence[Listed], free: Sequence[Listed]) -> None:
        times = [call.at for call in calls]
        known = [at for at in times if at is not None]
        # One without a time, or out of order: who can say then where it ends?
        sound = len(known) == len(times) and known == sorted(known, reverse=True)
        self._reach = known[-1] if sound and known else None
        self._free = [call.at for call in free if call.at is not None]

    def covers(self, at: float, now: float) -> bool:
        """Is a call that was sent then surely not in it?"""
        reached = self._reach is not None and self._reach < at - NEAR and at + OVER < now
        return reached and not any(at - NEAR <= free <= at + OVER for free in self._free)


def _name(line: Entry) -> tuple[str, int]:
    return line.step, line.attempt


def _id(line: Entry) -> list[str]:
    return [line.request_id] if line.request_id else []


def _call_id(call: Listed) -> list[str]:
    return [call.request_id] if call.request_id else []


def _step(line: Entry) -> list[tuple[str, str]]:
    """What there is of us in the key under which a provider was asked; it stands in for an id that it did not give."""
    return [(line.step, line.model)]


def _call_step(call: Listed) -> list[tuple[str, str]]:
    parts = (call.request_id or "").split(":")
    return [(parts[-2], call.model)] if len(parts) > 2 else []


def _figures(line: Entry) -> list[tuple[str, int, int]]:
    """Nothing where nobody counted: an estimate that is equal says nothing."""
    counted = line.usage.total and not line.usage.estimated
    return [(line.model, line.usage.total_input, line.usage.total_output)] if counted else []


def _call_figures(call: Listed) -> list[tuple[str, int, int]]:
    return [(call.model, call.input_tokens, call.output_tokens)]


def _may_be(line: Entry, call: Listed) -> bool:
    """Near in time, and not two ids of the same provider for it."""
    return call.at is not None and abs(call.at - line.at) <= NEAR and not (_their_id(line) and call.request_id)


def _their_id(line: Entry) -> str | None:
    """The provider's own id for it. Before it charges, and where it gives none, a line has one of ours."""
    ours = line.cost.source != "provider" or f":{line.step}:" in (line.request_id or "")
    return None if ours else line.request_id


def _is_final(call: Listed | None) -> bool:
    return call is not None and call.final


def _is_charged(call: Listed | None) -> bool:
    return call is not None and call.final and call.cost_micro != 0


def _is_vague(line: Entry) -> bool:
    """It has its end, but what it cost is not what the provider said."""
    return line.cost.source not in ("provider", "free")


def _settled(line: Entry, call: Listed) -> Entry:
    """Its end as the provider tells it. Nobody saw the answer."""
    return replace(
        _anew(line),
        kind="settle",
        at=call.at if call.at is not None else line.at,
        request_id=call.request_id or line.request_id,
        usage=Usage(call.input_tokens, call.output_tokens),
        token_source="reconciled",  # noqa: S106 - no password
        cost=Cost(call.cost_micro, "provider"),
        outcome="error",
    )


def _anew(line: Entry) -> Entry:
    """Without what the ledger adds to a line."""
    return replace(line, seq=0, chain="", alive=None)


def _voided(orphans: Iterable[Entry], ended: Iterable[Entry], gaps: _Gaps, now: float) -> list[Entry]:
    """Those that surely cost nothing, or whose key was charged once and has its end in another line."""
    charged = {line.idempotency for line in ended if line.idempotency and line.cost.source == "provider"}
    gone = [line for line in orphans if line.idempotency in charged or gaps.covers(line.at, now)]
    return [replace(_anew(line), kind="void", at=now) for line in gone]


def _differing(ended: Iterable[Entry], found: Mapping[tuple[str, int], Listed]) -> Iterable[Match]:
    for line in ended:
        call = found.get(_name(line))
        if call is not None and call.final and call.cost_micro != line.cost.micro:
            yield Match(line, call)


def _loose(free: Sequence[Listed], lines: Sequence[Entry], open: Sequence[Entry]) -> Iterable[Loose]:
    """Charges from the ledger's own time on; what was before it is not looked for in it."""
    began = min((line.at for line in lines), default=None)
    for call in free:
        if call.cost_micro == 0 or (began is not None and call.at is not None and call.at < began - NEAR):
            continue
        yield Loose(call, tuple(line for line in open if _could_be(line, call)))


def _could_be(line: Entry, call: Listed) -> bool:
    late = OVER if line.kind == "open" else NEAR
    return call.model == line.model and call.at is not None and line.at - NEAR <= call.at <= line.at + late


def _grouped(values: Iterable[T], of: Callable[[T], Iterable[K]]) -> Mapping[K, list[T]]:
    groups: dict[K, list[T]] = defaultdict(list)
    for value in values:
        for key in of(value):
            groups[key].append(value)
    return groups
