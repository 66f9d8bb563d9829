"""`jupyter osaurus`: the endpoint by itself, without kernels, files or a browser. Loopback unless told otherwise."""

from __future__ import annotations

import argparse
import errno
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from jupyter_server.serverapp import ServerApp

from osaurus_nb.gateway.keys import ALL_SCOPES, PLAIN_SCOPES
from osaurus_nb_server.app import OsaurusServer
from osaurus_nb_server.kernel_access import reachable_url

PORT = 1337

_SNIPPET = """\
from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key="{key}")
for model in client.models.list():
    print(model.id)
"""


class Endpoint(ServerApp):
    """A Jupyter server that serves our extension and none of Jupyter's own services."""

    name = "osaurus"
    default_services = ()  # type: ignore[assignment]  # typed as the very tuple that it is by default

    def load_config_file(self, *_: object, **__: object) -> None:
        """The user's settings for Jupyter servers, their address among them, are not meant for this one."""

    def init_signal(self) -> None:
        """Stop at once and cleanly; there is nothing to ask about."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stop(from_signal=True))

    def write_server_info_file(self) -> None:
        """Nobody should take this for a Jupyter server to open notebooks on."""


def serve(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, announce the endpoint when it accepts, serve until told to stop."""
    options = _parse(argv)
    _refuse_busy_port(options.ip, options.port)
    server = Endpoint.instance(jpserver_extensions={"osaurus_nb_server": True}, no_browser_open_file=True)
    server.initialize(argv=_traits(options), find_extensions=False)
    [extension] = server.extension_manager.extension_apps["osaurus_nb_server"]
    # Callbacks run in their order: the first one binds the port, so what is announced accepts.
    server.io_loop.add_callback(_announce, server, extension, options)
    server.start()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("jupyter osaurus", description="An OpenAI-compatible endpoint on this machine.")
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0 takes any free one")
    parser.add_argument("--ip", default="127.0.0.1", help="address to listen on; others may reach it if not loopback")
    parser.add_argument("--json", action="store_true", help="print one line of JSON when ready, and nothing else")
    parser.add_argument(
        "--scope",
        choices=sorted(ALL_SCOPES - PLAIN_SCOPES),
        action="append",
        default=[],
        help="let the printed key spend the Router's credit, or set up providers and keys, too; can be repeated",
    )
    parser.add_argument("--debug", action="store_true", help="log more, to stderr")
    return parser.parse_args(argv)


def _traits(options: argparse.Namespace) -> list[str]:
    """The server's settings. Its own token is random and told to nobody: only our keys open anything."""
    return [
        f"--ServerApp.ip={options.ip}",
        f"--ServerApp.port={options.port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.open_browser=False",
        "--ServerApp.allow_root=True",  # it runs nobody's code
        f"--ServerApp.log_level={'DEBUG' if options.debug else 'WARN'}",
        f"--IdentityProvider.token={secrets.token_hex(32)}",
        "--OsaurusServer.kernel_access=False",
    ]


def _refuse_busy_port(ip: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as exc:
            why = "is in use" if exc.errno == errno.EADDRINUSE else f"cannot be used: {exc.strerror}"
            sys.exit(f"Port {port} on {ip} {why}. Choose another with --port N; --port 0 takes any free one.")


def _announce(server: Endpoint, extension: OsaurusServer, options: argparse.Namespace) -> None:
    url = reachable_url(server)
    scopes = PLAIN_SCOPES.union(options.scope)
    key, _ = extension.service.keys.issue("jupyter osaurus", scopes=scopes, expires_in=None)
    ready: dict[str, Any] = {"url": url, "key": key, "pid": os.getpid()}
    text = json.dumps(ready) if options.json else f"Ready at {url}/v1\nKey: {key}\n\n{_SNIPPET.format(**ready)}"
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
