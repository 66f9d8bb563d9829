"""What our endpoint pays for a stream: CPU a paced chunk, time to the first token, and memory under many streams.

    python benchmarks/gateway_streams.py [--quick]

The reference J passes the upstream's bytes on unread (`_minimum.py`). "Same": the caller and the provider speak Chat
Completions; "translated": the provider speaks Anthropic Messages. 16 streams of 100 chunks a second start evenly
spread, so that hardly two chunks come at once. Then 100 streams of 20 a second run together, and beside them a caller
who asks for 24 MB and reads nothing for some seconds: no byte of it may pile up in the server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]
from _measure import alternate, arguments, cpu_of, medians, percentile, pin, table, verdict
from _stage import SMALL_MODEL, Running, endpoint, fast_upstream, home, references
from _stamped import Arrivals, Listener
from _upstream import paced

LEAST, SAME, TRANSLATED = "J: least gateway", "ours, same", "ours, translated"
STREAMS, MANY = 16, 100
#: 24 MiB in words of 16 KiB, which come as fast as they are taken; an answer of 32 is refused.
FAT, FAT_BYTES = "m?words=1536&size=16384", 24 * 1024 * 1024
#: Seconds after which all streams run and nothing more should be needed.
SETTLED = 2.0


class Route(NamedTuple):
    """A way to the upstream: a server and what comes before the model's name there."""

    server: Running
    prefix: str = ""


@asynccontextmanager
async def listeners(route: Route, count: int) -> AsyncIterator[list[Listener]]:
    async with AsyncExitStack() as opened:
        made = [Listener(f"{route.server.url}/v1", route.server.key) for _ in range(count)]
        yield [await opened.enter_async_context(each) for each in made]


async def spread(each: list[Listener], model: str, interval: float) -> list[Arrivals]:
    """All streams at once, their beginnings spread over one interval."""

    async def late(number: int, listener: Listener) -> Arrivals:
        await asyncio.sleep(number * interval / len(each))
        return await listener.listen(model)

    return await asyncio.gather(*(late(number, listener) for number, listener in enumerate(each)))


async def chunk_cost(route: Route, chunks: int) -> list[float]:
    """CPU us of the server per chunk, and the 99th percentile of how late chunks are, in ms."""
    async with listeners(route, STREAMS) as each:
        model = route.prefix + paced(chunks, 0.01)
        await spread(each, route.prefix + paced(3, 0.01), 0.01)
        before = cpu_of(route.server.pid)
        arrivals = await spread(each, model, 0.01)
        spent = cpu_of(route.server.pid) - before
    transits = [transit for one in arrivals for transit in one.transits]
    assert len(transits) == chunks * STREAMS
    return [spent / len(transits) * 1e6, percentile(transits, 0.99)]


def chunk_costs(routes: dict[str, Route], chunks: int, rounds: int) -> None:
    rivals = {name: lambda route=route: asyncio.run(chunk_cost(route, chunks)) for name, route in routes.items()}
    taken = {name: medians(runs) for name, runs in alternate(rivals, rounds).items()}
    least = taken[LEAST][0]
    rows = {name: [cpu, cpu / least, late] for name, (cpu, late) in taken.items()}
    table(f"{STREAMS} streams of 100 chunks a second: CPU of the server", ["us a chunk", "of J", "p99, ms late"], rows)
    verdict("chunk, same, over the least gateway", rows[SAME][1], 1.2)
    verdict("chunk, translated, over the least gateway", rows[TRANSLATED][1], 1.6)


async def first_tokens(routes: dict[str, Route], count: int) -> dict[str, list[float]]:
    """Milliseconds to the first token, one stream at a time, the routes in turns request by request."""
    taken: dict[str, list[float]] = {name: [] for name in routes}
    async with AsyncExitStack() as opened:
        opens = {name: await opened.enter_async_context(listeners(route, 1)) for name, route in routes.items()}
        for number in range(-50, count):
            for name, [listener] in opens.items():
                arrivals = await listener.listen(routes[name].prefix + paced(3, 0))
                if number >= 0:
                    taken[name].append(arrivals.first)
    return taken


def first_token(routes: dict[str, Route], count: int) -> None:
    taken = asyncio.run(first_tokens(routes, count))
    rows = {name: [percentile(each, 0.5), percentile(each, 0.95)] for name, each in taken.items()}
    table("First token, ms, one stream", ["p50", "p95"], rows)
    for name in (SAME, TRANSLATED):
        verdict(f"first token p50, {name}, over the least gateway", rows[name][0] / rows[LEAST][0], 1.5)


