"""What the ledger costs: on the event loop per step, on the disk per commit, between eight processes, when it is read.

    python benchmarks/ledger.py [--quick] [--folder DIR]

The loop's cost is CPU time of the loop's thread alone, less what the same loop takes to wait as long for a thread that
does nothing. Commits are as slow as the disk is to sync: name it with the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from _measure import medians, percentile, verdict  # noqa: E402

from osaurus_nb.config.paths import Paths  # noqa: E402
from osaurus_nb.ledger.opening import Opener  # noqa: E402
from osaurus_nb.ledger.store import LedgerStore, Retention  # noqa: E402
from osaurus_nb.models import Usage  # noqa: E402
from osaurus_nb.secrets import Secrets, Slots  # noqa: E402
from osaurus_nb.spending import Cost, Entry, Origin, Query  # noqa: E402

KEY = "5a" * 32
ROUNDS = 5
SCOPES = {"day:2026-11-21": 10**12, "notebook:n": None, "cell:c": None}
LINE = Entry(
    "open",
    "s",
    1,
    1_795_000_000.0,
    "openai",
    "gpt-5",
    "openai/gpt-5",
    Origin("session", "notebook", "cell", "run"),
    dialect="openai-chat",
    reserved_micro=500,
)
SPENT = {"usage": Usage(900, 250, 100), "token_source": "provider", "cost": Cost(321, "table", "2026-11-01")}
ENDED = {"kind": "settle", "outcome": "rendered", "finish_reason": "stop", "first_token_ms": 210, "duration_ms": 1900}


def slots(home: Path) -> Slots:
    return Secrets(Paths(home), env={"OSAURUS_VAULT_KEY": KEY}).slots


def store(home: Path, **settings: int) -> LedgerStore:
    return LedgerStore(Paths(home), slots(home), retention=Retention(**settings))


async def fill(ledger: LedgerStore, calls: int, at: float = 1_795_000_000.0) -> None:
    """So many settled calls, in a hundred cells over thirty days."""
    for number in range(calls):
        origin = Origin("session", f"notebook-{number % 7}", f"cell-{number % 100}", f"run-{number}")
        when = at + number * 30 * 86_400 / max(calls, 1)
        entry = replace(LINE, step=f"f{number}", at=when, origin=origin, model=f"gpt-{number % 5}")
        ledger.add(replace(entry, **SPENT, **ENDED))
        if number % 2_000 == 1_999:
            await ledger.flush()
    await ledger.flush()


async def on_the_loop(home: Path, steps: int) -> None:
    """CPU of the loop's thread for one `open` and one `add`."""
    ledger = store(home)
    await ledger.open(replace(LINE, step="first"), SCOPES)
    entries: list[Entry] = []
    ends: list[Entry] = []

    async def metered(number: int) -> None:
        await ledger.open(entries[number], SCOPES)
        ledger.add(ends[number])

    async def bare(_: int) -> None:
        """The same waiting, for a thread that does nothing."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asked.put(future)
        await future

    def answer() -> None:
        while (future := asked.get()) is not None:
            time.sleep(disk)
            future.get_loop().call_soon_threadsafe(future.set_result, None)

    async def spent_on(work: Callable[[int], Awaitable[None]]) -> float:
        before = time.thread_time()
        for number in range(steps):
            await work(number)
        return (time.thread_time() - before) / steps * 1e6

    asked: queue.SimpleQueue[asyncio.Future[None] | None] = queue.SimpleQueue()
    threading.Thread(target=answer, daemon=True).start()
    disk, rounds = 0.001, []
    for turn in range(ROUNDS):
        entries[:] = [replace(LINE, step=f"l{turn}-{number}") for number in range(steps)]
        ends[:] = [replace(entry, **SPENT, **ENDED) for entry in entries]
        begun = time.perf_counter()
        whole = await spent_on(metered)
        disk = (time.perf_counter() - begun) / steps
        rounds.append((whole, await spent_on(bare)))
    asked.put(None)
    whole, plain = medians(rounds)
    ends[:] = [replace(end, step=f"a-{end.step}") for end in ends]
    before = time.thread_time()
    for end in ends:
        ledger.add(end)
    alone = (time.thread_time() - before) / steps * 1e6
    await ledger.aclose()
    print(f"\nEvent loop, CPU per step: {whole:.1f} µs, of it waiting {plain:.1f} µs; a settle alone {alone:.1f} µs")
    verdict("ledger on the event loop per step, beyond the wait", whole - plain, 30, unit=" µs")


async def commits(home: Path, count: int) -> None:
    """How long `open` waits for the disk, one after the other."""
    ledger = store(home)
    await ledger.open(replace(LINE, step="first"), SCOPES)
    waits = []
    for number in range(count):
        begun = time.perf_counter()
        await ledger.open(replace(LINE, step=f"c{number}"), SCOPES)
        waits.append((time.perf_counter() - begun) * 1e3)
    begun = time.perf_counter()
    await asyncio.gather(*(ledger.open(replace(LINE, step=f"g{number}"), SCOPES) for number in range(count)))
    together = time.perf_counter() - begun
    await ledger.aclose()
    print(f"\nCommit of one open line: p50 {percentile(waits, 0.5):.2f} ms, p99 {percentile(waits, 0.99):.2f} ms")
    print(f"{count} at once, in groups: {together * 1e3:.0f} ms, {count / together:,.0f} lines/s")


def eight(home: Path, each: int) -> None:
    """Eight processes, each waiting for one line after the other."""
    slots(home).key("ledger")
    command = [sys.executable, __file__, "--worker", str(home), str(each)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    waits = sorted(float(line) for worker in workers for line in worker.communicate()[0].split())
    worst = f"worst {waits[-1]:.0f} ms, p99 {percentile(waits, 0.99):.0f} ms, p50 {percentile(waits, 0.5):.1f} ms"
    print(f"\nEight processes, {each} open lines each: {worst}, {len(waits)} of {8 * each} written")


async def worker(home: Path, each: int) -> None:
    ledger = store(home)
    await ledger.open(replace(LINE, step=f"w{os.getpid()}"), SCOPES)
    for number in range(each):
        begun = time.perf_counter()
        await ledger.open(replace(LINE, step=f"w{os.getpid()}-{number}"), SCOPES)
        print((time.perf_counter() - begun) * 1e3)
    await ledger.aclose()


def opening(home: Path, rounds: int) -> None:
    """A ledger of 10,000 calls, opened as each process opens it: found, locked, unlocked, checked for its head."""
    kept = slots(home)
    kept.key("ledger")
    took: dict[str, list[float]] = {"the first": [], "beside another": []}
    for _ in range(rounds):
        held = []
        for name, figures in took.items():
            opener = Opener(Paths(home), kept)
            begun = time.perf_counter()
            held.append(opener.open())
            figures.append((time.perf_counter() - begun) * 1e3)
            assert held[-1].state == "encrypted", (name, held[-1].notices)
        for opened in held:
            opened.connection.close()
    print()
    for name, figures in took.items():
        print(f"Opening {name}: p50 {statistics.median(figures):.2f} ms, p99 {percentile(figures, 0.99):.2f} ms")
        verdict(f"opening {name}, p50", statistics.median(figures), 1, unit=" ms")


async def reading_it(home: Path, rounds: int) -> None:
    ledger = store(home)
    rows = (await ledger.status()).rows
    page, whole, sums, cold = [], [], [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        await ledger.entries()
        page.append((time.perf_counter() - begun) * 1e3)
        begun = time.perf_counter()
        await ledger.totals("cell")
        sums.append((time.perf_counter() - begun) * 1e3)
        begun = time.perf_counter()
        found = await ledger.entries(Query(limit=10_000))
        whole.append((time.perf_counter() - begun) * 1e3)
        assert len(found) == min(rows, 10_000)
    await ledger.aclose()
    for _ in range(max(rounds // 4, 3)):
        ledger = store(home)
        await ledger.entries(Query(limit=1))
        begun = time.perf_counter()
        await ledger.entries()
        await ledger.totals("cell")
        cold.append((time.perf_counter() - begun) * 1e3)
        await ledger.aclose()
    both = statistics.median(page) + statistics.median(sums)
    print(
        f"\n{rows} calls: a page of 100 {statistics.median(page):.1f} ms, sums by cell {statistics.median(sums):.1f} ms"
    )
    print(
        f"all 10,000 as values {statistics.median(whole):.1f} ms; page and sums on a new connection {max(cold):.1f} ms"
    )
    verdict("10,000 calls: a page listed, and all summed", both, 20, unit=" ms")
    verdict(
        "10,000 calls: all listed as values, and summed",
        statistics.median(whole) + statistics.median(sums),
        20,
        unit=" ms",
    )


async def trimming(home: Path, count: int) -> None:
    """The same commits below and above the bound: what trimming one old call for each new one adds."""
    took = {}
    for name, rows in (("below", 1_000_000), ("at", 10_000)):
        ledger = store(home, rows=rows)
        await ledger.open(replace(LINE, step=f"{name}-first"), SCOPES)
        figures = []
        for number in range(count):
            line = replace(LINE, **SPENT, **ENDED)
            begun = time.perf_counter()
            ledger.add(replace(line, step=f"{name}{number}"))
            await ledger.flush()
            figures.append((time.perf_counter() - begun) * 1e3)
        took[name] = statistics.median(figures)
        await ledger.aclose()
    more = took["at"] - took["below"]
    print(f"\nOne settle: {took['below']:.2f} ms below the bound, {took['at']:.2f} ms at it")
    verdict("trim, steady", more, 1, unit=" ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5, help="each takes as many calls as a quick run")
    parser.add_argument("--folder", type=Path, default=None, help="where the disk is that is to be measured")
    parser.add_argument("--worker", nargs=2, metavar=("HOME", "COUNT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return asyncio.run(worker(Path(given.worker[0]), int(given.worker[1])))
    scale = 1 if given.quick else given.rounds
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores{load}")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        homes = [Path(folder) / name for name in ("loop", "commits", "eight", "full")]
        asyncio.run(on_the_loop(homes[0], 200 * scale))
        asyncio.run(commits(homes[1], 100 * scale))
        eight(homes[2], 20 * scale)
        full = store(homes[3], rows=20_000)
        asyncio.run(filled(full))
        opening(homes[3], 20 * scale)
        asyncio.run(reading_it(homes[3], 4 * scale))
        asyncio.run(trimming(homes[3], 40 * scale))
    return None


async def filled(ledger: LedgerStore) -> None:
    await fill(ledger, 10_000)
    await ledger.aclose()


if __name__ == "__main__":
    main()
