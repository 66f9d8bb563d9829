"""In which order models are asked: the chain out of the ranking. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from osaurus_nb.routes import Mode
from osaurus_nb.routing.score import Weighed

#: A chain is never longer.
LONGEST = 8
#: Micro-dollars for a token, by a usual mix of both prices, up to which a model elsewhere is a cheap one.
CHEAP = 1.0
#: A model of at most this share of another one's size is a smaller one.
_SMALL = 0.7
_LOCAL, _SMALLER, _CHEAP, _FULL, _LAST = range(5)


def chain(entries: Sequence[Weighed], mode: Mode, length: int) -> Sequence[Weighed]:
    """The first to be asked, out of all, best first.

    The best of each provider comes before anybody's second, so that one provider's fault is not met twice. Under
    `local-first` the ladder goes down this machine before it goes up elsewhere: the best here, a smaller one here, a
    cheap one elsewhere, then any.
    """
    length = max(1, min(length, LONGEST))
    if mode == "local-first" and entries and entries[0].traits.local:
        return _ladder(entries, length)
    return _varied(entries, length)


def _varied(entries: Sequence[Weighed], length: int) -> list[Weighed]:
    seen: set[str] = set()
    heads: list[Weighed] = []
    for entry in entries:
        if entry.provider not in seen:
            seen.add(entry.provider)
            heads.append(entry)
            if len(heads) == length:
                return heads
    taken = {id(entry) for entry in heads}
    return heads + [entry for entry in entries if id(entry) not in taken][: length - len(heads)]


def _ladder(entries: Sequence[Weighed], length: int) -> list[Weighed]:
    tiers: tuple[list[Weighed], ...] = ([], [], [], [], [])
    best = entries[0]
    for entry in entries:
        tiers[_tier(entry, best)].append(entry)
    heads = [tier[0] for tier in tiers if tier][:length]
    taken = {id(entry) for entry in heads}
    spare = [entry for entry in _varied(entries, len(entries)) if id(entry) not in taken]
    chosen = heads + spare[: length - len(heads)]
    return sorted(chosen, key=lambda entry: (_tier(entry, best), entry.order))


def _tier(entry: Weighed, best: Weighed) -> int:
    model = entry.traits
    if entry.ejected:
        return _LAST
    if not model.local:
        return _CHEAP if model.paid is not None and model.paid <= CHEAP else _FULL
    smaller = (model.params_b or 0.0) <= _SMALL * (best.traits.params_b or 0.0)
    return _SMALLER if entry is not best and smaller else _LOCAL
