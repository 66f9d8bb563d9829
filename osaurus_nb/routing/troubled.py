"""Faults on purpose at the seam where adapters are asked: nobody behind it can tell them from real ones. Pure.

What never reaches a provider costs nothing, and is told so that the books say the same.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

from osaurus_nb import errors
from osaurus_nb.decisions import Decisions
from osaurus_nb.embeddings import Embeddings
from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import Event, Finished, Started, UsageReported, Warned, is_token
from osaurus_nb.models import LOCAL, ModelCard, Usage
from osaurus_nb.ports import Adapter, Attempt
from osaurus_nb.request import ChatRequest
from osaurus_nb.trouble import ALL, FIRST, HERE, OUTSIDE, Rehearsal, Trouble

_Answer = TypeVar("_Answer", Embeddings, Decisions)
Chance = Callable[[], float]
#: Where a model runs, if it runs here.
_INSIDE = ("process", "loopback")


def warning(rehearsal: Rehearsal) -> Warned:
    """Said with every answer, so that nobody takes it for real."""
    return Warned(
        "chaos", f"Faults are made on purpose here: {rehearsal}. This says nothing of how anybody really does."
    )


def troubling(rehearsal: Rehearsal, card: ModelCard, *, first: bool, chance: Chance = random.random) -> Trouble | None:
    """What happens to this call. `first`: this model is the first that its question asks."""
    met = (trouble for trouble in rehearsal.troubles if _meets(trouble.who, card, first=first))
    return next((trouble for trouble in met if trouble.share >= 1 or chance() < trouble.share), None)


def marked(answer: _Answer, rehearsal: Rehearsal | None) -> _Answer:
    """The same answer, with the warning."""
    if rehearsal is None:
        return answer
    return replace(answer, warnings=(warning(rehearsal), *answer.warnings))


async def strike(rehearsal: Rehearsal | None, card: ModelCard) -> None:
    """For a call that is no stream and asks but one model: raises what happens to it."""
    trouble = troubling(rehearsal, card, first=True) if rehearsal is not None else None
    if trouble is not None and trouble.kind == "slow":
        await asyncio.sleep(trouble.seconds or 0.0)
    elif trouble is not None and trouble.kind != "empty":
        raise _fault(trouble, card)


class Troubled:
    """An adapter to which something happens. Only its stream is another than the real one's."""

    def __init__(self, adapter: Adapter, trouble: Trouble) -> None:
        self._adapter = adapter
        self._trouble = trouble

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt) -> AsyncGenerator[Event, None]:
        """The answer up to the fault; without `after` nobody is asked."""
        trouble, seen = self._trouble, 0
        if not (trouble.after or trouble.kind == "slow"):
            async for event in self._unasked(card):
                yield event
            return
        if trouble.kind == "slow":
            await asyncio.sleep(trouble.seconds or 0.0)
        async with aclosing(self._adapter.stream(request, card, attempt)) as stream:
            async for event in stream:
                yield event
                seen += is_token(event)
                if trouble.after and seen >= trouble.after:
                    await self._broken(card)

    async def _unasked(self, card: ModelCard) -> AsyncGenerator[Event, None]:
        kind = self._trouble.kind
        if kind in ("empty", "stalls", "garbled"):  # an answer begins, of which nothing was worked on
            yield Started(card.provider, card.id)
            yield UsageReported(Usage())
        if kind == "empty":
            yield Finished("stop")
        else:
            await self._broken(card)

    async def _broken(self, card: ModelCard) -> None:
        if self._trouble.kind == "stalls":
            await asyncio.Event().wait()
        raise _fault(self._trouble, card)


def _meets(who: str, card: ModelCard, *, first: bool) -> bool:
    match who:
        case _ if who == FIRST:
            return first
        case _ if who == ALL:
            return True
        case _ if who == OUTSIDE:
            return card.endpoint not in _INSIDE
        case _ if who == HERE:
            return card.provider == LOCAL
        case _:
            return who in (card.provider, card.name, f"{card.provider}/{card.id}")


def _fault(trouble: Trouble, card: ModelCard) -> OsaurusError:
    """As the adapter would have raised it."""
    words = f"'{card.provider}' {{}} (on purpose, by chaos: {trouble})."
    whose = {"provider": card.provider, "model": card.id}
    match trouble.kind:
        case "down" | "slow":
            gone = errors.Unreachable(words.format("is gone"), **whose)  # type: ignore[arg-type]  # of str alone
            gone.reason = "cut" if trouble.after else "absent"
            return gone
        case "overloaded" | "stalls" | "empty":
            return errors.Unavailable(words.format("is overloaded"), upstream_status=503, **whose)  # type: ignore[arg-type]
        case "rate limited":
            wait, said = trouble.seconds, words.format("wants fewer questions")
            return errors.RateLimited(said, upstream_status=429, retry_after=wait, **whose)
        case "garbled":
            odd = errors.BadAnswer(words.format("sent what is no answer"), **whose)  # type: ignore[arg-type]
            odd.reason = "shape"
            return odd
        case "refuses the key":
            said = words.format("rejects the key")
            return errors.CredentialRejected(said, upstream_status=401, **whose)  # type: ignore[arg-type]
        case "out of credit":
            return errors.QuotaExhausted(words.format("has no credit left"), upstream_status=402, **whose)  # type: ignore[arg-type]
        case "dies":
            return errors.WorkerDied(words.format("lost its worker"), **whose)  # type: ignore[arg-type]
