"""One remote provider as a value, read from its row in the app's file and what we keep beside it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any
from urllib.parse import urlsplit

from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.providers import addresses, formats, presets
from osaurus_nb.config.providers.headers import checked_name, checked_value
from osaurus_nb.errors import ConfigError

#: The app's way of saying that a provider's key travels in a header.
WITH_KEY = "apiKey"


@dataclass(frozen=True, slots=True)
class Provider:
    """One remote provider. `row` is its record in the app's file, unknown keys included.

    `type` is the app's word, `format` what we speak. `key_env` is the variable set for its key, `key_header` the header
    that carries it (None: the format's own; `bearer`: Authorization). `secret_headers` are names without values;
    `header_env` says in which variables some of the values are. A `timeout` of None was lifted by the user.
    """

    id: str
    name: str
    slug: str
    url: str
    format: str
    type: str = "openai"
    enabled: bool = True
    auto_connect: bool = True
    auth_type: str = "none"
    key_env: str | None = None
    key_header: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_headers: tuple[str, ...] = ()
    header_env: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    timeout: float | None = 60.0
    agent_id: str | None = None
    agent_address: str | None = None
    row: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def protocol(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int | None:
        return urlsplit(self.url).port

    @property
    def base_path(self) -> str:
        return urlsplit(self.url).path

    @property
    def needs_key(self) -> bool:
        """Is there nothing to be had without a key?"""
        return self.auth_type != "none"

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The environment variables in which its key may be: the one set for it, or its vendor's own.

        A vendor's variable is only ever used for that vendor's own host, over TLS.
        """
        if not self.needs_key:
            return ()
        if self.key_env is not None:
            return (self.key_env,)
        vendor = presets.vendor_of(self.host) if self.protocol == "https" else None
        return vendor.key_variables if vendor is not None else ()

    @property
    def key_variable(self) -> str | None:
        """The variable to tell a user of."""
        return next(iter(self.key_variables), None)

    @property
    def lists_models(self) -> bool:
        """Does its server list the names that it answers to? Else only `models` can be asked."""
        return self.type not in formats.UNLISTED

    @property
    def unsupported(self) -> str | None:
        """Why it cannot be asked at all, if it cannot: the app knows types that we do not."""
        if self.format in formats.FORMATS:
            return None
        return f"its type '{self.type[:40]}' is spoken by the app alone"

    @property
    def exposed(self) -> bool:
        """Does a secret travel to the open network without TLS? A bare name is one of the local network."""
        secret = self.needs_key or bool(self.secret_headers)
        return secret and self.protocol == "http" and "." in self.host and endpoint_class(self.host) == "cloud"


def read(row: Mapping[str, Any], ours: Mapping[str, Any], slug: str) -> Provider:
    """The provider that the two records describe. Raises ConfigError that names the field at fault."""
    type = _text(row, "providerType", "openai")
    format = formats.meant(type, ours.get("format"))
    secret = tuple(map(checked_name, _texts(row, "secretHeaderKeys")))
    return Provider(
        id=row["id"],
        name=row["name"],
        slug=slug,
        url=addresses.base_url(row).removesuffix(formats.STAND_IN_PATH.get(format, "")),
        format=format,
        type=type,
        enabled=row.get("enabled") is not False,
        auto_connect=row.get("autoConnect") is not False,
        auth_type=_text(row, "authType", "none"),
        key_env=_kept(ours, "keyEnv"),
        key_header=_kept(ours, "keyHeader") or formats.KEY_HEADERS.get(type),
        headers={checked_name(name): checked_value(name, value) for name, value in _map(row, "customHeaders").items()},
        secret_headers=secret,
        header_env={name: variable for name, variable in _map(ours, "headerEnv").items() if name in secret},
        models=tuple(_texts(row, "manualModelIds")),
        timeout=None if row.get("disableTimeout") is True else _seconds(row.get("timeout")),
        agent_id=_text(row, "remoteAgentId", "") or None,
        agent_address=_text(row, "remoteAgentAddress", "") or None,
        row=row,
    )


def check_identity(row: object) -> None:
    """Raises ConfigError for what is no entry at all, or has no id or no name."""
    if not isinstance(row, dict):
        raise ConfigError("it is no object")
    for key in ("id", "name", "host"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise ConfigError(f"it has no {key}")


def _text(row: Mapping[str, Any], key: str, default: str) -> str:
    value = row.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise ConfigError(f"{key} must be a text")
    return value


def _texts(row: Mapping[str, Any], key: str) -> list[str]:
    values = row.get(key)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ConfigError(f"{key} must be a list of texts")
    return values


def _map(row: Mapping[str, Any], key: str) -> Mapping[str, str]:
    values = row.get(key)
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ConfigError(f"{key} must map texts to texts")
    return values


def _kept(ours: Mapping[str, Any], key: str) -> str | None:
    value = ours.get(key)
    return value if isinstance(value, str) and value else None


def _seconds(value: object) -> float:
    if value is None:
        return 60.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
        raise ConfigError("timeout must be a positive number of seconds")
    return float(value)
