"""What can be said about a provider when it is set up or edited, checked and written into its records. Pure.

A record is the row of the app's file and, apart from it, what is ours alone. Keys that we do not know are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Literal, TypedDict

from osaurus_nb.config.providers import addresses, formats, headers, presets
from osaurus_nb.config.providers.addresses import Address
from osaurus_nb.config.providers.presets import Preset
from osaurus_nb.config.providers.provider import WITH_KEY, Provider
from osaurus_nb.errors import ConfigError


class Fields(TypedDict, total=False):
    """Everything that can be set. What is left out stays as it is, or gets the preset's value, or the app's default.

    `url` is all of the address at once; `protocol`, `host`, `port` and `base_path` are its parts. `headers` and
    `header_env` are merged into what is there, and None takes one away: `headers` are stored in the clear, `header_env`
    names the variable that holds a secret one's value; `secret_headers` are all names whose values are kept elsewhere.
    `auth` says whether there is a key, `key_env` the variable it is read from, `key_header` the header it travels in:
    `bearer`, `x-api-key`, `api-key`, `x-goog-api-key`, any other name, or None for the format's own. `models` are all
    ids beyond those that the provider lists; a `timeout` of None lifts it.
    """

    url: str
    protocol: Literal["http", "https"]
    host: str
    port: int | None
    base_path: str
    format: str
    auth: Literal["none", "key"]
    key_env: str | None
    key_header: str | None
    headers: Mapping[str, str | None]
    header_env: Mapping[str, str | None]
    secret_headers: Sequence[str]
    models: Sequence[str]
    timeout: float | None
    enabled: bool
    auto_connect: bool


class Changes(Fields, total=False):
    """What can be edited."""

    name: str


@dataclass(slots=True)
class Record:
    """One provider as it is stored, being changed."""

    row: dict[str, Any]
    ours: dict[str, Any] = field(default_factory=dict)


_PLACE = frozenset({"url", "protocol", "host", "port", "base_path", "format"})


def start(record: Record, preset: Preset | None, said: Changes) -> None:
    """Fill a new record: what was said, else what the preset knows, else the app's defaults."""
    address = addresses.parse(said["url"]) if "url" in said else None
    if address is not None:
        preset = preset or presets.recognise(address.host, address.port)
    elif "host" in said:
        preset = preset or presets.recognise(said["host"], said.get("port")) or presets.named("custom")
    elif preset is None:
        raise ConfigError("A provider needs an address: --url http://host:8000/v1.")
    elif not preset.host:
        raise ConfigError(f"{preset.title} is at an address of yours: --url {preset.address}.")
    record.row |= {"enabled": True, "autoConnect": True, "timeout": 60, "disableTimeout": False}
    record.row |= {"customHeaders": {}, "secretHeaderKeys": [], "manualModelIds": [], "authType": "none"}
    record.row["providerType"] = preset.type if preset is not None else ""
    _put(record, *_place(address, preset, said))
    _apply(record, {**_known(address, preset), **said})


def change(record: Record, provider: Provider, said: Changes) -> None:
    """Write what was said over what is there."""
    if _PLACE & said.keys():
        if provider.unsupported is not None and "format" not in said:
            raise ConfigError(f"'{provider.name}' cannot be moved: {provider.unsupported}. Give it a --format.")
        _put(record, *_moved(record, provider, said))
    _apply(record, said)


def _moved(record: Record, provider: Provider, said: Fields) -> tuple[Address, str]:
    """The new place. What is spoken stays, unless the new address says otherwise."""
    if "url" not in said:
        host = addresses.checked_host(provider.host)
        known = Address(provider.protocol, host, provider.port, provider.base_path, provider.format)
        return _place(known, None, said)
    address = addresses.parse(said["url"])
    preset = presets.recognise(address.host, address.port)
    if preset is None or preset is presets.recognise(provider.host, provider.port):
        address = replace(address, format=address.format or provider.format)
    else:
        record.row["providerType"] = preset.type
    return _place(address, preset, said)


def _known(address: Address | None, preset: Preset | None) -> Changes:
    """What goes without saying."""
    known: Changes = {}
    if preset is not None and preset.auth == "key":
        known["auth"] = "key"
    models = [address.model] if address is not None and address.model else preset.models if preset is not None else ()
    if models:
        known["models"] = models
    return known


def _place(address: Address | None, preset: Preset | None, said: Fields) -> tuple[Address, str]:
    """Where the provider is and what is spoken there."""
    if address is None:
        assert preset is not None
        found = Address(preset.protocol, preset.host, preset.port, preset.base_path)
        format = preset.format
    else:
        found, format = _resolved(address, preset)
    format = _checked_format(said.get("format") or format)
    if format in formats.STAND_IN_PATH:  # its clients know the root alone
        for end in (formats.STAND_IN_PATH[format], "/api"):
            found = replace(found, path=found.path.removesuffix(end))
    return _with_parts(found, said), format


def _resolved(address: Address, preset: Preset | None) -> tuple[Address, str]:
    """A pasted address with what the preset adds, and the format: the endpoint's own, the path's, the preset's."""
    if preset is None:
        return address, address.format or "openai"
    if address.bare and address.port is None and preset.port is not None:
        address = replace(address, protocol=preset.protocol, port=preset.port)
    if not address.path:
        return replace(address, path=preset.base_path), address.format or preset.format
    if (variant := preset.variant(address.path)) is not None:
        return replace(address, path=variant.base), address.format or variant.format
    return address, address.format or preset.format


