"""Who sits on a panel, what each of them is asked, and what share of a budget is whose. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TypeVar

from osaurus_nb.messages import ToolCall, ToolResult
from osaurus_nb.ports import Step
from osaurus_nb.request import ChatRequest
from osaurus_nb.routes import Fusion
from osaurus_nb.routing.plan import Candidate
from osaurus_nb.spending import Cap

#: A panel has no fewer and no more; with less than two there is nothing to weigh.
LEAST, MOST = 2, 8
#: Calls of the judge that a budget has to leave room for: what it finds, what it found again, and the answer.
JUDGED = 3
#: Of the time that a question has, the panel gets so much; the rest is the judge's.
_SHARE = 0.6
#: What a server of ours calls its own fusions.
_FUSIONS = re.compile(r"(?:^|/)(?:osaurus|sage-router)/[^/]*fusion[^/]*$|(?:^|[:/])fusion$", re.IGNORECASE)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Seats:
    """The panel, and those who could answer or judge instead, best first. `judges` begins with who judges."""

    panel: tuple[Candidate, ...]
    spare: tuple[Candidate, ...]
    judges: tuple[Candidate, ...]


def seats(fusion: Fusion, ranked: Sequence[Candidate], judge: Candidate | None = None) -> Seats:
    """The best of each distinct model. One model at two providers is one opinion, and no fusion ever sits there."""
    wanted = min(max(fusion.panel, LEAST), MOST)
    able = [each for each in ranked if not is_fusion(each.card.id)]
    panel: dict[str, Candidate] = {}
    for candidate in able:
        if len(panel) < wanted:
            panel.setdefault(_kin(candidate.card.id), candidate)
    seated = tuple(panel.values())
    names = {each.card.name for each in seated}
    judges = {each.card.name: each for each in ([judge] if judge is not None else []) + able}
    return Seats(seated, tuple(each for each in able if each.card.name not in names), tuple(judges.values()))


def is_fusion(id: str) -> bool:
    """Is it a fusion, somebody's who is asked through us?"""
    return _FUSIONS.search(id) is not None


def question(request: ChatRequest, candidate: Candidate, patience: float) -> ChatRequest:
    """What one panelist is asked: the same words and pictures, but nothing that it could call.

    Where tools were called before, they stay declared, for some providers refuse such a conversation without them.
    """
    route = replace(request.route, fusion=None, fallbacks=(), deadline=patience, explain=False, resume="off")
    tools = request.tools if _in_turn(request) else ()
    return replace(
        request,
        model=candidate.card.name,
        tools=tools,
        tool_choice="none" if tools else None,
        parallel_tool_calls=None,
        sampling=replace(request.sampling, n=1, logprobs=False, top_logprobs=None),
        delivery=replace(request.delivery, stream=True),
        route=route,
        warnings=(),
    )


def patience(fusion: Fusion, left: float | None) -> float:
    """Seconds that each panelist gets, of those that the whole question has left."""
    return fusion.patience if left is None else min(fusion.patience, left * _SHARE)


def seat(step: Step, mark: str, *, most: int | None) -> Step:
    """The step of one call that is a part of this one: under the same caps, and no more than its own share."""
    terms, id = step.terms, f"{step.id}-{mark}"
    share = (Cap(f"budget:fusion-{id}", most),) if most is not None else ()
    key = terms.idempotency_key
    terms = replace(
        terms,
        sent=None,
        whole=False,
        idempotency_key=f"{key}-{mark}" if key is not None else None,
        caps=(*terms.caps, *share),
        fusion_depth=terms.fusion_depth + 1,
    )
    return replace(step, id=id, terms=terms, within=step.within or step.id)


def share(limits: Collection[int | None], seated: int) -> int | None:
    """What each panelist may take of the least of these limits, so that the judge is paid for as well."""
    least = min((limit for limit in limits if limit is not None), default=None)
    return None if least is None else least // (seated + JUDGED)


def shuffled(items: Sequence[tuple[str, Item]], seed: str) -> Sequence[Item]:
    """In an order that nobody can foresee from the names, and that is the same for the same step."""
    return [item for _, item in sorted(items, key=lambda each: sha256(f"{seed}\0{each[0]}".encode()).digest())]


def _kin(id: str) -> str:
    """Under which a model is the same at every provider."""
    return id.rsplit("/", 1)[-1].lower()


def _in_turn(request: ChatRequest) -> bool:
    return any(isinstance(part, ToolCall | ToolResult) for message in request.messages for part in message.parts)
