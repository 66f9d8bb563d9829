"""Tools and answer shapes as Anthropic takes them: what its subset of JSON Schema lacks is left out, and told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osaurus_nb import request as ask
from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.wire import _tools as tools
from osaurus_nb.wire._opaque import own
from osaurus_nb.wire.anthropic_messages._versions import NAME


def tool(spec: ask.Tool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The tool, and the keywords that its schema may not have at the top."""
    schema, lost = tools.plain(spec)
    body = {**own(spec.provider_metadata, NAME), "name": spec.name, "input_schema": schema}
    if spec.description:
        body["description"] = spec.description
    if spec.strict is not None:
        body["strict"] = spec.strict
    return body, lost


def output(spec: ask.ResponseFormat) -> tuple[dict[str, Any], tuple[Warned, ...]]:
    if spec.kind == "json_object" or spec.schema is None:
        raise Unsupported("Anthropic writes JSON only by a schema; send a 'json_schema'.", param="response_format")
    schema = _subset(spec.schema)
    warnings = []
    if schema != spec.schema:
        said = "Anthropic's answers allow no keys beyond the schema's, and 'oneOf' as 'anyOf'."
        warnings.append(Warned("schema_changed", said, "response_format"))
    if spec.description:
        said = "Anthropic has no description of an answer's shape."
        warnings.append(Warned("parameter_dropped", said, "response_format.description"))
    return {"type": "json_schema", "schema": schema}, tuple(warnings)


#: Keywords whose values are schemas by name, lists of schemas, and one schema. All others hold plain values.
_BY_NAME = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "allOf", "prefixItems")
_ONE = ("items", "not")


def _subset(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        name = "anyOf" if key == "oneOf" and "anyOf" not in schema else key
        if name in _BY_NAME and isinstance(value, Mapping):
            made[name] = {inner: _subset(body) for inner, body in value.items()}
        elif name in _LISTS and isinstance(value, list):
            made[name] = [_subset(body) for body in value]
        else:
            made[name] = _subset(value) if name in _ONE else value
    if made.get("type") == "object":
        made["additionalProperties"] = False
    return made
