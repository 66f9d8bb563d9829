"""Where a host is: on this machine, in its networks, or out in the cloud. Pure; names are judged by their text."""

from __future__ import annotations

import ipaddress

from osaurus_nb.models import EndpointClass

_TAILNET = ipaddress.ip_network("100.64.0.0/10")


def endpoint_class(host: str) -> EndpointClass:
    """The class of a host as it was typed. An unknown name counts as cloud: the stricter guess."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return "loopback"
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return "lan" if name.endswith(".local") else "tailnet" if name.endswith(".ts.net") else "cloud"
    if address.is_loopback:
        return "loopback"
    if address in _TAILNET:
        return "tailnet"
    return "lan" if address.is_private or address.is_link_local else "cloud"
