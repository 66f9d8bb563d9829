"""What can be said about a provider, checked and written into its records: all but where it is. Pure.

A record is the row of the app's file and, apart from it, what is ours alone. Keys that we do not know are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, TypedDict

from osaurus_nb.config.providers import headers
from osaurus_nb.config.providers.provider import WITH_KEY
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


def write(record: Record, said: Changes) -> None:
    """Write what was said over what is there. Raises ConfigError that names what is wrong."""
    for key, setter in _SETTERS.items():
        if key in said:
            with naming(key):
                setter(record, said[key])  # type: ignore[literal-required]  # the table's keys are the fields' names
    if said.get("key_env") is not None and "auth" not in said:
        _set_auth(record, "key")


@contextmanager
def naming(field: str) -> Iterator[None]:
    """What is found wrong here is wrong with this field."""
    try:
        yield
    except ConfigError as error:
        error.param = error.param or field
        raise


def keep(record: dict[str, Any], key: str, value: Any) -> None:
    """Set the key, or take it out where there is nothing to say."""
    if value is None:
        record.pop(key, None)
    else:
        record[key] = value


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
    keep(record.ours, "keyEnv", None if variable is None else headers.checked_variable(variable))


def _set_key_header(record: Record, name: str | None) -> None:
    plain = None if name is None else "bearer" if name.lower() == "bearer" else headers.checked_name(name)
    keep(record.ours, "keyHeader", plain)


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
    keep(record.ours, "headerEnv", kept or None)


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
