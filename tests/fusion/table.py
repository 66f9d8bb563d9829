"""Models that sit on a panel, judge and sum up, by what they are asked; a runtime around them in time that jumps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from osaurus_nb.events import Answer, fold
from osaurus_nb.messages import user
from osaurus_nb.models import Capabilities, ModelCard
from osaurus_nb.ports import Observer, Terms
from osaurus_nb.request import ChatRequest, Tool
from osaurus_nb.routing.choosing import Chooser
from osaurus_nb.routing.fusion.brief import KINDS
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.profiles import Profiles
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing import virtual_time
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says
from osaurus_nb.testing.virtual_time import VirtualClock

FOUND = json.dumps({name: [f"a sentence of {name}"] for name in KINDS})
WEATHER = Tool("weather", "The weather of a place")


class Sitting(ScriptedAdapter):
    """One provider with one large model, which answers, judges and sums up by what it is asked."""

    def __init__(
        self, provider: str, *answers: Script, judged: Script = (), found: Sequence[str] = (FOUND,), **card: Any
    ):
        super().__init__({f"{provider}-70b": list(answers)}, provider=provider)
        self.judged = judged or says("The ", "verdict.")
        self.found = list(found)
        self.card = card
        self.roles: list[str] = []

    async def models(self) -> Sequence[ModelCard]:
        able = Capabilities(tools=True, vision=True, json_schema=True, reasoning=True)
        return [
            replace(card, capabilities=able, context_length=128_000, **self.card) for card in await super().models()
        ]

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Any) -> Any:
        self.roles.append(role(request))
        own = self._scripts[card.id]
        if self.roles[-1] == "finds":
            self._scripts[card.id] = [says(self.found.pop(0) if len(self.found) > 1 else self.found[0])]
        elif self.roles[-1] == "judges":
            self._scripts[card.id] = [self.judged]
        events = super().stream(request, card, attempt)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()
            if self.roles[-1] != "answers":
                self._scripts[card.id] = own


def role(request: ChatRequest) -> str:
    last = request.messages[-1].text
    return (
        "finds"
        if "Do not answer the message yet" in last or "That was not" in last
        else ("judges" if "Now answer the message yourself" in last else "answers")
    )


@dataclass
class Table:
    """A runtime with these providers, and what one question to it brought."""

    adapters: Sequence[Sitting]
    clock: VirtualClock
    observers: Sequence[Observer] = ()
    health: Health = field(init=False)
    runtime: Runtime = field(init=False)

    def __post_init__(self) -> None:
        self.health = Health(self.clock)
        self.runtime = Runtime(
            self.adapters, clock=self.clock, observers=self.observers, chooser=Chooser(self.health, Profiles())
        )

    async def ask(self, model: str = "osaurus/fusion", terms: Terms | None = None, **more: Any) -> Answer:
        more.setdefault("messages", (user("How high is the mountain?"),))
        request = ChatRequest(model, **more)
        try:
            return fold([event async for event in self.runtime.stream(request, terms or Terms())])
        finally:
            await self.runtime.aclose()

    @property
    def asked(self) -> dict[str, list[str]]:
        return {adapter.provider: adapter.roles for adapter in self.adapters}


def sits(*adapters: Sitting, observers: Sequence[Observer] = (), **more: Any) -> tuple[Answer, Table]:
    """What one question to `osaurus/fusion` brings, and who was asked for what."""

    async def scenario(clock: VirtualClock) -> tuple[Answer, Table]:
        table = Table(adapters, clock, observers)
        return await table.ask(**more), table

    return virtual_time.run(scenario)


def three(**more: Any) -> tuple[Sitting, Sitting, Sitting]:
    return (
        Sitting("one", says("It is quite high."), **more),
        Sitting("two", says("About 4,000 metres above the sea."), **more),
        Sitting("three", says("Nobody has measured it so far, as it seems."), **more),
    )
