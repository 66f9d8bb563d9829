"""Promises of the address policy."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from osaurus_nb.providers.dial import (
    AddressPolicy,
    AddressRefused,
    ConnectionRefused,
    NameNotFound,
    check_unresolved,
    dial,
)

PUBLIC, PRIVATE, LOCAL = AddressPolicy(), AddressPolicy(private=True), AddressPolicy(local_only=True)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fd00:ec2::254",
        "100.100.100.200", "168.63.129.16", "fe80::1%eth0", "0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0",
        "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("policy", [PUBLIC, PRIVATE, LOCAL])
def test_some_addresses_are_never_dialled(policy: AddressPolicy, address: str) -> None:
    """Metadata services, link-local, multicast and unspecified addresses are refused whatever the user typed."""
    with pytest.raises(AddressRefused):
        policy.check("host", address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.1.2.3", "192.168.0.9", "fd12::1", "100.64.0.7"]
)
def test_local_addresses_need_a_yes(address: str) -> None:
    """This machine and its networks are dialled only for a provider that the user typed."""
    PRIVATE.check("host", address)
    LOCAL.check("host", address)

    with pytest.raises(AddressRefused):
        PUBLIC.check("host", address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"])
def test_strict_local_refuses_the_world(address: str) -> None:
    """Under the strict local policy no public address is dialled."""
    PUBLIC.check("host", address)
    PRIVATE.check("host", address)

    with pytest.raises(AddressRefused):
        LOCAL.check("host", address)


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "localhost", "::1"])
async def test_disguised_loopback_is_seen_through(host: str) -> None:
    """The resolved address is judged, not how the host was written."""
    with pytest.raises(AddressRefused):
        await dial(host, 9, PUBLIC)


@pytest.mark.parametrize("host", ["127.1", "0x7f.0.0.1", "2852039166", "169.254.169.254", "::1"])
def test_a_literal_behind_a_proxy_is_judged_too(host: str) -> None:
    """A proxy is not asked for an address that we would not dial ourselves."""
    with pytest.raises(AddressRefused):
        check_unresolved(host, PUBLIC)


def test_a_proxy_is_not_local() -> None:
    """Under the strict local policy nothing goes through a proxy, which may lead anywhere."""
    check_unresolved("example.com", PUBLIC)

    with pytest.raises(AddressRefused):
        check_unresolved("example.com", LOCAL)


@pytest.mark.anyio
async def test_an_unknown_name_is_told_apart() -> None:
    """A name that does not resolve is not mistaken for a machine that is down."""
    with pytest.raises(NameNotFound, match=r"nowhere\.invalid"):
        await dial("nowhere.invalid", 80, PUBLIC)


@pytest.mark.anyio
async def test_a_closed_port_is_told_apart() -> None:
    """A machine where nobody listens is told by address and port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]

    with pytest.raises(ConnectionRefused, match=f"127.0.0.1 port {port}"):
        await dial("127.0.0.1", port, PRIVATE)


@pytest.mark.anyio
async def test_the_second_address_is_tried() -> None:
    """A host with several addresses is reached when one of them answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]

        sock = await dial("localhost", port, PRIVATE)  # ::1, where the machine has it, refuses

        assert sock.getpeername()[:2] == ("127.0.0.1", port)
        sock.close()
