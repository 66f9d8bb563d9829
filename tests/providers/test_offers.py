"""Servers on this machine are found and offered; nothing leaves it, nothing is added."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.providers.dial import AddressRefused
from osaurus_nb.providers.on_this_machine import PATIENCE, Offer, _ThisMachine, look, offers
from tests.providers.listing import ListServer, serving

pytestmark = pytest.mark.anyio


def ports(server: ListServer) -> dict[str, int]:
    """Both kinds are looked for at this server."""
    port = int(server.url.rpartition(":")[2])
    return {"ollama": port, "lmstudio": port}


async def test_what_runs_here_is_offered(tmp_path: Path) -> None:
    """By its preset and address, with how many models it has; no file is written."""
    async with serving() as server:
        server.answers["/api/tags"] = (200, {"models": [{"name": "a"}, {"name": "b"}]})

        found = await look(ProviderFile(Paths(tmp_path)).load(), ports=ports(server))

    assert found == [Offer("ollama", "Ollama", server.url, 2)]
    assert found[0].command == "osaurus-nb providers add ollama"
    assert list(tmp_path.rglob("*")) == []


async def test_lm_studio_is_known_by_its_own_list() -> None:
    """An answer that any other server could give is none."""
    async with serving("m") as server:
        assert await look([], ports=ports(server)) == []
        server.answers["/api/v0/models"] = (200, {"object": "list", "data": []})

        assert [offer.preset for offer in await look([], ports=ports(server))] == ["lmstudio"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_what_is_set_up_is_not_offered(tmp_path: Path, host: str) -> None:
    """However its address was written."""
    async with serving() as server:
        server.answers["/api/tags"] = (200, {"models": []})
        file = ProviderFile(Paths(tmp_path))
        file.add("mine", url=f"http://{host}:{server.url.rpartition(':')[2]}/v1")

        assert await look(file.load(), ports=ports(server)) == []
        assert server.asked == []


@pytest.mark.parametrize("answer", [(200, b"<html>"), (200, b"[]"), (200, {"models": 3}), (401, {}), (302, {})])
async def test_something_else_at_the_port_is_left_alone(answer: tuple[int, object]) -> None:
    """A page, another shape, a locked door, a redirect: no offer."""
    async with serving() as server:
        server.answers["/api/tags"] = answer

        assert await look([], ports=ports(server)) == []


async def test_a_silent_server_holds_nobody_up() -> None:
    """The look is over in a moment."""
    async with serving() as server:
        server.delay = 30
        began = time.monotonic()

        assert await look([], ports=ports(server)) == []
        assert time.monotonic() - began < PATIENCE + 0.5


def test_nothing_but_this_machine_may_be_dialled() -> None:
    """Not the local network either, nor a proxy."""
    for address in ("192.168.1.5", "10.0.0.1", "8.8.8.8", "169.254.169.254"):
        with pytest.raises(AddressRefused):
            _ThisMachine().check("x", address)
    with pytest.raises(AddressRefused):
        _ThisMachine().check_name("localhost")
    _ThisMachine().check("localhost", "127.0.0.1")


async def test_it_works_beside_a_running_loop() -> None:
    """As in a notebook's cell."""
    assert asyncio.get_running_loop().is_running()
    assert isinstance(offers(lambda: []), list)