async def burst(route: Route) -> list[float]:
    """Median and 95th percentile, in ms, of the first chunks of 100 streams that are asked for at the same moment."""
    async with listeners(route, MANY) as each:
        arrivals = await asyncio.gather(*(listener.listen(route.prefix + paced(10, 0.05)) for listener in each))
    firsts = [one.first for one in arrivals]
    return [percentile(firsts, 0.5), percentile(firsts, 0.95)]


def bursts(routes: dict[str, Route], rounds: int) -> None:
    rivals = {name: lambda route=route: asyncio.run(burst(route)) for name, route in routes.items()}
    rows = {name: medians(runs) for name, runs in alternate(rivals, rounds).items()}
    table(f"First chunk, ms, {MANY} streams at the same moment", ["p50", "p95"], rows)
    for name in (SAME, TRANSLATED):
        verdict(f"first chunk p95 of {MANY}, {name}", rows[name][1], 100, unit=" ms")


class Crowd(NamedTuple):
    """What 100 streams at once were like."""

    transits: list[float]
    memory: list[tuple[float, float]]

    def growth(self, since: float) -> float:
        """MB above what the server had then."""
        before = [size for at, size in self.memory if at <= since][-1]
        return max(size for at, size in self.memory if at >= since) - before


async def crowd(route: Route, seconds: int) -> Crowd:
    """100 streams, and one reader who asks for much and then stops reading."""
    memory: list[tuple[float, float]] = []
    began = time.monotonic()

    async def watch() -> None:
        while True:
            memory.append((time.monotonic() - began, held(route.server.pid)))
            await asyncio.sleep(0.2)

    async def slow(listener: Listener) -> None:
        await asyncio.sleep(SETTLED + 0.5)
        seen = await listener.stall(route.prefix + FAT, lambda: asyncio.sleep(seconds / 2))
        assert seen > FAT_BYTES

    async with listeners(route, MANY) as each, listeners(route, 1) as [lazy]:
        watcher = asyncio.create_task(watch())
        reader = asyncio.create_task(slow(lazy))
        model = route.prefix + paced(20 * seconds, 0.05)
        arrivals = await asyncio.gather(*(listener.listen(model) for listener in each))
        await reader
        watcher.cancel()
    transits = [transit for one in arrivals for transit in one.transits]
    return Crowd(transits, memory)


def held(pid: int) -> float:
    """MB that this process alone holds, with its share of what is shared."""
    info = psutil.Process(pid).memory_full_info()
    return float(getattr(info, "pss", info.uss)) / 1e6


def crowds(routes: dict[str, Route], seconds: int) -> None:
    rows = {}
    for name, route in routes.items():
        asyncio.run(crowd(route, 4))  # what every process takes once
        one = asyncio.run(crowd(route, seconds))
        rows[name] = [percentile(one.transits, 0.99), one.memory[-1][1], one.growth(SETTLED)]
    heads = ["p99, ms late", "Pss, MB", "growth, MB"]
    table(f"{MANY} streams at once, {seconds} s, and a reader who stops", heads, rows)
    for name in (SAME, TRANSLATED):
        verdict(f"memory from second 2 on, {name}", rows[name][2], 2, unit=" MB more")


def main() -> None:
    given = arguments(__doc__, rounds=5)
    with (
        fast_upstream() as provider,
        home({"chat": provider.url, "claude": provider.url}, model=SMALL_MODEL, formats={"claude": "anthropic"}),
        endpoint() as ours,
        references(provider.url) as (_, least),
    ):
        for process, core in ((provider.pid, 0), (0, 0), (ours.pid, 1), (least.pid, 1)):
            pin(process, core)
        routes = {LEAST: Route(least), SAME: Route(ours, "chat/"), TRANSLATED: Route(ours, "claude/")}
        direct = Route(replace(provider, url=provider.url.removesuffix("/v1")))
        chunk_costs(routes, 150 if given.quick else 600, given.rounds)
        first_token({"direct": direct, **routes}, 100 if given.quick else 1000)
        bursts(routes, given.rounds)
        crowds(routes, 6 if given.quick else 20)


if __name__ == "__main__":
    main()
