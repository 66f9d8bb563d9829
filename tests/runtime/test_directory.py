"""Which models can be named, while providers come and go; and what closing leaves behind."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from osaurus_nb.directory import Directory
from osaurus_nb.errors import ModelNotFound
from osaurus_nb.ports import Adapter, SystemClock
from osaurus_nb.routing.metering import Unkept
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

pytestmark = pytest.mark.anyio


class OneIsOff:
    """A source with one provider that must not be asked."""

    adapters: Mapping[str, Adapter] = {}

    def current(self) -> Mapping[str, Adapter]:
        return self.adapters

    def disabled(self) -> Collection[str]:
        return ("off",)

    def find(self, name: str, /) -> Adapter:
        raise NotImplementedError(name)

    async def aclose(self) -> None: ...


class Stuck(ScriptedAdapter):
    async def aclose(self) -> None:
        raise OSError("stuck")


class Closed(Unkept):
    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_a_model_of_a_disabled_provider_is_refused_with_a_sentence() -> None:
    """Its name is known, but nobody may ask there."""
    directory = Directory(OneIsOff(), SystemClock())

    with pytest.raises(ModelNotFound, match="'off' is disabled"):
        await directory.candidate("off/m")

    await directory.aclose()


async def test_the_ledger_is_closed_though_a_provider_fails_to() -> None:
    """What was noted last is money: it is written in any case."""
    ledger = Closed()
    runtime = Runtime([Stuck({"m": [says("x")]}, provider="one")], ledger=ledger)

    with pytest.raises(OSError, match="stuck"):
        await runtime.aclose()

    assert ledger.closed
