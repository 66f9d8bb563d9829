"""`osaurus.map` over 10,000 rows against an upstream that takes 50 ms: rows a second beside the ideal, CPU of a row.

The ideal is that nothing but the upstream takes time: as many rows at once as asked for, every 50 ms. CPU is of the
client's process, all threads, embedded mode, the ledger kept as for every remote call. The reference takes as many rows
at once with the official `openai` SDK's async client, in one process as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import openai
from _measure import alternate, arguments, medians, pin, table, verdict
from _stage import SMALL_MODEL, fast_upstream, home

import osaurus_nb as osaurus
from osaurus_nb.client import Client

PAUSE, AT_ONCE = 0.05, 256
#: One word behind the pause; the upstream waits after it, so that the whole takes as long.
MODEL = f"m?words=1&interval={PAUSE}"
RATE_GOAL, CPU_GOAL = 0.9, 200.0


def ours(rows: Sequence[str], at_once: int) -> list[float]:
    """Rows a second, and CPU us of a row."""
    with Client(embedded=True, model=f"bench/{MODEL}") as client:
        osaurus.map(rows[:at_once], "Classify: {text}", client=client, concurrency=at_once, progress=False)
        began, before = time.perf_counter(), time.process_time()
        mapped = osaurus.map(rows, "Classify: {text}", client=client, concurrency=at_once, progress=False)
        took, cpu = time.perf_counter() - began, time.process_time() - before
    assert not mapped.errors, next(iter(mapped.errors.values()))
    return [len(rows) / took, cpu / len(rows) * 1e6]


def theirs(rows: Sequence[str], at_once: int, url: str) -> list[float]:
    """The same by workers over `AsyncOpenAI`, streamed as ours is."""

    async def run() -> list[float]:
        todo = iter(rows)

        async def work(client: openai.AsyncOpenAI) -> None:
            for row in todo:
                asked = [{"role": "user", "content": f"Classify: {row}"}]
                stream = await client.chat.completions.create(model=MODEL, messages=asked, stream=True)  # type: ignore[call-overload]
                async for _ in stream:
                    pass

        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            began, before = time.perf_counter(), time.process_time()
            await asyncio.gather(*(work(client) for _ in range(at_once)))
            took, cpu = time.perf_counter() - began, time.process_time() - before
        return [len(rows) / took, cpu / len(rows) * 1e6]

    return asyncio.run(run())


def main() -> None:
    given = arguments(__doc__, rounds=3)
    count, at_once = (1_000, 64) if given.quick else (10_000, AT_ONCE)
    rows = [f"row {at}" for at in range(count)]
    with fast_upstream() as provider, home({"bench": provider.url}, model=SMALL_MODEL):
        pin(provider.pid, 0)
        pin(0, 1)
        rivals: dict[str, Callable[[], list[float]]] = {
            "osaurus.map": lambda: ours(rows, at_once),
            "workers over AsyncOpenAI": lambda: theirs(rows[: count // 5], at_once, provider.url),
        }
        taken = alternate(rivals, given.rounds, warm_up=False)
    ideal = at_once / PAUSE
    shown = {name: medians(runs) for name, runs in taken.items()}
    shown = {name: [rate, rate / ideal, cpu] for name, (rate, cpu) in shown.items()}
    table(
        f"{count:,} rows, {at_once} at once, {PAUSE * 1000:.0f} ms each", ["rows/s", "of ideal", "CPU us a row"], shown
    )
    verdict("rate, share of the ideal", shown["osaurus.map"][1], RATE_GOAL, at_least=True)
    verdict("CPU of a row", shown["osaurus.map"][2], CPU_GOAL, unit=" us")


if __name__ == "__main__":
    main()
