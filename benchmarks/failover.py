"""What a failing provider costs whoever asks: time until another answers, a cancel's way, memory beside a hostile one.

    python benchmarks/failover.py [--quick]

Our server runs in a process of its own; `osaurus_nb.testing.faulty` fails as each model's name says. **Added** is the
first word's time with a failing provider before a good one, less the time of the good one alone, less what the fault
itself takes when it is met directly. Each fault meets a provider that never failed before (so that it is asked again
where that may help), and one in the middle of an outage (so that it is left alone). The reference for a cancel is the
same one made at the provider directly.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
from _measure import arguments, percentile, pin, table, verdict
from _stage import SMALL_MODEL, Running, endpoint, home

from osaurus_nb.testing.faulty import FaultyUpstream

#: Every class that ends before a word, by itself and at once: what waits for a deadline has the deadline's duration.
AT_ONCE = (
    "slammed",
    "reset",
    "half-head",
    "garbage",
    "slammed-after-head",
    "reset-after-head",
    "page",
    "page-502",
    "error-in-200",
    "nothing",
    "null",
    "shape",
    "bad-json",
    "bad-utf8",
    "bad-gzip",
    "empty",
    "thought-only",
    "length-before-text",
    "filter-before-text",
    *("301", "401", "402", "403", "404", "408", "409", "429", "500", "501", "502", "503", "504", "524", "529"),
)
HOSTILE = (
    "gzip-bomb",
    "endless",
    "endless-thought",
    "endless-line",
    "endless-event",
    "endless-error",
    "endless-head",
    "interim",
    "huge-frame?mib=64",
)
MEBI = 1 << 20


@contextmanager
def faulty() -> Iterator[FaultyUpstream]:
    """On a thread of this process: its records are read here."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = FaultyUpstream()
    asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(10)
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(made.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)


