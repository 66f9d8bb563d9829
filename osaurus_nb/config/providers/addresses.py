"""Where an API is: pasted URLs taken apart, and the app's fields put together. Pure; refuses what carries a key.

An error names the part that is wrong. It never repeats a part in which people paste keys.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.providers.headers import looks_like_key
from osaurus_nb.errors import ConfigError

_LIKE = "It should look like http://host:8000/v1."
PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_LABEL = r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
#: What is found behind `?` in addresses of endpoints, and says nothing about where the API is.
_HARMLESS = frozenset({"after_id", "alt", "api-version", "beta", "limit", "pagesize", "pagetoken", "stream"})
#: Azure's addresses of before 2025: the deployment stands in the path, where now it is the model.
_DEPLOYMENT = re.compile(r"(?P<base>.*/openai)/deployments/(?P<model>[^/]+)(?:/.*)?")
#: Endpoints at the end of a path, and the format that is spoken there; some are of several.
_ENDPOINTS = tuple(
    (re.compile(rf"(?P<base>.*){end}"), format)
    for end, format in (
        (r"/chat/completions", "openai"),
        (r"/completions", "openai"),
        (r"/responses(?:/[\w-]+)?", "openResponses"),
        (r"/messages(?:/count_tokens|/batches)?", "anthropic"),
        (r"/(?:models|tunedModels)/[^/]+:\w+", "gemini"),
        (r"/api/(?:chat|generate|tags|show|ps|version|embed|embeddings)", "ollama"),
        (r"/(?:embeddings|decisions|systemone)", None),
        (r"/models(?:/[^/]+){0,2}", None),
    )
)


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a base URL. `host` is written as in a URL: IPv6 in brackets; `port` is None for the usual one.

    A pasted one may tell more: which `format` is spoken there, and a `model`; `bare` if it named no scheme.
    """

    protocol: str
    host: str
    port: int | None = None
    path: str = ""
    format: str | None = None
    model: str | None = None
    bare: bool = False

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"{self.protocol}://{self.host}{f':{self.port}' if self.port else ''}{self.path}"


def parse(text: str) -> Address:
    """A pasted URL, the path of an endpoint at its end taken off. Raises ConfigError that names the wrong part."""
    text = text.strip().strip("<>\"'").strip() if isinstance(text, str) else ""
    if not text:
        raise ConfigError(f"The URL is empty. {_LIKE}")
    if re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise ConfigError(f"The URL has a space or a backslash in it; paste the address alone. {_LIKE}")
    said = _SCHEME.match(text)
    if said and said[1].lower() not in PORTS:
        raise ConfigError(f"The scheme is '{said[1].lower()[:20]}'; providers are reached over http or https. {_LIKE}")
    parts = _split(text if said else f"//{text}")
    _refuse_extras(parts)
    host, port = checked_host(_host(parts)), _port(parts)
    protocol = parts.scheme or _protocol(host, port)
    path, format, model = _strip(_path(parts.path))
    return Address(protocol, host, None if port == PORTS[protocol] else port, path, format, model, bare=not said)


def checked_host(host: str) -> str:
    """A host as a URL writes it. Raises ConfigError for what is none, or is never contacted."""
    plain = host.strip().strip("[]")
    try:
        return _checked_ip(ipaddress.ip_address(plain))
    except ValueError:
        pass
    if "." not in plain and looks_like_key(plain):
        raise ConfigError(
            "That looks like a key where an address belongs. If it is a real one, replace it at its provider; "
            "keys are read from an environment variable: --key-env VARIABLE."
        )
    try:
        name = plain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name):
        raise ConfigError(f"The host is no host name and no IP address. {_LIKE}")
    return name


def checked_port(port: object) -> int | None:
    """Raises ConfigError for what is no port."""
    if port is None:
        return None
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise ConfigError("The port must be a number from 1 to 65535.")
    return port


