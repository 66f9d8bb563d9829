"""What is wrong with a profile, seen beside the models at hand. Pure; it asks the planner itself, so they agree.

A fault: it cannot do what it says. A note: it can, and probably not what was meant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from osaurus_nb.catalog import names
from osaurus_nb.errors import ModelAmbiguous, ModelNotFound
from osaurus_nb.messages import user
from osaurus_nb.models import ROUTER, ModelCard
from osaurus_nb.request import ChatRequest
from osaurus_nb.routes import Explanation, Profile
from osaurus_nb.routing import requirements
from osaurus_nb.routing.planner import Planner
from osaurus_nb.routing.profiles import Profiles, bare_name, is_prefixed

Kind = Literal["fault", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one profile, as a sentence. `profile` is empty where it is about all of them."""

    profile: str
    kind: Kind
    told: str


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found, and how many models each profile may choose from, by its name."""

    findings: Sequence[Finding]
    matches: dict[str, int]

    @property
    def faulty(self) -> bool:
        return any(each.kind == "fault" for each in self.findings)


def lint(profiles: Profiles, cards: Sequence[ModelCard], *, only: Collection[str] = ()) -> Linted:
    """Look at every profile, or at those of these names, beside these models.

    That a shipped one matches nobody is a fault only where it was asked about: who has small models has no frontier.
    """
    ours = {card.name for card in profiles.cards()}
    models = [card for card in cards if card.name not in ours]
    findings = [Finding("", "fault", problem) for problem in profiles.problems]
    if not models:
        findings.append(Finding("", "note", "There are no models yet, so it cannot be told whom a profile matches."))
    planner, matches = Planner(), dict[str, int]()
    for profile in profiles.all():
        if only and profile.name not in only:
            continue
        plan = planner.plan(_any_question(profile), models, profile)
        matches[profile.name] = len(plan.ranked)
        if models and not plan.ranked:
            kind: Kind = "fault" if only or profiles.is_own(profile.name) else "note"
            findings.append(Finding(profile.name, kind, f"It matches 0 models. {''.join(plan.warnings[-1:])}".rstrip()))
        findings += _looked_at(profile, plan, models, profiles)
    return Linted(findings, matches)


def _any_question(profile: Profile) -> ChatRequest:
    """A short one, about nothing: what even that cannot have, nothing can."""
    return ChatRequest(f"{ROUTER}/{profile.name}", (user(""),))


def _looked_at(
    profile: Profile, plan: Explanation, models: Sequence[ModelCard], profiles: Profiles
) -> Iterator[Finding]:
    contradictions = requirements.contradictions(requirements.needs(_any_question(profile), profile))
    for told in contradictions:
        yield Finding(profile.name, "fault", f"It contradicts itself. {told}")
    if models:
        yield from _panel(profile, len(plan.ranked))
        for kind, name in (*(("fallback", name) for name in profile.fallbacks), *_judge(profile)):
            if (finding := _named(profile, kind, name, plan, models, profiles)) is not None:
                yield finding
        yield from _idle(profile, models)


def _panel(profile: Profile, number: int) -> Iterator[Finding]:
    if profile.fusion is None or not number:
        return
    if number < profile.fusion.at_least:
        told = f"Its panel needs {profile.fusion.at_least} models, and {number} may answer: nothing will be fused."
        yield Finding(profile.name, "note", told)
    elif number < profile.fusion.panel:
        told = f"Its panel has room for {profile.fusion.panel} models, and {number} may answer."
        yield Finding(profile.name, "note", told)


def _judge(profile: Profile) -> Sequence[tuple[str, str]]:
    judge = profile.fusion.judge if profile.fusion is not None else None
    return [("judge", judge)] if judge is not None else []


def _named(
    profile: Profile, kind: str, name: str, plan: Explanation, models: Sequence[ModelCard], profiles: Profiles
) -> Finding | None:
    """What is wrong with a model that is named."""
    try:
        card = names.find(name, models)
    except ModelAmbiguous as error:
        return Finding(profile.name, "fault", f"Its {kind} is ambiguous. {error}")
    except ModelNotFound as error:
        if is_prefixed(name) or bare_name(name) in profiles.names():
            return Finding(profile.name, "fault", f"Its {kind} '{name}' is a profile; only a model can be one.")
        return Finding(profile.name, "fault", f"Its {kind} does not exist. {error}")
    if card.provider == ROUTER and card.id in profiles.names():
        return Finding(profile.name, "fault", f"Its {kind} '{name}' is a profile; only a model can be one.")
    refused = next((each for each in plan.rejected if each.model == card.name), None)
    if refused is not None:
        return Finding(profile.name, "fault", f"Its {kind} '{name}' may not answer under it. {refused.reason}")
    if card not in models:
        told = f"Its {kind} '{name}' is not listed by '{card.provider}', which may answer to it all the same."
        return Finding(profile.name, "note", told)
    return None


def _idle(profile: Profile, models: Sequence[ModelCard]) -> Iterator[Finding]:
    """Lists that name nobody: a slip of the keyboard, or a provider that is not set up here."""
    slugs, full = {card.provider for card in models}, {card.name for card in models}
    for key, there in (
        ("allow_providers", slugs),
        ("deny_providers", slugs),
        ("allow_models", full),
        ("deny_models", full),
    ):
        for pattern in getattr(profile.requirements, key):
            if not any(requirements.matches(name, (pattern,)) for name in there):
                yield Finding(profile.name, "note", f"'{pattern}' in its {key} matches nothing at hand.")
