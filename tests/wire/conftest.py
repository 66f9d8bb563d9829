"""A server on loopback for the vendors' own SDKs: it says what a test's function makes of each request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

#: From path, headers (their names in lower case) and body to status, content type and body.
Say = Callable[[str, Mapping[str, str], bytes], tuple[int, str, bytes]]


@pytest.fixture
def loopback() -> Iterator[Callable[[Say], str]]:
    """`loopback(say)` is the URL of a server that answers so until the test ends."""
    servers: list[ThreadingHTTPServer] = []

    def start(say: Say) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(say))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _handler(say: Say) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length") or 0))
            status, kind, content = say(self.path, headers, body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    return Handler
