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
from osaurus_nb.routing.profiles import Profiles
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


@dataclass(slots=True)
class Chooser:
    """One for each runtime. `fits` says whether a model of this machine has room in its memory."""

    health: Health
    profiles: Profiles | None = None
    fits: Callable[[ModelCard], bool | None] = lambda card: None
    sticky: Sticky = field(default_factory=Sticky)
    planner: Planner = field(default_factory=Planner)

    def profile(self, request: ChatRequest, known: Callable[[str], bool]) -> Profile | None:
        """The profile that is asked for, if one is. `known` tells whether a model has this very name.

        Raises RequestError for a profile that there is none, ConfigError for one whose description is faulty.
        """
        if self.profiles is None:
            return None
        if request.route.profile is not None:
            return self.profiles.named(request.route.profile)
        found = self.profiles.find(request.model)
        return None if found is not None and "/" not in request.model and known(request.model) else found

    def choose(
        self,
        request: ChatRequest,
        profile: Profile,
        cards: Sequence[ModelCard],
        *,
        resident: Collection[str] = (),
        budget_left_micro: int | None = None,
    ) -> Choice:
        """Who may answer. Asks nobody."""
        asked = applied(request, profile)
        key = self.sticky.key(asked) if profile.sticky or asked.route.turn is not None else None
        now = self.health.clock.monotonic()
        held = self.sticky.held(key, now) if key is not None and continues(asked) else None
        by_name = {card.name: card for card in cards}
        situation = Situation(
            wait=self.health.wait,
            ejected=self.health.ejected(tuple({card.provider for card in cards})),
            record=self.health.learning.record,
            resident=frozenset(resident),
            fits=self.fits,
            held=held,
            budget_left_micro=budget_left_micro,
            explore=None if in_tool_turn(asked) else self.health.learning.explores(self.sticky.key(asked)),
        )
        explanation = _clash(self.planner.plan(asked, cards, profile, situation), by_name)
        if held is not None and key is not None and held not in [row.model for row in explanation.chosen[:1]]:
            self.sticky.release(key)
        return Choice(asked, [by_name[row.model] for row in explanation.chosen], explanation, key)

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