def _with_parts(found: Address, said: Fields) -> Address:
    protocol = said.get("protocol", found.protocol)
    if protocol not in ("http", "https"):
        raise ConfigError("The protocol is http or https.")
    host = addresses.checked_host(said["host"]) if "host" in said else found.host
    port = addresses.checked_port(said["port"]) if "port" in said else found.port
    path = addresses.checked_path(said["base_path"]) if "base_path" in said else found.path
    return Address(protocol, host, None if port == addresses.PORTS[protocol] else port, path)


def _checked_format(format: str) -> str:
    if format not in formats.FORMATS:
        raise ConfigError(f"That is not a format we speak. Use one of: {', '.join(formats.FORMATS)}.")
    return format


def _put(record: Record, address: Address, format: str) -> None:
    """Write the place down in the app's words, and beside it what they cannot say."""
    type = formats.told(format, record.row.get("providerType") or "")
    record.row |= {"providerType": type, "providerProtocol": address.protocol, "host": address.host}
    record.row["basePath"] = address.path + formats.STAND_IN_PATH.get(format, "")
    _keep(record.row, "port", address.port)
    _keep(record.ours, "format", None if format == formats.SPOKEN[type][0] else format)


def _keep(record: dict[str, Any], key: str, value: Any) -> None:
    """Set the key, or take it out where there is nothing to say."""
    if value is None:
        record.pop(key, None)
    else:
        record[key] = value


def _apply(record: Record, said: Changes) -> None:
    for key, setter in _SETTERS.items():
        if key in said:
            setter(record, said[key])  # type: ignore[literal-required]  # the table's keys are the fields' names
    if said.get("key_env") is not None and "auth" not in said:
        _set_auth(record, "key")


def _set_name(record: Record, name: str) -> None:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ConfigError("A provider needs a name on one line, e.g. `osaurus-nb providers add lab --url …`.")
    record.row["name"] = name.strip()


def _set_auth(record: Record, auth: str) -> None:
    if auth not in ("none", "key"):
        raise ConfigError("auth is 'none' or 'key'.")
    signed_in = record.row.get("authType") not in (None, "none", WITH_KEY)
    if auth == "none" or not signed_in:  # a sign-in of the app's is a kind of key
        record.row["authType"] = WITH_KEY if auth == "key" else "none"


def _set_key_env(record: Record, variable: str | None) -> None:
    _keep(record.ours, "keyEnv", None if variable is None else headers.checked_variable(variable))


def _set_key_header(record: Record, name: str | None) -> None:
    plain = None if name is None else "bearer" if name.lower() == "bearer" else headers.checked_name(name)
    _keep(record.ours, "keyHeader", plain)


def _set_headers(record: Record, changes: Mapping[str, str | None]) -> None:
    kept = dict(record.row.get("customHeaders") or {})
    for name, value in changes.items():
        _drop(kept, name)
        if value is not None:
            clear, text = headers.checked_clear(name, value)
            kept[clear] = text
    record.row["customHeaders"] = kept


def _set_header_env(record: Record, changes: Mapping[str, str | None]) -> None:
    kept = dict(record.ours.get("headerEnv") or {})
    names = list(record.row.get("secretHeaderKeys") or ())
    for name, variable in changes.items():
        _drop(kept, name)
        names = [other for other in names if other.lower() != name.lower()]
        if variable is not None:
            secret = headers.checked_name(name)
            kept[secret] = headers.checked_variable(variable)
            names.append(secret)
            _unclear(record, name)
    record.row["secretHeaderKeys"] = names
    _keep(record.ours, "headerEnv", kept or None)


def _set_secret_headers(record: Record, names: Sequence[str]) -> None:
    secret = [headers.checked_name(name) for name in names]
    for name in record.ours.get("headerEnv") or {}:
        if name.lower() not in {other.lower() for other in secret}:
            secret.append(name)
    for name in secret:
        _unclear(record, name)
    record.row["secretHeaderKeys"] = secret


def _unclear(record: Record, name: str) -> None:
    """A header that is secret has no value in the clear."""
    if isinstance(kept := record.row.get("customHeaders"), dict):
        record.row["customHeaders"] = dict(kept)
        _drop(record.row["customHeaders"], name)


def _drop(kept: dict[str, Any], name: str) -> None:
    """Names of headers are the same in any case."""
    for other in [other for other in kept if other.lower() == name.lower()]:
        del kept[other]


def _set_models(record: Record, ids: Sequence[str]) -> None:
    if isinstance(ids, str) or not all(isinstance(id, str) and id.isprintable() for id in ids):
        raise ConfigError("models is a list of model ids.")
    unique: dict[str, str] = {}
    for id in filter(None, map(str.strip, ids)):
        unique.setdefault(id.lower(), id)
    record.row["manualModelIds"] = list(unique.values())


def _set_timeout(record: Record, seconds: float | None) -> None:
    record.row["disableTimeout"] = seconds is None
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < inf:
        raise ConfigError("A timeout is a positive number of seconds, or none.")
    record.row["timeout"] = int(seconds) if seconds == int(seconds) else float(seconds)


def _flag(key: str) -> Callable[[Record, Any], None]:
    def set_flag(record: Record, value: bool) -> None:
        if not isinstance(value, bool):
            raise ConfigError(f"{key} is True or False.")
        record.row[key] = value

    return set_flag


#: How each field is written, in this order.
_SETTERS: Mapping[str, Callable[[Record, Any], None]] = {
    "name": _set_name,
    "auth": _set_auth,
    "key_env": _set_key_env,
    "key_header": _set_key_header,
    "headers": _set_headers,
    "header_env": _set_header_env,
    "secret_headers": _set_secret_headers,
    "models": _set_models,
    "timeout": _set_timeout,
    "enabled": _flag("enabled"),
    "auto_connect": _flag("autoConnect"),
}
