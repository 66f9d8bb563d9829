"""`osaurus-nb doctor`, as a user of a terminal meets it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import osaurus_nb as osaurus
from tests.commands.conftest import Run

CANARY = "sk-canary-0123456789abcdef"


class Rejecting(BaseHTTPRequestHandler):
    """Lists models for one key alone, and repeats the one that it was given."""

    def do_GET(self) -> None:
        good = self.headers["authorization"] == "Bearer good"
        body = b'{"data": [{"id": "m"}]}' if good else f'{{"error": "{self.headers["authorization"]}"}}'.encode()
        self.send_response(200 if good else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("OSAURUS_ROUTER", "off")
    monkeypatch.setenv("OSAURUS_OFFERS", "off")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Rejecting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def test_a_rejected_key_is_found_and_told(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step with its verdict and time; the key is nowhere."""
    monkeypatch.setenv("LAB_KEY", CANARY)
    osaurus.providers.add("lab", url=url, key_env="LAB_KEY")

    said = run("doctor lab")

    [key] = [line for line in said.out.splitlines() if line.split()[1] == "key"]
    assert key.split()[:3] == ["lab", "key", "failed"]
    assert "401 from 127.0.0.1:" in key
    assert "[auth-rejected]" in key
    assert "--report" in said.err
    assert "canary" not in said.out + said.err


def test_the_report_is_for_everybody(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds versions, steps and verdicts; neither the key nor the names that somebody chose."""
    monkeypatch.setenv("LAB_KEY", CANARY)
    osaurus.providers.add("mycanarylab", url=url, key_env="LAB_KEY")

    said = run("doctor --report")

    assert said.out.startswith("osaurus-nb ")
    assert "<provider 2>" in said.out
    assert "[auth-rejected]" in said.out
    assert "canary" not in said.out + said.err
    assert "LAB_KEY" not in said.out


def test_all_are_looked_at_without_a_name(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's models too; a well one says nothing of reports."""
    monkeypatch.setenv("LAB_KEY", "good")
    osaurus.providers.add("lab", url=url, key_env="LAB_KEY")

    said = run("doctor lab")
    every = run("doctor")

    assert "failed" not in said.out
    assert "--report" not in said.err
    assert every.out.splitlines()[1].startswith("local")
    assert "\nlab " in every.out


@pytest.mark.parametrize("line", ["doctor --token", "doctor lab --model m", "doctor nobody"])
def test_what_makes_no_sense_is_refused(run: Run, url: str, line: str) -> None:
    """Nobody is asked for a word by accident."""
    assert run(line).code == 1
