"""Chooses who may answer a question that names no model, and learns from how it went.

A profile's name stands where a model's could: `osaurus/auto`, or bare where no model has that name. The caller's own
words go before what the profile says, and the profile's requirements hold in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest
from osaurus_nb.routes import Explanation, Profile
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.learning import in_tool_turn
from osaurus_nb.routing.planner import Planner, Situation
from osaurus_nb.routing.profiles import Profiles, is_prefixed
from osaurus_nb.routing.requirements import mode
from osaurus_nb.routing.sticky import Sticky, continues


@dataclass(frozen=True, slots=True)
class Choice:
    """The question as it is asked now, the models that may answer it, in order, and why these."""

    request: ChatRequest
    cards: Sequence[ModelCard]
    explanation: Explanation
    #: The conversation, where it shall stay with its model.
    key: str | None = None


class _Index:
    """What is looked up in a list of models, for as long as it is the same list."""

    def __init__(self, cards: Sequence[ModelCard]) -> None:
        self.cards = cards
        self.by_name = {card.name: card for card in cards}
        self.providers = tuple({card.provider for card in cards})


@dataclass(slots=True)
class Chooser:
    """One for each runtime. `fits` says whether a model of this machine has room in its memory."""

    health: Health
    profiles: Profiles | None = None
    fits: Callable[[ModelCard], bool | None] = lambda card: None
    sticky: Sticky = field(default_factory=Sticky)
    planner: Planner = field(default_factory=Planner)
    _index: _Index = field(default_factory=lambda: _Index(()))

    def profile(self, request: ChatRequest, known: Callable[[str], bool]) -> Profile | None:
        """The profile that is asked for, if one is. `known` tells whether a model has this very name.

        Raises RequestError for a profile that there is none, ConfigError for one whose description is faulty.
        """
        if self.profiles is None:
            return None
        if request.route.profile is not None:
            return self.profiles.named(request.route.profile)
        if "/" in request.model and not is_prefixed(request.model):  # most questions name a model so
            return None
        found = self.profiles.find(request.model)
        return None if found is not None and "/" not in request.model and known(request.model) else found

    def choose(
        self,
        request: ChatRequest,
        profile: Profile,
        cards: Sequence[ModelCard],
        *,
        owner: str = "",
        budget_left_micro: int | None = None,
    ) -> Choice:
        """Who may answer. Asks nobody. Conversations of two owners are never one."""
        asked = applied(request, profile)
        index, tools = self._indexed(cards), in_tool_turn(asked)
        mine = self.sticky.key(asked, owner=owner)
        key = mine if profile.sticky or tools or asked.route.turn is not None else None
        held = self.sticky.held(key, self.health.clock.monotonic()) if key is not None and continues(asked) else None
        learning = self.health.learning
        situation = Situation(
            wait=self.health.wait,
            ejected=self.health.ejected(index.providers),
            record=learning.record,
            fits=self.fits,
            held=held,
            budget_left_micro=budget_left_micro,
            explore=None if tools else learning.explores(mine),
            troubled=self.health.troubled(),
            known=learning.names(),
        )
        named = index.by_name if request.route.fusion is None else ()  # with our marker a model is named, and judges
        explanation = _clash(self.planner.plan(asked, cards, profile, situation), named)
        if held is not None and key is not None and held not in [row.model for row in explanation.chosen[:1]]:
            self.sticky.release(key)
        return Choice(asked, [index.by_name[row.model] for row in explanation.chosen], explanation, key)

    def _indexed(self, cards: Sequence[ModelCard]) -> _Index:
        if self._index.cards is not cards:
            self._index = _Index(cards)
        return self._index

    def answered(self, choice: Choice, model: str) -> None:
        """The conversation stays with who answered it."""
        if choice.key is not None:
            self.sticky.hold(choice.key, model, self.health.clock.monotonic())

    def failed(self, choice: Choice) -> None:
        if choice.key is not None:
            self.sticky.release(choice.key)


def applied(request: ChatRequest, profile: Profile) -> ChatRequest:
    """The question with what the profile says wherever its caller says nothing."""
    route = replace(
        request.route,
        profile=profile.name,
        mode=mode(request, profile),
        fallbacks=request.route.fallbacks or profile.fallbacks,
        deadline=request.route.deadline if request.route.deadline is not None else profile.deadline,
        max_cost_micro=_least(request.route.max_cost_micro, profile.max_cost_micro),
    )
    effort = request.reasoning_effort or profile.effort
    return replace(request, route=route, reasoning_effort=effort)  # type: ignore[arg-type]  # profiles are validated


def _clash(explanation: Explanation, models: Collection[str]) -> Explanation:
    """A profile goes before a model of the same name, and that is said."""
    if explanation.asked not in models:
        return explanation
    said = f"'{explanation.asked}' is a model's name too; the profile was taken."
    return replace(explanation, warnings=(*explanation.warnings, said))


def _least(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)
