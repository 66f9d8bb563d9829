"""The remote providers that the user set up: `providers/remote.json`, shared with the Osaurus app.

The app's keys and rows that we do not know are kept as they are. What is ours alone (where a key is read from, a format
that the app does not know) is in a side file: the app would drop the one and choke on the other. Neither
file ever holds a secret.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.files import locked
from osaurus_nb.config.paths import Paths, write_private
from osaurus_nb.errors import ConfigError
from osaurus_nb.models import LOCAL

#: Names that are ours and cannot be a provider's.
RESERVED = frozenset({LOCAL, "osaurus"})
#: The formats we speak, named as the app names them where it does.
TYPES = ("openai", "openResponses", "anthropic", "gemini", "ollama")
#: Hosts and the environment variable in which their users keep the key.
KEY_VARIABLES: Mapping[str, str] = {
    "api.openai.com": "OPENAI_API_KEY",
    "api.anthropic.com": "ANTHROPIC_API_KEY",
    "generativelanguage.googleapis.com": "GEMINI_API_KEY",
    "api.x.ai": "XAI_API_KEY",
    "openrouter.ai": "OPENROUTER_API_KEY",
    "api.deepseek.com": "DEEPSEEK_API_KEY",
    "api.mistral.ai": "MISTRAL_API_KEY",
    "api.groq.com": "GROQ_API_KEY",
    "ollama.com": "OLLAMA_API_KEY",
}
_ENDPOINTS = ("/chat/completions", "/completions", "/models", "/responses", "/messages")


class _StandIn(NamedTuple):
    """What the app shall speak to a server whose own format it does not know, where, and what is not its root."""

    type: str
    path: str
    endpoints: Sequence[str]


#: Formats that are not the app's.
_STAND_INS: Mapping[str, _StandIn] = {
    "ollama": _StandIn("openai", "/v1", ("/api/chat", "/api/generate", "/api/tags", "/api", "/v1"))
}


@dataclass(frozen=True, slots=True)
class Provider:
    """One remote provider. `row` is its record in the app's file, unknown keys included."""

    id: str
    name: str
    slug: str
    url: str
    format: str
    enabled: bool = True
    auth: bool = False
    key_env: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    models: tuple[str, ...] = ()
    timeout: float | None = 60.0
    row: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def key_variable(self) -> str | None:
        """The environment variable that its key is read from: the one set for it, or its vendor's own.

        A vendor's variable is only ever used for that vendor's own host, over TLS.
        """
        return self.key_env or (KEY_VARIABLES.get(self.host) if self.url.startswith("https://") else None)


class ProviderFile:
    """Reads and changes the file. Every change re-reads it under a lock and replaces it in one step."""

    def __init__(self, paths: Paths) -> None:
        self.path = paths.providers
        self._side = self.path.with_name("osaurus-nb.json")

    def stamp(self) -> tuple[int, ...]:
        """Changes whenever the providers may have changed. Cheap."""
        return (_stamp(self.path), _stamp(self._side))

    def load(self) -> Sequence[Provider]:
        """All providers, in the file's order; none when there is no file. Raises ConfigError for a corrupt one."""
        ours = self._read(self._side)
        taken: set[str] = set(RESERVED)
        return [_provider(row, ours.get(row["id"], {}), taken) for row in self._rows()]

    def add(self, name: str, url: str, *, format: str = "openai", key_env: str | None = None) -> Provider:
        """Set up a provider. Raises ConfigError when the name is taken or the URL is none."""
        if not name.strip():
            raise ConfigError("A provider needs a name, e.g. `osaurus-nb providers add lab --url http://host:8000/v1`.")
        if format not in TYPES:
            raise ConfigError(f"'{format}' is not a format we speak. Use one of: {', '.join(TYPES)}.")
        row = {"id": str(uuid.uuid4()).upper(), "name": name.strip(), **_spoken(format, url)}
        row |= {"enabled": True, "autoConnect": True, "timeout": 60, "disableTimeout": False, "customHeaders": {}}
        row |= {"secretHeaderKeys": [], "manualModelIds": [], "authType": "apiKey" if key_env else "none"}
        with locked(self.path):
            rows = self._rows()
            if _slug(name) in RESERVED or any(_slug(other["name"]) == _slug(name) for other in rows):
                raise ConfigError(f"The name '{name}' is taken. Remove that provider first, or choose another name.")
            ours = {"keyEnv": key_env, "format": format if format in _STAND_INS else None}
            kept = {key: value for key, value in ours.items() if value}
            self._write([*rows, row], self._read(self._side) | ({row["id"]: kept} if kept else {}))
        return self.find(name)

    def remove(self, name: str) -> None:
        provider = self.find(name)
        with locked(self.path):
            ours = {key: value for key, value in self._read(self._side).items() if key != provider.id}
            self._write([row for row in self._rows() if row["id"] != provider.id], ours)

    def find(self, name: str) -> Provider:
        providers = self.load()
        for provider in providers:
            if name in (provider.name, provider.slug, provider.id):
                return provider
        known = ", ".join(f"'{provider.name}'" for provider in providers) or "none yet"
        raise ConfigError(f"There is no provider '{name}'. Set up: {known}.")

    def _rows(self) -> list[dict[str, Any]]:
        rows = self._read(self.path).get("providers", [])
        if not isinstance(rows, list):
            raise self._set_aside(self.path)
        return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str) and row.get("name")]

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise ConfigError(f"Cannot read {path}: {exc.strerror}.") from exc
        except ValueError:
            raise self._set_aside(path) from None
        if not isinstance(content, dict):
            raise self._set_aside(path)
        return content

    def _set_aside(self, path: Path) -> ConfigError:
        """Move a corrupt file to a new name, so that nothing overwrites it, and say so."""
        aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}")
        path.rename(aside)
        return ConfigError(f"{path} could not be read as JSON. It was kept as {aside.name}; repair it or start anew.")

    def _write(self, rows: Sequence[Mapping[str, Any]], ours: Mapping[str, Any]) -> None:
        content = {**self._read(self.path), "providers": list(rows)}
        for path, value in ((self.path, content), (self._side, dict(ours))):
            if not value and not path.exists():
                continue
            try:
                write_private(path, json.dumps(value, indent=2, sort_keys=True).encode() + b"\n")
            except OSError as exc:
                raise ConfigError(f"Cannot write {path}: {exc.strerror}. Nothing was changed.") from exc


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _slug(name: str) -> str:
    return re.sub(r"[ /]", "-", name.strip().lower())


