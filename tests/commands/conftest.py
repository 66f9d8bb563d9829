"""A home, a terminal and a pipe for the commands of `osaurus-nb`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import keyring
import pexpect
import pytest
from keyring.backends.fail import Keyring as NoKeychain

from osaurus_nb.cli import main

VAULT_KEY = "5a" * 32
_OURS = (
    "OSAURUS_VAULT_KEY",
    "OSAURUS_URL",
    "OSAURUS_KEY",
    "OSAURUS_ROUTER",
    "OSAURUS_ROUTER_URL",
    "JPY_PARENT_PID",
    "MPLBACKEND",
)
_VENDORS = ("OPENAI_API_KEY", "XAI_API_KEY", "LAB_KEY")


class Said(NamedTuple):
    """What a command said where, and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Said]
Terminal = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture(autouse=True)
def no_keychain() -> Iterator[None]:
    """No test meets the keychain of whoever runs it."""
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeychain())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where nothing keeps a secret."""
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    for variable in (*_OURS, *_VENDORS):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def vault(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose vault has a key."""
    monkeypatch.setenv("OSAURUS_VAULT_KEY", VAULT_KEY)
    return home


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """One command in this process, with lines in its pipe."""

    def ran(line: str, *typed: str) -> Said:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{text}\n" for text in typed)))
        try:
            code = main(line.split())
        except SystemExit as exc:
            code = int(exc.code or 0)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return ran


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    """One command in a process of its own, at a terminal where somebody types."""
    children: list[pexpect.spawn[str]] = []

    def started(line: str, **env: str) -> pexpect.spawn[str]:
        environment = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", **env}
        words = ["-m", "osaurus_nb.cli", *line.split()]
        child = pexpect.spawn(
            sys.executable, words, env=environment, encoding="utf-8", timeout=30, dimensions=(50, 200)
        )
        child.logfile_read = io.StringIO()
        children.append(child)
        return child

    yield started
    for child in children:
        child.close(force=True)


def screen(child: pexpect.spawn[str]) -> str:
    """All that was shown, once the command has ended."""
    child.expect(pexpect.EOF)
    child.wait()
    shown = child.logfile_read.getvalue()
    assert isinstance(shown, str)
    return shown


def files_with(home: Path, secret: str) -> list[Path]:
    """The files below `home` that hold it in clear."""
    return [path for path in home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
