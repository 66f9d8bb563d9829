"""Who may answer a question, in which order, and why. Pure: it asks nobody and keeps no word of the question.

Two layers. What depends on the models and on the kind of question alone is made once and kept (`shelf`). What holds for
now (rests, records, memory, money, the conversation so far) is laid over it, for the few models that it concerns.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from osaurus_nb.messages import Media
from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest
from osaurus_nb.routes import Explanation, Profile, Ranked, Rejected
from osaurus_nb.routing import order, requirements, score
from osaurus_nb.routing.filters import Ask
from osaurus_nb.routing.intent import Intent, classify
from osaurus_nb.routing.moment import CALM, Moment, Situation
from osaurus_nb.routing.refusals import admitting, summary
from osaurus_nb.routing.score import Weighed
from osaurus_nb.routing.shelf import BY_ORDER, Shelves

__all__ = ["CALM", "Planner", "Situation"]


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
        moment = Moment(field, situation, exact, asked)
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
            sticky=_sticky(situation.held, chain, entries, rejected),
            exploring=exploring is not None and bool(chain) and chain[0] is exploring,
            weights=score.version(),
            warnings=tuple(warnings),
        )


def _ranking(chain: Sequence[Weighed], entries: Sequence[Weighed]) -> tuple[Ranked, ...]:
    """The chain, and then all others, the best first."""
    rest = list(entries)
    for place in sorted((bisect_left(entries, entry.order, key=BY_ORDER) for entry in chain), reverse=True):
        del rest[place]
    return (*chain, *rest)


def _budget(request: ChatRequest, profile: Profile, situation: Situation) -> int | None:
    """The least that is left for this question."""
    caps = (situation.budget_left_micro, request.route.max_cost_micro, profile.max_cost_micro)
    return min((cap for cap in caps if cap is not None), default=None)


def _sticky(
    held: str | None, chain: Sequence[Weighed], entries: Sequence[Weighed], rejected: Sequence[Rejected]
) -> str | None:
    """Whether the conversation stays with its model, or why not."""
    if held is None:
        return None
    if chain and chain[0].model == held:
        return f"stays with '{held}'"
    why = next((each.reason for each in rejected if each.model == held), "It is not there any more.")
    if any(entry.model == held for entry in entries):
        why = "Its provider fails more often than the others."
    return f"left '{held}': {why}"


def _warnings(request: ChatRequest, asked: Ask, chain: Sequence[Weighed]) -> list[str]:
    said = []
    if asked.needs.mode == "local-first" and chain and not chain[0].traits.local:
        said.append(f"No model here can answer this, so it goes out to '{chain[0].model}'.")
    if asked.needs.vision and any(
        isinstance(part, Media) and part.kind == "video" for message in request.messages for part in message.parts
    ):
        said.append("Who can watch films is not known: those that see pictures are asked.")
    return said
