"""The local engine as a provider like any other: `local`. Chats and embeddings, text only; no mlx in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

from osaurus_nb.config.paths import Paths
from osaurus_nb.decisions import DecisionRequest, Decisions
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import TooSlow, Unsupported, WorkerDied
from osaurus_nb.events import Event
from osaurus_nb.local.connection import Connection, Departed, Patience
from osaurus_nb.local.library import Library, LocalModel
from osaurus_nb.local.profiles import ENCODING, capabilities
from osaurus_nb.local.protocol import Health
from osaurus_nb.local.pull import MINILM
from osaurus_nb.local.questions import subject
from osaurus_nb.local.supervisor import Supervisor, WorkerSettings
from osaurus_nb.local.templates import to_template
from osaurus_nb.models import LOCAL, ModelCard, TokenCount, Worker
from osaurus_nb.ports import Attempt, Timeouts
from osaurus_nb.request import ChatRequest

#: A worker may leave just as it is asked; its successors hardly do so too.
_TRIES = 3
#: Seconds for which the list is believed while the folder of models is the same: reading it takes half a millisecond.
_LIST_TTL = 1.0
_Answer = TypeVar("_Answer")


class LocalAdapter:
    """The models in the library of this machine, each in a worker process that is shared with others."""

    def __init__(
        self, paths: Paths, *, settings: WorkerSettings | None = None, patience: Patience | None = None
    ) -> None:
        self._library = Library(paths.models)
        self._models = paths.models
        self._listed: tuple[int, float, Sequence[ModelCard]] = (-1, 0.0, ())
        self._supervisor = Supervisor(paths, settings=settings, patience=patience)

    @property
    def provider(self) -> str:
        return LOCAL

    def confined(self) -> LocalAdapter:
        """Itself: a worker is reached through a socket file, and asks nobody. Nothing is pulled without being told."""
        return self

    async def models(self) -> Sequence[ModelCard]:
        """Every model in the library that may be loaded. Every request looks here, so it is remembered for a moment."""
        stamp, now = self._stamp(), time.monotonic()
        if (seen := self._listed)[0] != stamp or now - seen[1] > _LIST_TTL:
            cards = await asyncio.to_thread(lambda: [_card(model) for model in self._library.list()])
            self._listed = (stamp, now, cards)
        return self._listed[2]

    def _stamp(self) -> int:
        """Changes when a model comes or goes, which is often the moment before it is asked."""
        try:
            return self._models.stat().st_mtime_ns
        except OSError:
            return 0

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt) -> AsyncGenerator[Event, None]:
        """The answer of `card`'s worker. Closing it stops the work before the next token."""
        to_template(request.messages)  # what no template can carry is refused here, before a model is loaded
        model = _talking(await self._find(card.id))
        for _ in range(_TRIES):
            connection = await self._supervisor.acquire(model)
            try:
                async with aclosing(connection.stream(request)) as events:
                    async for event in events:
                        yield event
            except Departed:
                continue
            return
        raise _keeps_leaving(card.id)

    async def count_tokens(self, request: ChatRequest, card: ModelCard, timeouts: Timeouts) -> TokenCount:
        """Exactly what the model would read, by its own template and tokenizer. Waits for no answer under way."""
        to_template(request.messages)
        model = _talking(await self._find(card.id))
        return await self._ask(model, timeouts, lambda connection: connection.count(request))

    async def embed(self, request: EmbeddingRequest, card: ModelCard, timeouts: Timeouts) -> Embeddings:
        """One vector of length 1 for each text. Raises ContextTooLong for a text that the model cannot read whole."""
        model = await self._find(card.id)
        if not model.encodes:
            words = f"{card.id!r} makes no embeddings. Get a model that does with `osaurus-nb pull {MINILM.id}`."
            raise Unsupported(words, param="model")
        found = await self._ask(model, timeouts, lambda connection: connection.embed(request))
        return replace(found, vectors=tuple(list(vector) for vector in found.vectors))

    async def decide(self, request: DecisionRequest, card: ModelCard, timeouts: Timeouts) -> Decisions:
        """A probability for each option of each question, read off the model. The order of questions is no matter."""
        subject(request)  # what cannot be asked is refused here, before a model is loaded
        model = _talking(await self._find(card.id))
        return await self._ask(model, timeouts, lambda connection: connection.decide(request))

    async def _ask(
        self, model: LocalModel, timeouts: Timeouts, question: Callable[[Connection], Awaitable[_Answer]]
    ) -> _Answer:
        """The worker's answer in one piece. Leaving early stops the work."""
        try:
            async with asyncio.timeout(timeouts.total):
                for _ in range(_TRIES):
                    connection = await self._supervisor.acquire(model)
                    try:
                        return await question(connection)
                    except Departed:
                        continue
        except TimeoutError:
            words = f"{model.id!r} did not answer within {timeouts.total:g} seconds."
            raise TooSlow(words, provider=LOCAL, model=model.id) from None
        raise _keeps_leaving(model.id)

    async def load(self, model_id: str) -> None:
        """Bring a model into memory before anybody asks it."""
        await self._supervisor.acquire(await self._find(model_id))

    async def unload(self, model_id: str) -> bool:
        """Take a model out of memory, for everybody. False when it is not loaded."""
        return await self._supervisor.unload(await self._find(model_id))

    async def status(self) -> list[Health]:
        """The workers that run now, and how they are."""
        return await self._supervisor.status(await asyncio.to_thread(self._library.list))

    async def workers(self) -> list[Worker]:
        """The same, in words that all know; and how often this process had to start one anew."""
        models = await asyncio.to_thread(self._library.list)
        again = {model.id: self._supervisor.restarts(model) for model in models}
        return [_worker(health, again.get(health.model, 0)) for health in await self._supervisor.status(models)]

    async def aclose(self) -> None:
        """Hang up; loaded models stay for other processes until they are idle."""
        await self._supervisor.aclose()

    async def _find(self, model_id: str) -> LocalModel:
        return await asyncio.to_thread(self._library.find, model_id)


def _talking(model: LocalModel) -> LocalModel:
    if model.encodes:
        raise Unsupported(f"{model.id!r} makes embeddings and cannot chat. Choose another model.", param="model")
    return model


def _keeps_leaving(id: str) -> WorkerDied:
    return WorkerDied(f"The worker of {id!r} keeps leaving. Ask again.", provider=LOCAL, model=id)


def _worker(health: Health, restarts: int) -> Worker:
    return Worker(
        health.model,
        health.pid,
        health.memory_bytes,
        health.uptime,
        health.running,
        health.waiting,
        health.answered,
        restarts,
    )


def _card(model: LocalModel) -> ModelCard:
    return ModelCard(
        model.id,
        provider=LOCAL,
        endpoint="process",
        context_length=model.context_length,
        capabilities=ENCODING if model.encodes else capabilities(model.folder),
        size_bytes=model.size_bytes,
    )
