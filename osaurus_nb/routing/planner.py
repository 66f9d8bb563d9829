"""Who may answer a question, in which order, and why. Pure: it asks nobody and keeps no word of the question.

Two layers. What depends on the models and on the kind of question alone is made once and kept (`shelf`). What holds for
now (rests, records, memory, money, the conversation so far) is laid over it, for the few models that it concerns.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from osaurus_nb.messages import Media
from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest
from osaurus_nb.routes import Explanation, Label, Profile, Ranked, Rejected
from osaurus_nb.routing import order, requirements, score
from osaurus_nb.routing.filters import Ask, cost, resting, too_dear, too_large
from osaurus_nb.routing.intent import Intent, classify
from osaurus_nb.routing.learning import Record
from osaurus_nb.routing.refusals import admitting, summary
from osaurus_nb.routing.requirements import Size
from osaurus_nb.routing.shelf import Entry, Field, Shelves

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


class Planner:
    """One for each runtime."""

    def __init__(self, judge: Callable[[ChatRequest], Intent] = classify) -> None:
        self._judge = judge
        self._shelves = Shelves()

    def prepare(self, cards: Sequence[ModelCard]) -> None:
        """Read these cards now, so that the first question about them does not have to."""
        self._shelves.find(cards)

    def plan(
        self, request: ChatRequest, cards: Sequence[ModelCard], profile: Profile, situation: Situation = CALM
    ) -> Explanation:
        """Every model, either ranked or refused. With nobody ranked, each refusal says all that would admit it."""
        needed, exact = requirements.needs(request, profile), requirements.size(request)
        intent, shelf = self._judge(request), self._shelves.find(cards)
        asked = Ask(needed, shelf.about(exact), intent.label, intent.complexity)
        field = shelf.field(asked)
        moment = _Moment(field, situation, exact, asked)
        entries, rejected = moment.entries(budget=_budget(request, profile, situation))
        exploring = None
        if situation.explore is not None and situation.held is None and not requirements.in_turn(request):
            entries, exploring = moment.exploring(entries, situation.explore)
        chain = order.chain(entries, needed.mode, profile.chain) if entries else ()
        warnings = [*requirements.contradictions(needed), *_warnings(request, asked, chain)]
        if not entries:
            rejected = admitting(rejected, shelf.models, asked)
            warnings.append(summary(rejected))
        return Explanation(
            asked=request.model,
            profile=profile.name,
            mode=needed.mode,
            intent=intent.label,
            second=intent.second,
            confidence=intent.confidence,
            complexity=intent.complexity,
            needs=requirements.told(needed, exact),
            ranked=_ranking(chain, entries),
            rejected=tuple(rejected),
            chain=len(chain),
            sticky=_sticky(situation.held, chain, rejected),
            exploring=exploring is not None and bool(chain) and chain[0] is exploring,
            weights=score.version(),
            warnings=tuple(warnings),
        )


class _Moment:
    """What this moment changes about a field."""

    def __init__(self, field: Field, situation: Situation, size: Size, asked: Ask) -> None:
        self._field = field
        self._now = situation
        self._size = size
        self._asked = asked

    def entries(self, *, budget: int | None) -> tuple[Sequence[Entry], list[Rejected]]:
        """Those that may answer now, best first, and all that may not."""
        refused = self._refused(budget)
        changed = self._changed(refused)
        if not refused and not changed:
            return self._field.entries, list(self._field.rejected)
        counts = self._field.counts
        entries = [entry for entry in self._field.entries if entry not in changed and entry.model.name not in refused]
        entries += (entry.again(counts, values) for entry, values in changed.items())
        if changed:
            entries.sort(key=lambda entry: entry.order)
        return entries, [*self._field.rejected, *refused.values()]

    def exploring(self, entries: Sequence[Entry], drawn: float) -> tuple[Sequence[Entry], Entry | None]:
        """The same, with a little in favour of one that nobody has tried lately and that costs not much more."""
        if len(entries) < 2:
            return entries, None
        most = (cost(entries[0].model, self._size) or 0.0) * _DEARER
        curious = [entry for entry in entries[1:_CURIOUS] if self._untried(entry, most)]
        if not curious:
            return entries, None
        chosen = curious[min(int(drawn * len(curious)), len(curious) - 1)]
        values = list(chosen.values)
        score.put(values, explore=1.0)
        tried = chosen.again(self._field.counts, values)
        return sorted((tried if entry is chosen else entry for entry in entries), key=lambda each: each.order), tried

    def _untried(self, entry: Entry, most: float) -> bool:
        price = cost(entry.model, self._size)
        return (
            not entry.ejected
            and price is not None
            and price <= most
            and self._now.record(entry.model.card, self._asked.label) is None
        )

    def _refused(self, budget: int | None) -> dict[str, Rejected]:
        wait, entries, troubled = self._now.wait, self._field.entries, self._now.troubled
        doubtful = entries
        if troubled is not None:
            doubtful = [entry for entry in entries if entry.model.provider in troubled] if troubled else []
        refused = {
            entry.model.name: resting(entry.model, seconds)
            for entry in doubtful
            if (seconds := wait(entry.model.card)) is not None
        }
        for entry in self._field.at_home:
            if entry.model.name not in refused and self._now.fits(entry.model.card) is False:
                refused[entry.model.name] = too_large(entry.model)
        dearest = self._field.dearest[0] * self._size.prompt + self._field.dearest[1] * self._size.answer
        if budget is not None and dearest > budget:
            for entry in entries:
                price = cost(entry.model, self._size)
                if price is not None and price > budget and entry.model.name not in refused:
                    refused[entry.model.name] = too_dear(entry.model, price, budget)
        return refused

    def _changed(self, refused: dict[str, Rejected]) -> dict[Entry, list[float]]:
        """The terms of those of whom something is known now."""
        now, label, entries, by_name = self._now, self._asked.label, self._field.entries, self._field.by_name
        changed: dict[Entry, list[float]] = {}
        for entry in entries if now.known is None else [by_name[name] for name in now.known if name in by_name]:
            if (told := now.record(entry.model.card, label)) is not None:
                score.learnt(_terms(changed, entry), told)
        if now.resident:
            for entry in self._field.at_home:
                if entry.model.card.id in now.resident:
                    score.put(_terms(changed, entry), resident=1.0, loading=0.0)
        if now.held is not None and now.held in by_name:
            score.put(_terms(changed, by_name[now.held]), held=1.0)
        if now.ejected:
            for entry in entries:
                if entry.model.provider in now.ejected:
                    score.put(_terms(changed, entry), ejected=1.0)
        return {entry: values for entry, values in changed.items() if entry.model.name not in refused}


def _ranking(chain: Sequence[Entry], entries: Sequence[Entry]) -> tuple[Ranked, ...]:
    """The chain, and then all others, the best first."""
    left = {id(entry) for entry in chain}
    skipped: list[Entry] = []
    for place, entry in enumerate(entries):
        if not left:
            return (*_ranks(chain), *_ranks(skipped), *_ranks(entries[place:]))
        if id(entry) in left:
            left.discard(id(entry))
        else:
            skipped.append(entry)
    return (*_ranks(chain), *_ranks(skipped))


#: Of many entries at once.
_rank = operator.attrgetter("ranked")


def _ranks(entries: Sequence[Entry]) -> Iterable[Ranked]:
    return map(_rank, entries)


def _terms(changed: dict[Entry, list[float]], entry: Entry) -> list[float]:
    found = changed.get(entry)
    if found is None:
        found = changed[entry] = list(entry.values)
    return found


def _budget(request: ChatRequest, profile: Profile, situation: Situation) -> int | None:
    """The least that is left for this question."""
    caps = (situation.budget_left_micro, request.route.max_cost_micro, profile.max_cost_micro)
    return min((cap for cap in caps if cap is not None), default=None)


def _sticky(held: str | None, chain: Sequence[Entry], rejected: Sequence[Rejected]) -> str | None:
    """Whether the conversation stays with its model, or why not."""
    if held is None:
        return None
    if chain and chain[0].model.name == held:
        return f"stays with '{held}'"
    why = next((each.reason for each in rejected if each.model == held), None)
    if why is None:
        gone = all(entry.model.name != held for entry in chain)
        why = "It is not there any more." if gone else "Its provider fails more often than the others."
    return f"left '{held}': {why}"


def _warnings(request: ChatRequest, asked: Ask, chain: Sequence[Entry]) -> list[str]:
    said = []
    if asked.needs.mode == "local-first" and chain and not chain[0].model.local:
        said.append(f"No model here can answer this, so it goes out to '{chain[0].model.name}'.")
    if asked.needs.vision and any(
        isinstance(part, Media) and part.kind == "video" for message in request.messages for part in message.parts
    ):
        said.append("Who can watch films is not known: those that see pictures are asked.")
    return said
