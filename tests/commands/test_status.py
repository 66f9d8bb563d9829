"""`osaurus-nb status`: how everything stands, for a person and for a script."""

from __future__ import annotations

import pytest

from osaurus_nb.cli import main


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    monkeypatch.setenv("OSAURUS_OFFERS", "off")
    monkeypatch.delenv("OSAURUS_URL", raising=False)
    return tmp_path


def test_all_is_well(capsys):
    """A table of providers, the ledger below, exit status 0."""
    code = main(["status"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0].split() == ["provider", "models", "asked", "worked", "state"]
    assert lines[1].split()[:3] == ["local", "0", "yes"]
    assert lines[-1].startswith("ledger: ")


def test_a_provider_that_fails_is_an_exit_status(capsys):
    """With its reason in its row."""
    assert main(["providers", "add", "gone", "--url", "http://127.0.0.1:9/v1"]) == 0
    capsys.readouterr()

    code = main(["status"])

    assert code == 1
    assert "127.0.0.1 port 9" in capsys.readouterr().out
