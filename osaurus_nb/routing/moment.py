"""What holds for now, laid over models that were weighed already: for the few that it concerns. Pure."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from osaurus_nb import money
from osaurus_nb.models import ModelCard
from osaurus_nb.routes import Label, Rejected
from osaurus_nb.routing import score
from osaurus_nb.routing.filters import Ask, cost
from osaurus_nb.routing.learning import Record
from osaurus_nb.routing.requirements import Size
from osaurus_nb.routing.score import Weighed
from osaurus_nb.routing.shelf import BY_ORDER, Field
from osaurus_nb.routing.traits import Traits

#: How many of the best are considered for a question that may find something out, and how much dearer one may be.
_CURIOUS, _DEARER = 8, 2.0


def _unknown(card: ModelCard, label: Label) -> Record | None:
    return None


def _nothing(card: ModelCard) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known at this moment, beside the models.

    `wait` and `record` are asked for every model; `troubled` (providers that may have something to wait for) and
    `known` (names of models that may have a record) spare that for all others, where they are given.

    `wait`: seconds until a model may be asked, None: now. `ejected`: providers to ask last. `record`: what was learnt.
    `resident`: ids of local models that are in memory. `fits`: does a local model fit into it? `held`: the name of the
    model that this conversation is with. `budget_left_micro`: the least that is left under the caps that hold.
    `explore`: a number from 0 to 1 if this question may be used to find something out.
    """

    wait: Callable[[ModelCard], float | None] = _nothing
    ejected: frozenset[str] = frozenset()
    record: Callable[[ModelCard, Label], Record | None] = _unknown
    resident: frozenset[str] = frozenset()
    fits: Callable[[ModelCard], bool | None] = _nothing
    held: str | None = None
    budget_left_micro: int | None = None
    explore: float | None = None
    troubled: Collection[str] | None = None
    known: Collection[str] | None = None


#: Nothing is known of this moment.
CALM = Situation()


class Moment:
    """What this moment changes about a field."""

    def __init__(self, field: Field, situation: Situation, size: Size, asked: Ask) -> None:
        self._now = situation
        self._size = size
        self._asked = asked
        self._field = field.learnt(self._records(field))

    def entries(self, *, budget: int | None) -> tuple[Sequence[Weighed], list[Rejected]]:
        """Those that may answer now, best first, and all that may not."""
        field = self._field
        refused = self._refused(budget)
        changed = self._changed(refused)
        if not refused and not changed:
            return field.entries, list(field.rejected)
        entries = field.without([*refused, *changed])
        for name, values in changed.items():
            insort(entries, field.counts.rank(field.by_name[name].traits, values), key=BY_ORDER)
        return entries, [*field.rejected, *refused.values()]

    def exploring(self, entries: Sequence[Weighed], drawn: float) -> tuple[Sequence[Weighed], Weighed | None]:
        """The same, with a little in favour of one that nobody has tried lately and that costs not much more."""
        if len(entries) < 2:
            return entries, None
        most = (cost(entries[0].traits, self._size) or 0.0) * _DEARER
        curious = [entry for entry in entries[1:_CURIOUS] if self._untried(entry, most)]
        if not curious:
            return entries, None
        chosen = curious[min(int(drawn * len(curious)), len(curious) - 1)]
        values = score.opened(chosen.values)
        score.put(values, explore=1.0)
        tried = self._field.counts.rank(chosen.traits, values)
        return sorted((tried if entry is chosen else entry for entry in entries), key=BY_ORDER), tried

    def _untried(self, entry: Weighed, most: float) -> bool:
        price = cost(entry.traits, self._size)
        return (
            not entry.ejected
            and price is not None
            and price <= most
            and self._now.record(entry.traits.card, self._asked.label) is None
        )

    def _refused(self, budget: int | None) -> dict[str, Rejected]:
        wait, entries, troubled = self._now.wait, self._field.entries, self._now.troubled
        doubtful = entries
        if troubled is not None:
            doubtful = [entry for entry in entries if entry.provider in troubled] if troubled else []
        refused = {
            entry.model: _resting(entry.traits, seconds)
            for entry in doubtful
            if (seconds := wait(entry.traits.card)) is not None
        }
        for entry in self._field.at_home:
            there = entry.traits.card.id in self._now.resident or entry.model in refused
            if not there and self._now.fits(entry.traits.card) is False:
                refused[entry.model] = _too_large(entry.traits)
        dearest = self._field.dearest[0] * self._size.prompt + self._field.dearest[1] * self._size.answer
        if budget is not None and dearest > budget:
            for entry in entries:
                price = cost(entry.traits, self._size)
                if price is not None and price > budget and entry.model not in refused:
                    refused[entry.model] = _too_dear(entry.traits, price, budget)
        return refused

    def _records(self, field: Field) -> dict[str, Record]:
        record, label = self._now.record, self._asked.label
        if self._now.known is None:
            entries = field.entries
        else:
            entries = [field.by_name[name] for name in self._now.known if name in field.by_name]
        return {entry.model: told for entry in entries if (told := record(entry.traits.card, label)) is not None}

    def _changed(self, refused: Collection[str]) -> dict[str, list[float]]:
        """The terms of those of whom something else is known now."""
        now, field = self._now, self._field
        found: dict[str, list[float]] = {}

        def terms(entry: Weighed) -> list[float]:
            return found.setdefault(entry.model, score.opened(entry.values))

        for entry in field.at_home if now.resident else ():
            if entry.traits.card.id in now.resident:
                score.put(terms(entry), resident=1.0, loading=0.0)
        if now.held is not None and now.held in field.by_name:
            score.put(terms(field.by_name[now.held]), held=1.0)
        for entry in field.entries if now.ejected else ():
            if entry.provider in now.ejected:
                score.put(terms(entry), ejected=1.0)
        return {name: values for name, values in found.items() if name not in refused}


def _resting(model: Traits, seconds: float) -> Rejected:
    when = f"in {seconds:.0f} s" if seconds >= 1 else "in a moment"
    return Rejected(
        model.name,
        "resting",
        f"It failed too often lately; it is asked again {when}.",
        f"wait, or test it now with `%osaurus providers test {model.provider}`",
    )


def _too_large(model: Traits) -> Rejected:
    return Rejected(
        model.name, "memory", "It does not fit into this machine's free memory.", "close what uses the memory"
    )


def _too_dear(model: Traits, cost: float, left: int) -> Rejected:
    figures = f"about {money.row(round(cost))}, and {money.row(left)} is left under the caps"
    return Rejected(model.name, "budget", f"It would cost {figures}.", "raise the cap, or ask for a shorter answer")
