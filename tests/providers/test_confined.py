"""Promises of the twins of remote adapters, and of a door that leads nowhere outside."""

from __future__ import annotations

import httpx2
import pytest

from osaurus_nb.config.providers import Provider
from osaurus_nb.config.settings import only_home
from osaurus_nb.providers.dial import AT_HOME, AddressPolicy, OutsideRefused, Within
from osaurus_nb.providers.http import Call, HttpDoor
from osaurus_nb.providers.remote import RemoteAdapter


def adapter(url: str) -> RemoteAdapter:
    settings = Provider(id="1", name="Lab", slug="lab", url=url, format="openai")
    return RemoteAdapter(settings, HttpDoor(), keys=lambda: ())


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "192.168.1.5", "100.64.0.3", "nas.local", "box.tail1.ts.net"]
)
def test_a_server_that_may_be_here_has_one_twin(host: str) -> None:
    """It is made once, knows the same settings, and is its own twin."""
    lab = adapter(f"http://{host}:8000/v1")

    twin = lab.confined()

    assert twin is not None
    assert twin is not lab
    assert (lab.confined(), twin.confined()) == (twin, twin)
    assert twin.settings is lab.settings


@pytest.mark.parametrize("host", ["api.openai.com", "8.8.8.8", "nas", "local.example.com", "[2001:4860:4860::8888]"])
def test_who_is_elsewhere_has_none(host: str) -> None:
    """An unknown name counts as elsewhere: it would have to be looked up to know better."""
    assert adapter(f"https://{host}/v1").confined() is None


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["http://8.8.8.8/", "http://models.example.com/", "http://[::ffff:8.8.8.8]/"])
async def test_a_door_that_leads_nowhere_outside_ignores_laxer_calls(url: str) -> None:
    """Whatever guard a call brings, it is held to this machine and its networks."""
    async with HttpDoor(local_only=True) as door:
        with pytest.raises(OutsideRefused):
            async with door.open(Call(url, "GET", guard=AddressPolicy(private=True))):
                pass


@pytest.mark.anyio
async def test_a_proxy_gets_no_strict_question() -> None:
    """It would resolve the name out of our sight."""
    async with HttpDoor(proxy="http://127.0.0.1:9", local_only=True) as door:
        with pytest.raises(httpx2.ConnectError, match="proxy"):
            async with door.open(Call("http://nas.local/", "GET")):
                pass


@pytest.mark.parametrize("address", ["192.0.2.1", "198.18.0.1", "203.0.113.9", "192.88.99.1", "2001:db8::1"])
def test_ranges_for_other_uses_are_not_home(address: str) -> None:
    """They are not global by Python's word, and belong to nobody's network here."""
    with pytest.raises(OutsideRefused):
        AT_HOME.check("host", address)


def test_guards_of_one_kind_share_connections_and_others_do_not() -> None:
    """Connections are kept by their guard."""
    lax = AddressPolicy(private=True)

    assert Within(lax) == Within(AddressPolicy(private=True))
    assert len({lax, AT_HOME, Within(lax)}) == 3


@pytest.mark.parametrize(("said", "holds"), [("1", True), ("yes", True), ("on", True), ("0", False), ("", False)])
def test_the_switch_is_on_unless_it_says_no(said: str, holds: bool) -> None:
    """A word that we do not know is taken for a yes: it was set to be safe."""
    assert only_home({"OSAURUS_LOCAL_ONLY": said}) is holds