def checked_path(path: str) -> str:
    """A base path with one leading slash and none at the end. Raises ConfigError."""
    if not isinstance(path, str) or re.search(r"[\s\x00-\x1f\x7f\\?#]", path):
        raise ConfigError("The base path must be a plain path, e.g. /v1.")
    return _path(path)


def from_row(row: Mapping[str, Any]) -> Address:
    """What the app's fields say. Its host may hold a port, which then counts, and the start of a path."""
    protocol = row.get("providerProtocol") or "https"
    if protocol not in PORTS:
        raise ConfigError("providerProtocol must be http or https.")
    host, slash, host_path = str(row.get("host") or "").partition("/")
    inner, port = _inner_port(host)
    port = port or checked_port(row.get("port"))
    base = row.get("basePath")
    path = checked_path(f"{slash}{host_path}/{'/v1' if base is None else base}")
    return Address(protocol, checked_host(inner), None if port == PORTS[protocol] else port, path)


def base_url(row: Mapping[str, Any]) -> str:
    """Where the app looks for the provider's endpoints, without a slash at the end."""
    return from_row(row).url


def _inner_port(host: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(\[.*\]|[^:]*):(\d{1,5})", host)
    return (match[1], checked_port(int(match[2]))) if match else (host, None)


def _split(text: str) -> SplitResult:
    bare = text.removeprefix("//")
    if bare.count(":") > 1 and "[" not in bare.partition("/")[0] and "://" not in bare:  # IPv6 without its brackets
        host, slash, path = bare.partition("/")
        text = f"//[{host}]{slash}{path}"
    try:
        return urlsplit(text)
    except ValueError:
        raise ConfigError("The host is not readable; an IPv6 address needs brackets: http://[::1]:8000/v1.") from None


def _refuse_extras(parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise ConfigError(
            "The URL has a name or password before '@'. Take it out; keys are read from a variable: --key-env VARIABLE."
        )
    if {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)} - _HARMLESS:
        raise ConfigError(
            "The URL has a query (the part behind '?'), which is not sent. Take it out; if it is a key, it is read "
            "from a variable: --key-env VARIABLE."
        )
    if parts.fragment:
        raise ConfigError("The URL has a part behind '#', which is never sent. Take it out.")


def _host(parts: SplitResult) -> str:
    if not parts.hostname:
        raise ConfigError(f"The URL has no host. {_LIKE}")
    return parts.hostname


def _port(parts: SplitResult) -> int | None:
    try:
        return checked_port(parts.port)
    except ValueError:
        raise ConfigError("The port must be a number from 1 to 65535.") from None


def _protocol(host: str, port: int | None) -> str:
    """What is meant where no scheme was typed: TLS to the world, and to a bare name only at its own port."""
    local = endpoint_class(host) != "cloud" or ("." not in host and port not in (None, 443))
    return "http" if local else "https"


def _checked_ip(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    plain = (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
    if plain.is_unspecified:
        raise ConfigError(f"{address} is where a server listens, not where it is. For this machine write 127.0.0.1.")
    if plain.is_link_local or plain.is_multicast or getattr(address, "scope_id", None):
        raise ConfigError(f"{address} is a link-local or multicast address, which is never contacted.")
    return f"[{address.compressed}]" if address.version == 6 else str(address)


def _path(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if ".." in map(unquote, parts):
        raise ConfigError("The path goes up with '..'; write where it ends.")
    plain = [part for part in parts if part != "."]
    return quote("/" + "/".join(plain), safe="%/:@!$&'()*+,;=~") if plain else ""


def _strip(path: str) -> tuple[str, str | None, str | None]:
    """The path without endpoints at its end; the first one found, from the end, says what is spoken there."""
    if match := _DEPLOYMENT.fullmatch(path):
        return f"{match['base']}/v1", None, unquote(match["model"])
    spoken: str | None = None
    while found := next(((m, format) for end, format in _ENDPOINTS if (m := end.fullmatch(path))), None):
        path, spoken = found[0]["base"], spoken or found[1]
    return path, spoken, None
