"""The lean transport against the stock ones, same run: CPU per request, and rows per second at 256 in flight.

    python benchmarks/transport.py [--rows 4000]

The upstream runs in a process of its own; with two cores or more each side is pinned to one where the system can.
CPU is that of this process alone. Rivals take turns, three rounds, the median counts; compare within one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import httpx2

from osaurus_nb.providers.http import AddressPolicy, Call, HttpDoor
from osaurus_nb.providers.transport import LeanTransport

ROOT = Path(__file__).resolve().parent.parent
#: Sends this body to this URL; an async context, for the answer streams.
Send = Callable[[str, bytes], AbstractAsyncContextManager[httpx2.Response]]
Rival = Callable[[], AbstractAsyncContextManager[Send]]

PRIVATE = AddressPolicy(private=True)
LIMITS = httpx2.Limits(max_connections=256, max_keepalive_connections=256)


@asynccontextmanager
async def door() -> AsyncIterator[Send]:
    async with HttpDoor(guard=PRIVATE) as opened:
        yield lambda url, body: opened.open(Call(url, headers={"content-type": "application/json"}, content=body))


def client(transport: Callable[[], httpx2.AsyncBaseTransport]) -> Rival:
    @asynccontextmanager
    async def rival() -> AsyncIterator[Send]:
        async with httpx2.AsyncClient(transport=transport(), trust_env=False, timeout=60.0) as http:
            headers = {"content-type": "application/json"}
            yield lambda url, body: http.stream("POST", url, headers=headers, content=body)

    return rival


RIVALS: dict[str, Rival] = {
    "the door": door,
    "httpx2 over ours": client(lambda: LeanTransport(guard=PRIVATE)),
    "httpx2, defaults": client(httpx2.AsyncHTTPTransport),
    "httpx2, 256 connections": client(lambda: httpx2.AsyncHTTPTransport(limits=LIMITS)),
}


@contextmanager
def upstream() -> Iterator[str]:
    """The URL of a loopback upstream in another process."""
    command = [sys.executable, "-m", "osaurus_nb.testing.loopback"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        _pin(process.pid, 0)
        _pin(0, 1)
        try:
            yield url
        finally:
            process.terminate()


def _pin(process: int, core: int) -> None:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(process, {core})


async def rows(rival: Rival, url: str, *, count: int, in_flight: int, model: str) -> tuple[float, float]:
    """Rows per second and CPU microseconds per row, after one warm-up row for each worker."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Say hello."}]}).encode()
    async with rival() as send:

        async def work(numbers: Iterator[int]) -> None:
            for _ in numbers:
                async with send(f"{url}/chat/completions", body) as response:
                    await response.aread()
                assert response.status_code == 200

        async def all_of(number: int) -> None:
            numbers = iter(range(number))
            await asyncio.gather(*(work(numbers) for _ in range(in_flight)))

        await all_of(in_flight)
        wall, cpu = time.perf_counter(), time.process_time()
        await all_of(count)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return count / wall, cpu / count * 1e6


async def chunks(rival: Rival, url: str, *, count: int) -> tuple[float, float]:
    """Chunks per second and CPU microseconds per chunk of one stream whose chunks come one by one."""
    body = json.dumps({"model": f"m?words={count}&interval=0.0005", "stream": True, "messages": []}).encode()
    async with rival() as send:
        wall, cpu, seen = time.perf_counter(), time.process_time(), 0
        async with send(f"{url}/chat/completions", body) as response:
            async for _ in response.aiter_raw():
                seen += 1
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return seen / wall, cpu / seen * 1e6


def measure(url: str, count: int, rounds: int) -> None:
    scenarios: dict[str, Callable[[Rival], Coroutine[None, None, tuple[float, float]]]] = {
        "1 in flight": lambda rival: rows(rival, url, count=count // 4, in_flight=1, model="m"),
        "32 in flight": lambda rival: rows(rival, url, count=count // 2, in_flight=32, model="m"),
        "256 in flight, 50 ms": lambda rival: rows(rival, url, count=count, in_flight=256, model="m?delay=0.05"),
        "stream, chunk by chunk": lambda rival: chunks(rival, url, count=count // 4),
    }
    for scenario, run in scenarios.items():
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in RIVALS}
        for _ in range(rounds):
            for name, rival in RIVALS.items():
                taken[name].append(asyncio.run(run(rival)))
        _report(scenario, taken)


def _report(scenario: str, taken: dict[str, list[tuple[float, float]]]) -> None:
    print(f"{scenario}\n  {'transport':26}{'per second':>12}{'us each':>10}{'ratio':>8}")
    median = {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in taken.items()}
    for name, (rate, cost) in median.items():
        print(f"  {name:26}{rate:12.0f}{cost:10.0f}{cost / median['the door'][1]:8.2f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=4000)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    with upstream() as url:
        measure(url, given.rows, given.rounds)


if __name__ == "__main__":
    main()
