"""Ledgers in a folder of their own, whose vault has its key from the environment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.ledger.store import LedgerStore, Retention
from osaurus_nb.ports import SystemClock
from osaurus_nb.secrets import Secrets, Slots
from tests.ledger.lines import NOON

VAULT = "5a" * 32


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def slots(home: Path) -> Slots:
    return slots_of(home)


@pytest.fixture
async def process(home: Path, slots: Slots) -> AsyncIterator[Callable[..., LedgerStore]]:
    """Makes stores as other processes would have them; all are closed in the end."""
    made: list[LedgerStore] = []

    def make(key: Slots | None = slots, *, retention: Retention | None = None, **given) -> LedgerStore:
        made.append(LedgerStore(Paths(home), key, clock=given.get("clock", Still()), retention=retention))
        return made[-1]

    yield make
    for store in made:
        await store.aclose()


@pytest.fixture
async def ledger(process: Callable[..., LedgerStore]) -> LedgerStore:
    return process()


class Still(SystemClock):
    """It is noon for ever, so that no line grows too old for these tests."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(NOON, UTC)


def slots_of(home: Path, vault: str = VAULT) -> Slots:
    return Secrets(Paths(home), env={"OSAURUS_VAULT_KEY": vault}).slots
