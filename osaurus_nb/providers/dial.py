"""Which addresses may be dialled, and the dialling. A name is resolved once; the checked address is the one used."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import httpx2

from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.settings import only_home
from osaurus_nb.models import LOCAL_CLASSES

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
SocketAddress = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]

#: Seconds after which the next address of a host is tried beside the first (RFC 8305).
STAGGER = 0.25


class NameNotFound(httpx2.ConnectError):
    """The host name does not resolve."""


class ConnectionRefused(httpx2.ConnectError):
    """Nobody listens there."""


class TlsFailed(httpx2.ConnectError):
    """The TLS handshake failed, or the certificate is not the host's."""


class AddressRefused(httpx2.ConnectError):
    """Our own policy forbids every address of this host."""


class OutsideRefused(AddressRefused):
    """Only this machine and its networks may be asked, and this host is not there."""


class Guard(Protocol):
    """Decides about one resolved address. Hashable: connections are never shared between unequal guards."""

    def check(self, host: str, address: str) -> None:
        """Raises AddressRefused when `address` must not be dialled."""

    def check_name(self, host: str) -> None:
        """Raises AddressRefused when `host` must not be left to a proxy, who would resolve it out of our sight."""

    def __hash__(self) -> int: ...


@runtime_checkable
class NameGuard(Protocol):
    """A guard that decides about names too, before anybody is asked where they are."""

    def check_host(self, host: str) -> None:
        """Raises AddressRefused for a host that must not even be looked up."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """The default guard.

    Metadata services, link-local, multicast, unspecified and reserved addresses are always refused, whatever form
    the host was written in. `private` allows this machine and the local networks (the user typed such a host).
    `local_only` is the strict local invariant: nothing but those may be dialled.
    """

    private: bool = False
    local_only: bool = False

    def check(self, host: str, address: str) -> None:
        plain = _embedded(ipaddress.ip_address(address.partition("%")[0]))
        if kind := _forbidden(plain):
            raise AddressRefused(f"{host} is {address}, {kind}, which is never contacted")
        local = not plain.is_global
        if local and not (self.private or self.local_only):
            raise AddressRefused(f"{host} is {address}, an address of a local network, which was not allowed")
        if self.local_only and not _at_home(plain):
            raise OutsideRefused(f"{host} is {address}, not an address of this machine or its networks")

    def check_name(self, host: str) -> None:
        if self.local_only:
            raise OutsideRefused(f"{host} would be reached through a proxy, which is not this machine")

    def check_host(self, host: str) -> None:
        """Who looks up a name tells others that it is asked for: a foreign one is not even looked up."""
        if self.local_only and not _is_literal(host) and endpoint_class(host) not in LOCAL_CLASSES:
            raise OutsideRefused(f"{host} is no name of this machine or its networks")


#: This machine and its networks, under whatever name, and nothing else.
AT_HOME = AddressPolicy(private=True, local_only=True)


@dataclass(frozen=True, slots=True)
class Within:
    """A guard within another: what both allow, of this machine and its networks alone."""

    guard: Guard

    def check(self, host: str, address: str) -> None:
        AT_HOME.check(host, address)
        self.guard.check(host, address)

    def check_name(self, host: str) -> None:
        AT_HOME.check_name(host)

    def check_host(self, host: str) -> None:
        AT_HOME.check_host(host)


#: Link-local ones are covered by their range; these lie outside it (AWS over IPv6, Alibaba, Oracle, Azure).
_METADATA = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd20:ce::254"))
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")
#: Loopback, private networks, the shared range that tailnets use, and unique local addresses. Python's `is_global` is
#: no measure: it takes ranges for documentation and for tests as not global, and they are routed somewhere.
_HOME = tuple(
    map(
        ipaddress.ip_network,
        ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7"),
    )
)


def _embedded(ip: Address) -> Address:
    """The IPv4 address that an IPv6 form stands for, else the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64 or (ip in _V4_COMPATIBLE and int(ip) > 1):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _at_home(ip: Address) -> bool:
    return any(ip in network for network in _HOME)


def _forbidden(ip: Address) -> str:
    if ip in _METADATA:
        return "a cloud metadata service"
    if ip.is_link_local:
        return "a link-local address"
    if ip.is_multicast:
        return "a multicast address"
    if ip.is_unspecified or (ip.version == 4 and int(ip) < 1 << 24):
        return "an unspecified address"
    # Python counts ::1 as reserved.
    return "a reserved address" if ip.is_reserved and not ip.is_loopback else ""


