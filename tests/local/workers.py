"""Homes with models and adapters over them for the tests; nothing that they start outlives them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from osaurus_nb.config.paths import Paths
from osaurus_nb.events import Answer, Event, Fold
from osaurus_nb.local.adapter import LocalAdapter
from osaurus_nb.local.connection import Patience
from osaurus_nb.local.places import run_folder
from osaurus_nb.local.supervisor import WorkerSettings
from osaurus_nb.messages import Message, user
from osaurus_nb.models import LOCAL, ModelCard
from osaurus_nb.ports import Attempt, Step
from osaurus_nb.request import ChatRequest, Sampling

ATTEMPT = Attempt(Step("step", "request", "model", 0.0))
GREEDY = Sampling(temperature=0.0, max_output_tokens=32)


@contextmanager
def home_with(*models: Path) -> Iterator[Paths]:
    """A home with copies of these model folders. Its workers are ended when it goes."""
    # A worker that was just stopped may still be writing a kernel that it compiled.
    with TemporaryDirectory(prefix="osaurus-", ignore_cleanup_errors=True) as name:
        paths = Paths(Path(name))
        for model in models:
            shutil.copytree(model, paths.models / model.name)
        try:
            yield paths
        finally:
            end_workers(paths)


@asynccontextmanager
async def serving(
    *models: Path, settings: WorkerSettings | None = None, patience: Patience | None = None
) -> AsyncIterator[LocalAdapter]:
    """An adapter over a home with these models."""
    with home_with(*models) as paths:
        async with adapter_over(paths, settings=settings, patience=patience) as adapter:
            yield adapter


@asynccontextmanager
async def adapter_over(
    paths: Paths, *, settings: WorkerSettings | None = None, patience: Patience | None = None
) -> AsyncIterator[LocalAdapter]:
    adapter = LocalAdapter(paths, settings=settings, patience=patience)
    try:
        yield adapter
    finally:
        await adapter.aclose()


def ask(content: str | Sequence[Message], model: str = "tiny-random", sampling: Sampling = GREEDY) -> ChatRequest:
    messages = (user(content),) if isinstance(content, str) else tuple(content)
    return ChatRequest(model, messages, sampling=sampling)


def card(model: str = "tiny-random") -> ModelCard:
    return ModelCard(model, provider=LOCAL, endpoint="process")


async def collect(adapter: LocalAdapter, request: ChatRequest) -> list[Event]:
    return [event async for event in adapter.stream(request, card(request.model), ATTEMPT)]


async def answer(adapter: LocalAdapter, request: ChatRequest) -> Answer:
    folding = Fold()
    for event in await collect(adapter, request):
        folding.add(event)
    return folding.answer()


async def pid_of(adapter: LocalAdapter) -> int:
    (health,) = await adapter.status()
    return health.pid


def end_workers(paths: Paths) -> None:
    """Kill whatever worker runs for this home."""
    for token in run_folder(paths).glob("*.token"):
        with suppress(OSError, ValueError):
            os.kill(int(token.read_text().split(":")[1].split(",")[0]), signal.SIGKILL)


async def until(condition: object, *, seconds: float = 5.0) -> bool:
    """Does `condition()` come true in time?"""
    assert callable(condition)
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return False
