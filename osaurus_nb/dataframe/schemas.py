"""The shape that every answer must have: asked for at the model, checked here. An error names no word of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cached_property
from importlib import import_module
from typing import Any

from osaurus_nb.errors import OsaurusError, RequestError
from osaurus_nb.request import ResponseFormat

_FENCED = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)


class Misshapen(OsaurusError):
    """The answer is not of the shape. `told` says where, for the model that gave it."""

    status, code, kind = 502, "bad_response", "server_error"

    def __init__(self, message: str, told: str) -> None:
        super().__init__(message)
        self.told = told


class Shape:
    """A pydantic model, whose instances the values are, or a JSON Schema, whose values are plain."""

    def __init__(self, schema: Any) -> None:
        self._model = schema if hasattr(schema, "model_validate_json") else None
        if self._model is None and not isinstance(schema, Mapping):
            raise RequestError("'schema' is a pydantic model or a JSON Schema as a dict.", param="schema")
        given = self._model.model_json_schema() if self._model is not None else schema
        self.schema: dict[str, Any] = deepcopy(dict(given))
        if self.schema.get("type") != "object":
            raise RequestError("'schema' must describe an object: providers take nothing else.", param="schema")

    @cached_property
    def format(self) -> ResponseFormat:
        """As it is asked for; strictly where vendors can be strict about it."""
        name = re.sub(r"\W+", "_", str(self.schema.get("title") or "row"), flags=re.ASCII)[:60] or "row"
        schema, strict = deepcopy(self.schema), _strict(self.schema)
        if strict:
            _close(schema)
        return ResponseFormat("json_schema", name, schema, strict=strict or None)

    def read(self, text: str) -> Any:
        """The value. Raises Misshapen."""
        fenced = _FENCED.fullmatch(text)
        plain = fenced[1] if fenced else text
        return self._instance(plain) if self._model is not None else self._checked(plain)

    def plain(self, value: Any) -> Any:
        """The value's fields by name, for the columns of a frame."""
        return value.model_dump() if self._model is not None else value

    def _instance(self, text: str) -> Any:
        package = import_module("pydantic")  # who has a pydantic model has it imported already
        try:
            return self._model.model_validate_json(text)  # type: ignore[union-attr]  # `read` looked
        except package.ValidationError as error:
            found = error.errors(include_input=False, include_url=False)
            kinds = ", ".join(sorted({str(each["type"]) for each in found}))
            told = "; ".join(f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in found[:10])
            raise Misshapen(f"The answer does not fit the schema ({kinds}).", told) from None

    def _checked(self, text: str) -> Any:
        try:
            value = json.loads(text)
        except ValueError:
            raise Misshapen("The answer is no JSON.", "it is no JSON") from None
        if (fault := self._fault(value)) is not None:
            raise Misshapen("The answer does not fit the schema.", fault)
        return value

    @cached_property
    def _fault(self) -> Callable[[Any], str | None]:
        """What is wrong with a value. Without the package jsonschema only the outermost object is looked at."""
        try:
            package = import_module("jsonschema")
        except ModuleNotFoundError:
            return self._outermost
        kind = package.validators.validator_for(self.schema)
        try:
            kind.check_schema(self.schema)
        except package.SchemaError as error:
            raise RequestError(f"'schema' is no JSON Schema: {error.message}.", param="schema") from None
        checker = kind(self.schema)

        def fault(value: Any) -> str | None:
            found = next(checker.iter_errors(value), None)
            return None if found is None else f"{found.json_path}: {found.message}"

        return fault

    def _outermost(self, value: Any) -> str | None:
        if not isinstance(value, dict):
            return "it is no object"
        lacking = [name for name in self.schema.get("required", ()) if name not in value]
        return f"'{lacking[0]}' is missing" if lacking else None


def _objects(schema: Any) -> Any:
    """Every object's schema in it."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for each in schema.values():
            yield from _objects(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _objects(each)


def _strict(schema: Any) -> bool:
    """Vendors are strict only where every property is required, and no object is open."""
    return all(
        each.get("properties")
        and set(each["properties"]) == set(each.get("required", ()))
        and not each.get("additionalProperties")
        for each in _objects(schema)
    )


def _close(schema: Any) -> None:
    for each in _objects(schema):
        each["additionalProperties"] = False