def message(url: str, key: str, ask: Mapping[str, object]) -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": "Say hello."}], **ask}).encode()
    address = urlsplit(url)
    head = f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\n"
    head += "Connection: close\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def link(url: str) -> socket.socket:
    address = urlsplit(url)
    made = socket.create_connection((address.hostname, address.port), timeout=60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def until(url: str, key: str, ask: Mapping[str, object], mark: bytes | None) -> float:
    """Milliseconds from the question to this mark, or to the end."""
    with link(url) as line:
        seen, began = b"", time.perf_counter()
        line.sendall(message(url, key, ask))
        try:
            while (mark is None or mark not in seen) and (data := line.recv(65536)):
                seen = seen[-200:] + data
        except ConnectionResetError:
            pass
        took = (time.perf_counter() - began) * 1e3
    if mark is not None and mark not in seen:
        raise SystemExit(f"no answer came: {seen[:500]!r}")
    return took


_WORD = b'"content": "Hello"'


def added(server: Running, upstream: FaultyUpstream, providers: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
    """Milliseconds that each fault added, asked once of each of its providers; the good one alone is asked in turns."""
    url = f"{server.url}/v1"
    alone = {"model": "good/good", "stream": True}
    for _ in range(100):
        until(url, server.key, alone, _WORD)
    taken: dict[str, list[float]] = {}
    for fault in AT_ONCE:
        own = percentile([_met(upstream, fault) for _ in range(5)], 0.5)
        # Another model each time: it is not its own failures that are met again.
        asks = [
            {"model": f"{name}/{fault}?n={number}", "stream": True, "fallbacks": ["good/good"]}
            for number, name in enumerate(providers[fault])
        ]
        pairs = [(until(url, server.key, alone, _WORD), until(url, server.key, ask, _WORD)) for ask in asks]
        good = percentile([pair[0] for pair in pairs], 0.5)
        taken[fault] = [pair[1] - good - own for pair in pairs]
    return taken


def _met(upstream: FaultyUpstream, fault: str) -> float:
    """What the fault itself takes: until its last byte, or until the connection is gone."""
    with link(upstream.url) as line:
        line.settimeout(0.05)  # it keeps its connections
        began = last = time.perf_counter()
        line.sendall(message(upstream.url, "k", {"model": fault, "stream": True}))
        try:
            while line.recv(65536):
                last = time.perf_counter()
            last = time.perf_counter()
        except TimeoutError:
            pass
        except ConnectionResetError:
            last = time.perf_counter()
        return (last - began) * 1e3


def fresh(each: int) -> dict[str, list[str]]:
    """For each fault so many providers that never failed: they are asked again where that may help."""
    return {fault: [f"well-{fault}-{number}" for number in range(each)] for fault in AT_ONCE}


def failover(server: Running, upstream: FaultyUpstream, each: int) -> None:
    first = added(server, upstream, fresh(each))
    ill = added(server, upstream, dict.fromkeys(AT_ONCE, ["ill"] * each * 2))
    both = {"a provider that was well": first, "a provider in an outage": ill}
    rows = {
        name: [percentile(list(itertools.chain(*taken.values())), share) for share in (0.5, 0.95, 0.99)]
        for name, taken in both.items()
    }
    table(f"Failover before the first word, {len(AT_ONCE)} faults: ms added", ["p50", "p95", "p99"], rows)
    slow = sorted(first.items(), key=lambda item: -percentile(item[1], 0.5))[:6]
    table("  the slowest of the first", ["p50", "p95"], {n: [percentile(t, 0.5), percentile(t, 0.95)] for n, t in slow})
    everything = [*itertools.chain(*first.values()), *itertools.chain(*ill.values())]
    verdict("failover, p50", percentile(everything, 0.5), 20, unit=" ms")
    verdict("failover, p95", percentile(everything, 0.95), 150, unit=" ms")


def cancel(server: Running, upstream: FaultyUpstream, count: int) -> None:
    """From the client's closing to the moment when the provider sees that it was hung up on."""
    rows = {}
    for name, url, key, prefix in (
        ("through our server", f"{server.url}/v1", server.key, "good/"),
        ("at the provider directly", upstream.url, "k", ""),
    ):
        streams = [_cancelled(url, key, f"{prefix}endless?interval=0.01", upstream, stream=True) for _ in range(count)]
        silent = [_cancelled(url, key, f"{prefix}silent", upstream, stream=False) for _ in range(count)]
        taken = streams + silent
        rows[name] = [percentile(taken, share) for share in (0.5, 0.95, 0.99)]
    table("Client cancel to provider hang-up, ms", ["p50", "p95", "p99"], rows)
    verdict("cancel, p99", rows["through our server"][2], 100, unit=" ms")


def _cancelled(url: str, key: str, model: str, upstream: FaultyUpstream, *, stream: bool) -> float:
    before = len(upstream.requests)
    with link(url) as line:
        line.sendall(message(url, key, {"model": model, "stream": stream}))
        while len(upstream.requests) == before:
            time.sleep(0.0005)
        if stream:
            line.recv(65536)
    left = time.monotonic()
    [asked] = upstream.requests[before:]
    while asked.hung_up_at is None and time.monotonic() < left + 5:
        time.sleep(0.0005)
    return ((asked.hung_up_at or time.monotonic()) - left) * 1e3


def hostile(quick: bool) -> None:
    """How far a server's memory rises while it is sent more than anybody needs. Each time a fresh one, warmed up."""
    rows = {}
    for fault, stream in itertools.product(HOSTILE[:1] if quick else HOSTILE, (True, False)):
        with endpoint() as server:
            url = f"{server.url}/v1"
            for _ in range(50):
                until(url, server.key, {"model": "good/good", "stream": True}, _WORD)
            with rising(server.pid) as rise:
                until(url, server.key, {"model": f"good/{fault}", "stream": stream}, None)
        rows[f"{fault}, {'streamed' if stream else 'whole'}"] = [rise[0]]
    table("Memory that a hostile provider adds, MiB", ["at most"], rows)
    verdict("memory", max(row[0] for row in rows.values()), 32, unit=" MiB")


@contextmanager
def rising(pid: int) -> Iterator[list[float]]:
    """By how many MiB the resident memory of a process rises at most, meanwhile."""
    process, rise, over = psutil.Process(pid), [0.0], threading.Event()
    before = process.memory_info().rss
    peak = Path(f"/proc/{pid}/status")

    def watch() -> None:
        while not over.wait(0.002):
            rise[0] = max(rise[0], (process.memory_info().rss - before) / MEBI)

    exact = _reset_peak(pid)
    thread = threading.Thread(target=watch)
    thread.start()
    yield rise
    over.set()
    thread.join()
    if exact:
        [line] = [line for line in peak.read_text().splitlines() if line.startswith("VmHWM")]
        rise[0] = max(rise[0], int(line.split()[1]) / 1024 - before / MEBI)


def _reset_peak(pid: int) -> bool:
    """On Linux the system keeps the peak itself, and begins anew when it is told to."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def main() -> None:
    given = arguments(__doc__, rounds=2)
    each = given.rounds * 3
    names = (*itertools.chain(*fresh(each).values()), "ill", "good")
    with (
        faulty() as upstream,
        home(dict.fromkeys(names, upstream.url), model=SMALL_MODEL),
        endpoint() as ours,
    ):
        pin(0, 0)
        pin(ours.pid, 1)
        failover(ours, upstream, each)
        cancel(ours, upstream, 20 if given.quick else 200)
        hostile(given.quick)


if __name__ == "__main__":
    main()
