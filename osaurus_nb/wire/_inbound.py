"""A body checked against its schema, and media out of base64. Refuses by the name of the field, never its value."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, ValidationError, model_validator
from pydantic_core import ErrorDetails

from osaurus_nb.errors import RequestError, Warned
from osaurus_nb.request import Effort, RouteOptions
from osaurus_nb.wire import _marker, _routing
from osaurus_nb.wire._json import parse, shown

Body = TypeVar("Body", bound=BaseModel)


class Open(BaseModel):
    """A part of a body: strict about types, open to keys that we do not know."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    def unknown(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Routed(Open):
    """A whole body: beside what its dialect has there may be keys of our own."""

    @model_validator(mode="before")
    @classmethod
    def _without_marker(cls, body: Any) -> Any:
        return _marker.unmarked(body) if isinstance(body, dict) and _marker.is_marked(body) else body

    @cached_property
    def routed(self) -> RouteOptions:
        """How it is to be routed. Raises RequestError that names the key at fault."""
        return _routing.read(self.model_extra or {})

    def effort(self, own: Effort | None) -> Effort | None:
        """How much the model shall think; `own` is what the dialect's own key says."""
        return _routing.effort(self.model_extra or {}, own)

    def unknown(self) -> dict[str, Any]:
        return _routing.others(self.model_extra or {})


def by_type(what: str) -> Discriminator:
    """Tells the members of a union apart by their key `type`: `text` has the tag `$text`.

    Tags of ours start with `$`, so that they can be left out of the field's path in an error.
    """
    return Discriminator(_type_tag, custom_error_type="type_unknown", custom_error_message=f"must be {what}")


def validate(model: type[Body], body: bytes) -> Body:
    """Read a request body. Raises RequestError that names the field at fault."""
    value = parse(body, wanted=_wanted(model))
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise _fault(exc, model) from None  # the original would hold the prompt


def noticed(found: Iterable[Warned], *, strict: bool | None) -> tuple[Warned, ...]:
    """What the reader of a body has to tell: the answer begins with it. Raises RequestError under `strict_params`."""
    warnings = tuple(found)
    for warning in warnings:
        if strict and warning.param is not None:
            raise RequestError(f"{warning.message} 'strict_params' allows no warnings.", param=warning.param)
    return warnings


def unread(part: Open, where: str) -> Iterator[Warned]:
    """A warning for each key of a part that is neither known nor handed on."""
    for key, value in part.unknown().items():
        if value not in _SILENT:
            field = f"{where}.{shown(key)}"
            yield Warned("key_ignored", f"'{field}' is not known here and went no further.", field)


#: Values that ask for nothing.
_SILENT: tuple[Any, ...] = (None, False, [], {}, "")


def data_url(url: str, field: str) -> tuple[str | None, bytes]:
    """Media type and bytes of a `data:` URL."""
    head, comma, payload = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise RequestError(f"'{field}' must be a data: URL in base64.", param=field)
    return head.removeprefix("data:").removesuffix(";base64").split(";")[0] or None, base64_bytes(payload, field)


def base64_bytes(payload: str, field: str) -> bytes:
    try:
        return base64.b64decode(payload, validate=True)
    except ValueError:  # bad base64, or not even ASCII
        raise RequestError(f"'{field}' is not valid base64.", param=field) from None


def _type_tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"${kind}" if isinstance(kind, str) else None


def _fault(exc: ValidationError, model: type[BaseModel]) -> RequestError:
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    if not first["loc"]:
        return RequestError(f"The body must be {_wanted(model)}.")
    path = _path(first)
    if first["type"] == "missing":
        return RequestError(f"'{path}' is required.", param=path)
    said = _IN_JSON.get(first["type"]) or first["msg"][:1].lower() + first["msg"][1:]
    return RequestError(f"'{path}': {said}.", param=path)


#: Kinds of faults whose message speaks of Python.
_IN_JSON: Mapping[str, str] = MappingProxyType(
    {
        "model_type": "input should be an object",
        "dict_type": "input should be an object",
        "list_type": "input should be a valid array",
    }
)


def _wanted(model: type[BaseModel]) -> str:
    required = [f"'{field.alias or name}'" for name, field in model.model_fields.items() if field.is_required()]
    *others, last = required or [""]
    return "a JSON object" + (f" with {', '.join(others)} and {last}" if others else f" with {last}" if last else "")


def _path(error: ErrorDetails) -> str:
    """`messages[0].content[1].type`, without the tags of our unions."""
    path = ""
    for part in error["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("$"):
            path += f".{shown(part)}" if path else shown(part)
    return path
