"""A home of its own with a server over it, and a provider on loopback that knows one key. For the tests of /admin."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.settings import Settings
from osaurus_nb.gateway.keys import ALL_SCOPES
from osaurus_nb.runtime import Runtime
from osaurus_nb.secrets import secrets_of

GOOD = "sk-good-93b1c7de5a"


class Upstream:
    """Lists one model for whoever has the key; without `secure`, for anybody."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        self.seen: list[dict[str, str]] = []


@contextmanager
def upstream(*, secure: bool = True) -> Iterator[Upstream]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.seen.append({name.lower(): value for name, value in self.headers.items()})
            good = not secure or self.headers.get("Authorization") == f"Bearer {GOOD}"
            body = json.dumps({"object": "list", "data": [{"id": "m1", "object": "model"}]} if good else {}).encode()
            self.send_response(200 if good else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Upstream(server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


class Desk:
    """The server, asked as an administrator."""

    def __init__(self, served: Any, home: Path) -> None:
        self.served = served
        self.home = home
        self.key = served.service.keys.issue("widgets", scopes=ALL_SCOPES, expires_in=None)[0]

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        kind = "body" if isinstance(body, bytes) else "json_body"
        return self.served.ask(method, f"/admin{path}", **{kind: body}, key=more.pop("key", self.key), **more)


@contextmanager
def desk(serve: Any, home: Path, **traits: Any) -> Iterator[Desk]:
    settings = replace(Settings.from_env(), url=None, key=None, router=False)
    with serve(backend=lambda: Runtime(ConfiguredSources(settings)), **traits) as served:
        yield Desk(served, home)


@contextmanager
def fresh_secrets() -> Iterator[None]:
    """No vault of another test is open in this process."""
    secrets_of.cache_clear()
    try:
        yield
    finally:
        secrets_of.cache_clear()
