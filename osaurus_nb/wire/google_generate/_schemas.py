"""JSON Schema and the vendor's older subset of OpenAPI, each as the other. Says which keywords the subset lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: Keywords whose values are counts, which protobuf's JSON writes as strings.
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_TAKEN = frozenset(
    {
        *_COUNTS,
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "items",
        "properties",
        "required",
        "propertyOrdering",
        "anyOf",
        "minimum",
        "maximum",
        "pattern",
        "example",
        "default",
    }
)
#: Where `$ref` may point.
_DEFINITIONS = ("$defs", "definitions")
#: Keywords that only describe a schema to people and validators: leaving them out changes nothing.
_SILENT = frozenset({"$schema", "$id", "$comment", *_DEFINITIONS})
#: A schema nested deeper than this is no schema but recursion.
_MAX_DEPTH = 32


def from_subset(schema: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema from the subset: types in lower case, counts as numbers, `nullable` as a type."""
    made = _nested(schema, from_subset)
    for key in _COUNTS:
        if isinstance(count := made.get(key), str) and count.isdigit():
            made[key] = int(count)
    kind = made.get("type")
    if isinstance(kind, str):
        made["type"] = kind.lower()
        if kind.upper() == "TYPE_UNSPECIFIED":
            del made["type"]
    if made.pop("nullable", False) is True:
        _allow_null(made)
    return made


def to_subset(schema: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The subset of a JSON Schema, `$ref` written out, and the keywords that it has no place for."""
    lost: dict[str, None] = {}
    made = _Subset(schema, lost).of(schema, 0)
    return made, tuple(lost)


class _Subset:
    """Writes one schema; `lost` collects keywords in the order in which they were met."""

    def __init__(self, root: Mapping[str, Any], lost: dict[str, None]) -> None:
        self._root = root
        self._lost = lost

    def of(self, schema: Any, depth: int) -> dict[str, Any]:
        schema = self._resolved(schema, depth)
        made = _nested(schema, lambda inner: self.of(inner, depth + 1))
        _merge_single(made)
        self._types(made)
        for key in [key for key in made if key not in _TAKEN]:
            if key not in _SILENT and not (key == "additionalProperties" and made[key] is True):
                self._lost[key] = None
            del made[key]
        return made

    def _resolved(self, schema: Any, depth: int) -> dict[str, Any]:
        if not isinstance(schema, Mapping):  # `true` and `false` are schemas too
            return {}
        if "$ref" not in schema:
            return dict(schema)
        target = self._target(schema["$ref"]) if depth < _MAX_DEPTH else None
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        if target is None:
            self._lost["$ref"] = None
            return rest
        return {**self._resolved(target, depth + 1), **rest}

    def _target(self, ref: Any) -> Any:
        for place in _DEFINITIONS:
            prefix = f"#/{place}/"
            if isinstance(ref, str) and ref.startswith(prefix):
                return (self._root.get(place) or {}).get(ref.removeprefix(prefix))
        return None

    def _types(self, made: dict[str, Any]) -> None:
        kinds = made.get("type")
        if isinstance(kinds, list):
            named = [kind for kind in kinds if kind != "null"]
            del made["type"]
            if len(named) < len(kinds):
                made["nullable"] = True
            if len(named) == 1:
                made["type"] = named[0]
            elif named:
                made["anyOf"] = [{"type": str(kind).upper()} for kind in named]
        if isinstance(made.get("type"), str):
            made["type"] = made["type"].upper()
        if "const" in made and isinstance(made["const"], str):
            made["enum"] = [made.pop("const")]
            made.setdefault("type", "STRING")
        if "enum" in made and not all(isinstance(value, str) for value in made["enum"]):
            self._lost["enum"] = None  # the subset's values are strings
            del made["enum"]


def _nested(schema: Mapping[str, Any], change: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """A copy whose inner schemas are changed; names of properties are not keywords."""
    made = dict(schema)
    if isinstance(made.get("properties"), Mapping):
        made["properties"] = {name: change(inner) for name, inner in made["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), Mapping):
            made[key] = change(made[key])
    if "oneOf" in made and "anyOf" not in made:
        made["anyOf"] = made.pop("oneOf")
    for key in ("anyOf", "prefixItems"):
        if isinstance(made.get(key), list):
            made[key] = [change(inner) for inner in made[key]]
    return made


def _merge_single(made: dict[str, Any]) -> None:
    """`allOf` with one member is how tools describe a `$ref`; more than one has no place in the subset."""


def _allow_null(made: dict[str, Any]) -> None:
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    elif isinstance(made.get("anyOf"), list):
        made["anyOf"] = [*made["anyOf"], {"type": "null"}]
