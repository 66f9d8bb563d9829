"""An adapter that says what it is told to, for tests without a model or a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import Event, Finished, PartEnded, Started, TextDelta, UsageReported
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.ports import Attempt
from osaurus_nb.request import ChatRequest

#: One answer: events are yielded, errors raised, numbers slept (seconds).
Script = Sequence[Event | OsaurusError | float]


def says(*words: str) -> Script:
    """A whole answer in these pieces, with usage: one token a piece."""
    deltas = [TextDelta(word) for word in words]
    return [*deltas, PartEnded(), UsageReported(Usage(input_tokens=3, output_tokens=len(words))), Finished("stop")]


class ScriptedAdapter:
    """Answers `model` with the next of its scripts; the last one is repeated.

    `requests` records what was asked, `closed` counts the streams that were left before their end.
    """

    def __init__(self, scripts: Mapping[str, Sequence[Script]], *, provider: str = "scripted") -> None:
        self.requests: list[ChatRequest] = []
        self.closed = 0
        self._provider = provider
        self._scripts = {model: list(answers) for model, answers in scripts.items()}

    @property
    def provider(self) -> str:
        return self._provider

    async def models(self) -> Sequence[ModelCard]:
        return [ModelCard(model, self._provider) for model in self._scripts]

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt) -> AsyncGenerator[Event, None]:
        self.requests.append(request)
        answers = self._scripts[card.id]
        script = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            yield Started(self._provider, card.id)
            for item in script:
                if isinstance(item, OsaurusError):
                    raise item
                if isinstance(item, float | int):
                    await asyncio.sleep(item)
                else:
                    yield item
        except (GeneratorExit, asyncio.CancelledError):
            self.closed += 1
            raise

    async def aclose(self) -> None:
        """Nothing to close."""
