"""The whole thing without a browser: a streamed answer of the local model, then the same model over HTTP."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from osaurus_nb.client import Client
from osaurus_nb.config.settings import EMBEDDED_MODEL
from osaurus_nb.errors import ConfigError

QUESTION = "What is the capital of France?"
LONGER = "Write three short sentences about the sea."


def main() -> None:
    """Print both answers. Raises OsaurusError where one does not come."""
    print(f"\n1. In this process: {EMBEDDED_MODEL}")
    client = Client(embedded=True, model=EMBEDDED_MODEL)
    for question in (QUESTION, LONGER):
        _ask_here(client, question)
    print("\n2. The same model behind `jupyter osaurus`, over HTTP")
    with _server() as (url, key):
        print(f"   {url}/v1/chat/completions")
        for piece in _ask_there(url, key):
            print(piece, end="", flush=True)
    print("\n")


def _ask_here(client: Client, question: str) -> None:
    print(f"\n> {question}")
    stream = client.stream(question, temperature=0, max_tokens=80)
    for piece in stream:
        print(piece, end="", flush=True)
    print(f"\n  [{stream.reply.footer}]")


@contextmanager
def _server() -> Iterator[tuple[str, str]]:
    """The endpoint as a process of its own, on a free port."""
    command = [sys.executable, "-m", "osaurus_nb_server", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line:
                raise ConfigError("`jupyter osaurus` did not start; run it by itself to see why.")
            ready = json.loads(line)
            yield ready["url"], ready["key"]
        finally:
            process.terminate()


def _ask_there(url: str, key: str) -> Iterator[str]:
    """The pieces of one streamed Chat Completions answer, with nothing but the standard library."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
    body = {"model": EMBEDDED_MODEL, "stream": True, "temperature": 0, "messages": [_turn(LONGER)], "max_tokens": 80}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", f"{address.path}/v1/chat/completions", json.dumps(body), headers)
    response = connection.getresponse()
    if response.status != http.client.OK:
        raise ConfigError(f"The endpoint answered {response.status}: {response.read(500).decode()}")
    for line in response:
        if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
            for choice in json.loads(line[6:])["choices"]:
                yield choice["delta"].get("content") or ""
    connection.close()


def _turn(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
