"""The bodies that the administration takes, checked strictly. No fault repeats what was sent: it may be a secret."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from osaurus_nb.errors import RequestError
from osaurus_nb.identity.access import Lifetime
from osaurus_nb.wire import _json

_MISPLACED = frozenset({"key", "api_key", "apikey", "token", "secret", "password"})


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    def said(self) -> dict[str, Any]:
        """The fields that were sent."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Changed(Body):
    """Fields of a provider, as `osaurus.providers.edit` takes them. Keys have a path of their own."""

    name: str = ""
    url: str = ""
    protocol: Literal["http", "https"] = "https"
    host: str = ""
    port: int | None = None
    base_path: str = ""
    format: str = ""
    auth: Literal["none", "key"] = "none"
    key_env: str | None = None
    key_header: str | None = None
    headers: dict[str, str | None] = {}
    header_env: dict[str, str | None] = {}
    secret_headers: list[str] = []
    models: list[str] = []
    timeout: float | None = None
    enabled: bool = True
    auto_connect: bool = True


class Added(Changed):
    """A new provider: a name, a preset or a pasted URL is enough."""

    preset: str | None = None


class Secret(Body):
    value: SecretStr = Field(min_length=1)


class Order(Body):
    order: list[str]


class Unlock(Body):
    passphrase: SecretStr | None = None


class Limit(Body):
    """US dollars, as a number or as text."""

    limit: float | str


class Reconcile(Body):
    dry_run: bool = False
    accept: bool = False


class NewKey(Body):
    label: str = ""
    expires: Lifetime = "90d"
    agent: int | None = None


B = TypeVar("B", bound=Body)


def read(kind: type[B], body: bytes) -> B:
    """The body as such a value. Raises RequestError that names the field."""
    sent = _json.parse(body or b"{}", wanted="a JSON object")
    if not isinstance(sent, dict):
        raise RequestError("The body must be a JSON object.")
    try:
        return kind.model_validate(sent)
    except ValidationError as exc:
        fault = exc.errors(include_input=False, include_context=False, include_url=False)[0]
    raise _refusal(kind, ".".join(str(part) for part in fault["loc"]), fault["type"], fault["msg"])


def _refusal(kind: type[Body], field: str, type: str, message: str) -> RequestError:
    name = ".".join(_json.shown(part) for part in field.split("."))
    if type == "extra_forbidden":
        if name.lower() in _MISPLACED and issubclass(kind, Changed):
            return RequestError(f"'{name}' is not sent here: PUT the key to …/key of the provider.", param=name)
        return RequestError(f"There is no field '{name}' here. There are: {', '.join(kind.model_fields)}.", param=name)
    if type == "missing":
        return RequestError(f"'{name}' is missing.", param=name)
    return RequestError(f"'{name}' is wrong: {message[:1].lower()}{message[1:]}.", param=name)
