"""CPU of the serving process for one answer through our endpoint, beside a bare authenticated Jupyter handler.

    python benchmarks/gateway_overhead.py [--quick]

The bare handler (`APIHandler`, stock authentication by Jupyter's token, a fixed answer of 830 bytes, no upstream at
all) is the least that any endpoint mounted in this jupyter-server can cost. Ours does the whole work: key, checks,
parsing, naming, plan, a streamed exchange with an upstream in another process, deadlines, and the answer. Both serve
16 kept connections; load and upstream share a core, the server has the other one.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
from urllib.parse import urlsplit

from _measure import alternate, arguments, cpu_of, medians, pin, table, verdict
from _stage import SMALL_MODEL, Running, child, endpoint, home, upstream

CONNECTIONS = 16
GOAL = 1.5
ANSWER = json.dumps({"id": "chatcmpl-bare", "choices": [], "padding": "x" * 771}).encode()
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


def serve_bare() -> None:
    """Runs in the other process: the reference, on the same kind of server as ours."""
    from jupyter_server.base.handlers import APIHandler
    from tornado.web import authenticated

    from osaurus_nb_server.standalone import Endpoint

    class Bare(APIHandler):
        @authenticated
        def post(self) -> None:
            self.finish(ANSWER)

    token = secrets.token_hex(16)
    settings = {"ip": "127.0.0.1", "port": 0, "open_browser": False, "allow_root": True, "log_level": "WARN"}
    server = Endpoint.instance(no_browser_open_file=True, **settings)
    server.initialize(argv=[f"--IdentityProvider.token={token}"], find_extensions=False)
    server.web_app.add_handlers(  # type: ignore[no-untyped-call]
        ".*$", [("/bare/v1/chat/completions", Bare)]
    )
    line = json.dumps({"url": f"http://127.0.0.1:{server.port}/bare", "key": token})
    server.io_loop.add_callback(lambda: print(line, flush=True))
    server.start()


async def ask(server: Running, body: bytes, count: int) -> None:
    """So many requests, over 16 connections."""
    address = urlsplit(server.url)
    head = f"POST {address.path}/v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\n"
    head += (
        f"Authorization: Bearer {server.key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request, numbers = head.encode() + body, iter(range(count))

    async def work() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for _ in numbers:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(answer)
            if b" 200 " not in answer.partition(b"\r\n")[0] or length is None:
                raise SystemExit(f"no answer came: {answer.decode('latin-1')}")
            await reader.readexactly(int(length[1]))
        writer.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))


def cost(server: Running, model: str, count: int) -> list[float]:
    """CPU us of the server per request."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Say hello."}]}).encode()
    before = cpu_of(server.pid)
    asyncio.run(ask(server, body, count))
    return [(cpu_of(server.pid) - before) / count * 1e6]


def main() -> None:
    given = arguments(__doc__, rounds=5)
    count = 300 if given.quick else 4000
    with (
        upstream() as provider,
        home({"bench": provider.url}, model=SMALL_MODEL),
        endpoint() as ours,
        child(["benchmarks/gateway_overhead.py", "--serve-bare"]) as (pid, line),
    ):
        bare = Running(pid, **json.loads(line))
        for process, core in ((provider.pid, 0), (0, 0), (ours.pid, 1), (bare.pid, 1)):
            pin(process, core)
        rivals = {
            "bare handler": lambda: cost(bare, "m", count),
            "ours, an answer of 6 words": lambda: cost(ours, "bench/m", count),
            "ours, an answer of 64 words": lambda: cost(ours, "bench/m?words=64", count),
        }
        rows = {name: medians(runs) for name, runs in alternate(rivals, given.rounds).items()}
    reference = rows["bare handler"][0]
    rows = {name: [figure, figure / reference] for name, [figure] in rows.items()}
    table(f"CPU of the serving process, {CONNECTIONS} connections, no streaming", ["us a request", "ratio"], rows)
    verdict("ours over the bare handler", rows["ours, an answer of 6 words"][1], GOAL)


if __name__ == "__main__":
    serve_bare() if "--serve-bare" in sys.argv else main()
