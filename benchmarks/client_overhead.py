"""What one call and one streamed chunk cost in CPU: our SDK beside the official `openai` one, sync and async.

    python benchmarks/client_overhead.py [--quick]

Both ask the same loopback upstream, which runs in a process of its own; only this process's CPU counts (all of its
threads), so the upstream's own pace changes nothing. Ours runs embedded: names, plan, engine, deadlines and the HTTP
door are all in the figure. A call is a question and its whole answer: `openai` gets one JSON body, ours reads a
stream, as it always does, so a longer answer costs ours more; both lengths are shown. Chunks come one by one, paced,
as they do from a model; in a flood several arrive at once and each is cheaper for everybody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import openai
from _measure import alternate, arguments, medians, pin, table, verdict
from _stage import SMALL_MODEL, home, upstream
from openai.types.chat import ChatCompletionMessageParam

from osaurus_nb import AsyncClient, Client

GOAL = 0.5
QUESTION = "Say hello."
SHORT, LONG = "m", "m?words=64"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]


class Plan(NamedTuple):
    """How often and how long is asked."""

    calls: int
    chunks: int

    @property
    def paced(self) -> str:
        return f"m?words={self.chunks}&interval=0.001"

    @property
    def flood(self) -> str:
        return f"m?words={self.chunks}"


def sync_costs(plan: Plan, call: Callable[[str], object], stream: Callable[[str], int]) -> list[float]:
    """CPU us: a call with a short and with a long answer, a paced chunk, a chunk in a flood."""

    def calls(model: str) -> float:
        before = time.process_time()
        for _ in range(plan.calls):
            call(model)
        return (time.process_time() - before) / plan.calls * 1e6

    def chunks(model: str) -> float:
        before = time.process_time()
        seen = stream(model)
        assert seen >= plan.chunks
        return (time.process_time() - before) / plan.chunks * 1e6

    for model in (SHORT, LONG, plan.flood):
        call(model)
    return [calls(SHORT), calls(LONG), chunks(plan.paced), chunks(plan.flood)]


async def async_costs(
    plan: Plan, call: Callable[[str], Awaitable[object]], stream: Callable[[str], Awaitable[int]]
) -> list[float]:
    """The same for async clients, one question at a time."""

    async def calls(model: str) -> float:
        before = time.process_time()
        for _ in range(plan.calls):
            await call(model)
        return (time.process_time() - before) / plan.calls * 1e6

    async def chunks(model: str) -> float:
        before = time.process_time()
        seen = await stream(model)
        assert seen >= plan.chunks
        return (time.process_time() - before) / plan.chunks * 1e6

    for model in (SHORT, LONG, plan.flood):
        await call(model)
    return [await calls(SHORT), await calls(LONG), await chunks(plan.paced), await chunks(plan.flood)]


def ours_sync(plan: Plan) -> list[float]:
    with Client(embedded=True) as client:

        def stream(model: str) -> int:
            return sum(piece.count(" ") for piece in client.stream(QUESTION, model=f"bench/{model}"))

        return sync_costs(plan, lambda model: client.chat(QUESTION, model=f"bench/{model}"), stream)


def openai_sync(plan: Plan, url: str) -> list[float]:
    with openai.OpenAI(base_url=url, api_key="none") as client:
        create = client.chat.completions.create

        def stream(model: str) -> int:
            return sum(1 for _ in create(model=model, messages=MESSAGES, stream=True))

        return sync_costs(plan, lambda model: create(model=model, messages=MESSAGES), stream)


async def ours_async(plan: Plan) -> list[float]:
    async with AsyncClient(embedded=True) as client:

        async def stream(model: str) -> int:
            return sum([piece.count(" ") async for piece in client.stream(QUESTION, model=f"bench/{model}")])

        return await async_costs(plan, lambda model: client.chat(QUESTION, model=f"bench/{model}"), stream)


async def openai_async(plan: Plan, url: str) -> list[float]:
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
        create = client.chat.completions.create

        async def stream(model: str) -> int:
            return len([None async for chunk in await create(model=model, messages=MESSAGES, stream=True)])

        return await async_costs(plan, lambda model: create(model=model, messages=MESSAGES), stream)


def main() -> None:
    given = arguments(__doc__, rounds=5)
    plan = Plan(100, 300) if given.quick else Plan(1000, 3000)
    with upstream() as provider, home({"bench": provider.url}, model=SMALL_MODEL):
        pin(provider.pid, 0)
        pin(0, 1)
        rivals: dict[str, Callable[[], list[float]]] = {
            "ours, sync": lambda: ours_sync(plan),
            "openai, sync": lambda: openai_sync(plan, provider.url),
            "ours, async": lambda: asyncio.run(ours_async(plan)),
            "openai, async": lambda: asyncio.run(openai_async(plan, provider.url)),
        }
        taken = alternate(rivals, given.rounds)
    rows = {name: medians(runs) for name, runs in taken.items()}
    for kind in ("sync", "async"):
        pairs = zip(rows[f"ours, {kind}"], rows[f"openai, {kind}"], strict=True)
        rows[f"ratio, {kind}"] = [mine / theirs for mine, theirs in pairs]
    heads = ["call, 6 words", "64 words", "chunk, paced", "in a flood"]
    table("CPU microseconds of the client's process", heads, rows)
    for kind in ("sync", "async"):
        for at, what in enumerate(heads):
            verdict(f"{kind}, {what}: share of openai's", rows[f"ratio, {kind}"][at], GOAL)


if __name__ == "__main__":
    main()