def _provider(row: Mapping[str, Any], ours: Mapping[str, Any], taken: set[str]) -> Provider:
    base = _slug(row["name"])
    slug = next(s for s in (base, *(f"{base}-{n}" for n in range(2, 1000))) if s not in taken)
    taken.add(slug)
    format = _format(row, ours)
    return Provider(
        id=row["id"],
        name=row["name"],
        slug=slug,
        url=base_url(row).removesuffix(_STAND_INS[format].path) if format in _STAND_INS else base_url(row),
        format=format,
        enabled=row.get("enabled") is not False,
        auth=row.get("authType", "none") != "none",
        key_env=ours.get("keyEnv"),
        headers=dict(row.get("customHeaders") or {}),
        models=tuple(str(id) for id in row.get("manualModelIds") or ()),
        timeout=None if row.get("disableTimeout") else float(row.get("timeout") or 60),
        row=row,
    )


def _format(row: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """The app's word, unless ours stands behind it. Ours is void where the app's user has chosen another since."""
    said, meant = str(row.get("providerType", "openai")), str(ours.get("format"))
    return meant if meant in _STAND_INS and _STAND_INS[meant].type == said else said


def _spoken(format: str, url: str) -> dict[str, Any]:
    """The app's fields for a format and a URL: what it can speak itself at that server."""
    if format not in _STAND_INS:
        return {"providerType": format, **_address(url, _ENDPOINTS)}
    known = _STAND_INS[format]
    address = _address(url, known.endpoints)
    return {"providerType": known.type, **address, "basePath": address["basePath"] + known.path}


def base_url(row: Mapping[str, Any]) -> str:
    """Where the provider's endpoints hang, without a slash at the end."""
    protocol, host = row.get("providerProtocol") or "https", str(row.get("host") or "")
    host, _, host_path = host.partition("/")
    port, default = row.get("port"), {"http": 80, "https": 443}.get(protocol)
    if port and port != default and not re.search(r":\d+$", host):
        host = f"{host}:{port}"
    base_path = row.get("basePath")
    path = "/".join(
        part.strip("/") for part in (host_path, "/v1" if base_path is None else base_path) if part.strip("/")
    )
    return f"{protocol}://{host}/{path}".rstrip("/")


def _address(url: str, endpoints: Sequence[str]) -> dict[str, Any]:
    """The app's fields for a pasted URL; an endpoint's path at its end is taken off."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        port = parts.port
    except ValueError:
        raise ConfigError("That is not a URL; it should look like http://host:8000/v1.") from None
    if parts.scheme not in ("http", "https", "") or not parts.hostname:
        raise ConfigError("That is not an http(s) URL; it should look like http://host:8000/v1.")
    if parts.username or parts.password or parts.query:
        raise ConfigError("The URL must not carry a key, a password or a query: keys are set with --key-env.")
    path = parts.path.rstrip("/")
    path = next((path.removesuffix(end) for end in endpoints if path.endswith(end)), path)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    scheme = parts.scheme or ("https" if endpoint_class(parts.hostname) == "cloud" else "http")
    fields = {"providerProtocol": scheme, "host": host, "basePath": path or ""}
    return fields | ({"port": port} if port else {})
