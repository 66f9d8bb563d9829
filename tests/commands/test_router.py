"""`osaurus-nb router` against the reference Router, in a process of its own as in the demo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from osaurus_nb.client import Client


@pytest.fixture
def router(vault, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where it is; every command here asks it."""
    command = [sys.executable, "-m", "osaurus_nb.testing.router"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        monkeypatch.setenv("OSAURUS_ROUTER_URL", url)
        yield url
        process.kill()


def test_without_an_identity_nobody_is_asked(router, run):
    """There is no account; what makes one is named."""
    said = run("router balance")

    assert said.code == 1
    assert "osaurus-nb identity create" in said.err


def test_an_identity_has_an_account(router, run):
    """Its balance in the app's format; then each call with its tokens and its cost."""
    address = run("identity create").out.split()[2].rstrip(".")
    fresh = run("router")
    with Client() as client:
        client.chat("hello there", model="osaurus/venice/model-b")
    balance, usage = run("router balance"), run("router usage --limit 5")

    assert fresh.out.strip() == f"Balance of {address}: $10.00."
    assert balance.out.startswith(f"Balance of {address}: $9.99")
    head, row = usage.out.splitlines()
    assert head.split() == ["time", "model", "in", "out", "cost", "status"]
    assert "venice/model-b" in row
    assert "$0.00" in row or "<$" in row


def test_checkout_gives_an_address_to_pay_at(router, run):
    """Dollars in any spelling; under the least amount, and for what is none, it says so."""
    run("identity create")

    paid, exact = run("router checkout 10"), run("router checkout $7.50")
    little, none = run("router checkout 1"), run("router checkout lots")

    assert paid.out.splitlines()[1] == "https://checkout.invalid/pay/10000000"
    assert exact.out.splitlines()[1].endswith("/7500000")
    assert "cs_test_secret" not in paid.out
    assert little.code == 1
    assert "$5" in little.err
    assert none.code == 2
    assert "number of dollars" in none.err


def test_a_router_that_is_switched_off_or_away_is_told(router, run, monkeypatch):
    """In one sentence, with an exit code."""
    run("identity create")
    monkeypatch.setenv("OSAURUS_ROUTER_URL", "http://127.0.0.1:9")
    away = run("router balance")
    monkeypatch.setenv("OSAURUS_ROUTER", "off")
    off = run("router balance")

    assert (away.code, off.code) == (1, 1)
    assert "Traceback" not in away.err
    assert "switched off" in off.err
