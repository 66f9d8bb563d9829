"""What the Jupyter endpoint adds to the first token, and to each paced chunk, over asking its upstream directly.

    python benchmarks/endpoint_latency.py [--quick]

Three processes: a paced upstream that stamps every chunk when it sends it, our endpoint (the extension, standalone)
with that upstream as its provider, and this one, a bare asyncio client with a kept connection to each. Direct and
through the endpoint take turns, request by request. The paced streams are also run 16 at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from _measure import arguments, percentile, pin, table, verdict
from _stage import SMALL_MODEL, Running, endpoint, fast_upstream, home
from _stamped import Listener
from _upstream import paced

FIRST_GOAL, LATE_GOAL = 2.0, 5.0
STREAMS = 16
Route = tuple[Listener, str]


async def first_tokens(routes: dict[str, Route], count: int) -> dict[str, list[float]]:
    """Milliseconds to the first of three chunks that come 1 ms apart, for each route in turns."""
    taken: dict[str, list[float]] = {name: [] for name in routes}
    for number in range(-20, count):
        for name, (listener, prefix) in routes.items():
            arrivals = await listener.listen(prefix + paced(3, 0.001))
            if number >= 0:
                taken[name].append(arrivals.first)
    return taken


async def transits(routes: dict[str, list[Route]], chunks: int, interval: float, rounds: int) -> dict[str, list[float]]:
    """Milliseconds on the way, of every chunk of all the streams that a route carries at once."""
    taken: dict[str, list[float]] = {name: [] for name in routes}
    for number in range(-1, rounds):
        for name, together in routes.items():
            streams = (each.listen(prefix + paced(chunks, interval)) for each, prefix in together)
            for arrivals in await asyncio.gather(*streams):
                assert len(arrivals.transits) == chunks
                taken[name] += arrivals.transits if number >= 0 else []
    return taken


async def measure(direct: str, ours: Running, *, asks: int, chunks: int, rounds: int) -> None:
    async with AsyncExitStack() as opened:

        async def connect(url: str, key: str, prefix: str) -> list[Route]:
            made = [Listener(url, key) for _ in range(STREAMS)]
            return [(await opened.enter_async_context(each), prefix) for each in made]

        many = {
            "direct": await connect(direct, "", ""),
            "endpoint": await connect(f"{ours.url}/v1", ours.key, "bench/"),
        }
        one = {name: routes[:1] for name, routes in many.items()}
        firsts = await first_tokens({name: routes[0] for name, routes in one.items()}, asks)
        verdict("first token p50, added", _report("First token, ms", firsts, 0.5), FIRST_GOAL, unit=" ms")
        for title, routes in (("1 stream", one), (f"{STREAMS} streams", many)):
            late = await transits(routes, chunks, 0.01, rounds)
            added = _report(f"Paced chunks (100/s each), {title}, ms from sending to arrival", late, 0.99)
            verdict(f"{title}, chunk p99, added", added, LATE_GOAL, unit=" ms")


def _report(title: str, taken: dict[str, list[float]], share: float) -> float:
    """Print it; how much more the endpoint takes at `share`."""
    shares = (0.5, 0.9, 0.99)
    rows = {name: [percentile(values, at) for at in shares] for name, values in taken.items()}
    table(title, ["p50", "p90", "p99"], rows)
    return percentile(taken["endpoint"], share) - percentile(taken["direct"], share)


def main() -> None:
    given = arguments(__doc__, rounds=5)
    asks, chunks = (100, 100) if given.quick else (1000, 500)
    with (
        fast_upstream() as provider,
        home({"bench": provider.url}, model=SMALL_MODEL),
        endpoint() as ours,
    ):
        pin(provider.pid, 0)
        pin(0, 0)
        pin(ours.pid, 1)
        asyncio.run(measure(provider.url, ours, asks=asks, chunks=chunks, rounds=given.rounds))


if __name__ == "__main__":
    main()