async def dial(host: str, port: int, guard: Guard) -> socket.socket:
    """A connected socket to the first address of `host` that `guard` allows and that answers.

    Raises NameNotFound, AddressRefused, ConnectionRefused or another ConnectError.
    """
    addresses = await resolve(host, port, guard)
    if len(addresses) == 1:
        return await _connect(addresses[0])
    return await _race(addresses)


async def resolve(host: str, port: int, guard: Guard) -> list[SocketAddress]:
    """The addresses of `host` that `guard` allows. Raises NameNotFound or AddressRefused."""
    guard = _floor(guard)
    if isinstance(guard, NameGuard):
        guard.check_host(host)
    return _allowed(host, await _resolve(host, port), guard)


def check_unresolved(host: str, guard: Guard) -> None:
    """Raises AddressRefused for a host that a proxy must not be asked for. Only a literal address can be checked."""
    guard = _floor(guard)
    guard.check_name(host)
    with contextlib.suppress(ValueError, OSError):
        guard.check(host, host)
        return
    with contextlib.suppress(OSError):
        guard.check(host, socket.inet_ntoa(socket.inet_aton(host)))  # 127.1, 0x7f.1 and 2130706433 are addresses too


def _floor(guard: Guard) -> Guard:
    """What holds for this whole process, whoever dials: every connection is made through here."""
    return Within(guard) if only_home() else guard


def _is_literal(host: str) -> bool:
    """Is it an address, in any of its spellings, for which nobody is asked?"""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host.partition("%")[0])
        return True
    with contextlib.suppress(OSError):
        socket.inet_aton(host)  # 127.1, 0x7f.1 and 2130706433 are addresses too
        return True
    return False


async def _resolve(host: str, port: int) -> list[SocketAddress]:
    with contextlib.suppress(ValueError):
        ip = ipaddress.ip_address(host)
        return [(socket.AF_INET6 if ip.version == 6 else socket.AF_INET, (host, port))]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise NameNotFound(f"the host name {host} was not found") from exc
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]  # AF_INET and AF_INET6 only


def _allowed(host: str, addresses: Sequence[SocketAddress], guard: Guard) -> list[SocketAddress]:
    """A host may have a link-local address beside a proper one, so one refusal does not refuse the host."""
    allowed: list[SocketAddress] = []
    refusal: AddressRefused | None = None
    for address in addresses:
        try:
            guard.check(host, address[1][0])
        except AddressRefused as exc:
            refusal = exc
        else:
            allowed.append(address)
    if allowed:
        return allowed
    raise refusal or NameNotFound(f"the host name {host} has no address")


async def _race(addresses: Sequence[SocketAddress]) -> socket.socket:
    """Happy eyeballs: start in order, a little apart, and keep the first that connects."""
    waiting, tasks = list(addresses), list[asyncio.Task[socket.socket]]()
    winner: socket.socket | None = None
    failure: BaseException | None = None
    try:
        while waiting or not all(task.done() for task in tasks):
            if waiting:
                tasks.append(asyncio.create_task(_connect(waiting.pop(0))))
            running = [task for task in tasks if not task.done()]
            await asyncio.wait(running, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED)
            done = [task for task in tasks if task.done()]
            failure = next((task.exception() for task in done if task.exception()), None)
            winner = next((task.result() for task in done if not task.exception()), None)
            if winner is not None:
                return winner
    finally:
        _leave(tasks, winner)
    assert failure is not None  # every address was tried and none connected
    raise failure


def _leave(tasks: Sequence[asyncio.Task[socket.socket]], winner: socket.socket | None) -> None:
    for task in tasks:
        if not task.done():
            task.cancel()
        elif not task.cancelled() and not task.exception() and task.result() is not winner:
            task.result().close()


async def _connect(address: SocketAddress) -> socket.socket:
    family, target = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, target)
    except ConnectionRefusedError as exc:
        sock.close()
        raise ConnectionRefused(f"nobody listens at {target[0]} port {target[1]}") from exc
    except OSError as exc:
        sock.close()
        raise httpx2.ConnectError(f"no route to {target[0]} port {target[1]}") from exc
    except BaseException:  # cancelled by a deadline or by the caller
        sock.close()
        raise
    return sock
