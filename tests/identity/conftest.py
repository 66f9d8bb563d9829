"""Two public development keys, a clock that stands still, and a vault that is a dictionary."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.signer import Signer

ALICE = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
BOB = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"


class Clock:
    """Stands still until told to move on."""

    def __init__(self, at: float = 1_717_171_717) -> None:
        self.at = at

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at


class Vault:
    """Keeps what it is given, in this process."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get(self, provider: str, name: str, /) -> str | None:
        return self.kept.get((provider, name))

    def set(self, provider: str, name: str, value: str, /) -> None:
        self.kept[provider, name] = value

    def delete(self, provider: str, name: str, /) -> None:
        self.kept.pop((provider, name), None)


@pytest.fixture
def alice() -> Signer:
    return Signer(bytes.fromhex(ALICE))


@pytest.fixture
def bob() -> Signer:
    return Signer(bytes.fromhex(BOB))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def book(tmp_path: Path, clock: Clock) -> AccessKeys:
    return AccessKeys(tmp_path / "identity", clock=clock)
