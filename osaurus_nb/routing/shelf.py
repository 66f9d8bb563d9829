"""What follows from the models at hand alone, made once for each list of them and kept. Pure; keeps no question.

A question of the same kind (needs, size, intent) finds the models weighed already: what remains is what holds for now.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from osaurus_nb.models import LOCAL, ModelCard
from osaurus_nb.routes import Rejected
from osaurus_nb.routing.filters import Ask, refusal, standing
from osaurus_nb.routing.learning import Record
from osaurus_nb.routing.requirements import Size
from osaurus_nb.routing.score import Table, Weighed, Weights, learnt, opened, weights
from osaurus_nb.routing.traits import traits

#: Kinds of questions that are kept for one list of models, and lists of models.
_KINDS, _LISTS = 64, 4


BY_ORDER = operator.attrgetter("order")


class Field:
    """All models, for one kind of question: those that may answer, best first, and those that may not."""

    def __init__(
        self,
        counts: Weights,
        entries: Sequence[Weighed],
        rejected: Sequence[Rejected],
        dearest: tuple[float, float],
    ) -> None:
        self.counts = counts
        self.entries = entries
        self.rejected = rejected
        self.by_name = {entry.model: entry for entry in entries}
        #: Those of this machine's own engine.
        self.at_home = [entry for entry in entries if entry.provider == LOCAL]
        #: The highest prices of the list, so that money is looked at only where it may matter.
        self.dearest = dearest
        self._laid: tuple[Sequence[Record], Field] | None = None

    def learnt(self, records: Mapping[str, Record]) -> Field:
        """The same models with what was learnt of these: kept for as long as the very same records are told."""
        if not records:
            return self
        told = list(records.values())
        if self._laid is None or len(self._laid[0]) != len(told) or not all(map(operator.is_, self._laid[0], told)):
            self._laid = (told, self._with(records))
        return self._laid[1]

    def without(self, names: Iterable[str]) -> list[Weighed]:
        """Those that may answer, but for these."""
        left = list(self.entries)
        places = (bisect_left(left, self.by_name[name].order, key=BY_ORDER) for name in names if name in self.by_name)
        for place in sorted(places, reverse=True):
            del left[place]
        return left

    def _with(self, records: Mapping[str, Record]) -> Field:
        changed = []
        for name, record in records.items():
            values = opened(self.by_name[name].values)
            learnt(values, record)
            changed.append(self.counts.rank(self.by_name[name].traits, values))
        return Field(self.counts, sorted([*self.without(records), *changed], key=BY_ORDER), self.rejected, self.dearest)


class Shelf:
    """One list of models."""

    def __init__(self, cards: Sequence[ModelCard]) -> None:
        self.cards = tuple(cards)
        unique = {card.name: card for card in self.cards}
        self.models = [traits(card) for card in unique.values()]
        self._table = Table(self.models)
        self._windows = sorted({model.window for model in self.models if model.window is not None})
        self._dearest = (
            max((model.price_in or 0.0 for model in self.models), default=0.0),
            max((model.price_out or 0.0 for model in self.models), default=0.0),
        )
        self._fields: dict[Ask, Field] = {}

    def holds(self, cards: Sequence[ModelCard]) -> bool:
        """Are these the very same cards?"""
        return cards is self.cards or (len(cards) == len(self.cards) and all(map(operator.is_, cards, self.cards)))

    def about(self, exact: Size) -> Size:
        """A size that stands for all that are nearly alike: it fits into the same windows as the exact one."""
        rough = exact.rounded()
        place = bisect_left(self._windows, exact.total)
        if place < len(self._windows) and rough.total > self._windows[place]:
            return Size(self._windows[place] - exact.answer, exact.answer)
        return rough

    def field(self, asked: Ask) -> Field:
        """The models for one kind of question."""
        found = self._fields.get(asked)
        if found is None:
            found = self._weighed(asked)
            while len(self._fields) >= _KINDS:
                self._fields.pop(next(iter(self._fields)), None)
            self._fields[asked] = found
        return found

    def _weighed(self, asked: Ask) -> Field:
        rules, counts = standing(asked), weights(asked.needs.mode, asked.complexity)
        entries: list[Weighed] = []
        rejected: list[Rejected] = []
        for model, values in zip(self.models, self._table.rows(asked), strict=True):
            for rule in rules:
                if rule.refuses(model, asked):
                    rejected.append(refusal(model, rule, asked))
                    break
            else:
                entries.append(counts.rank(model, values))
        return Field(counts, sorted(entries, key=BY_ORDER), rejected, self._dearest)


class Shelves:
    """The lists that were asked about last."""

    def __init__(self) -> None:
        self._kept: tuple[Shelf, ...] = ()

    def find(self, cards: Sequence[ModelCard]) -> Shelf:
        for shelf in self._kept:
            if shelf.holds(cards):
                return shelf
        made = Shelf(cards)
        self._kept = (made, *self._kept[: _LISTS - 1])
        return made
