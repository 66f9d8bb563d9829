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
#: So many `$ref` are written out in one schema; a handful of them can spell out millions.
_MAX_REFS = 500


def from_subset(schema: Any) -> dict[str, Any]:
    """JSON Schema from the subset: types in lower case, counts as numbers, `nullable` as a type."""
    if not isinstance(schema, Mapping):  # `true` is a schema too
        return {}
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
    subset = _Subset(schema)
    return subset.of(schema), tuple(subset.lost)


class _Subset:
    """Writes one schema; `lost` collects keywords in the order in which they were met."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.lost: dict[str, None] = {}
        self._root = root
        self._refs = 0

    def of(self, schema: Any, within: tuple[str, ...] = ()) -> dict[str, Any]:
        """`within` are the references that are being written out: one inside itself has no end."""
        if not isinstance(schema, Mapping):
            return {}
        schema, within = self._resolved(schema, within)
        made = _nested(schema, lambda inner: self.of(inner, within))
        self._words(made)
        _without_null(made)
        for key in [key for key in made if key not in _TAKEN]:
            if key not in _SILENT and not (key == "additionalProperties" and made[key] is True):
                self.lost[key] = None
            del made[key]
        return made

    def _resolved(self, schema: Mapping[str, Any], within: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
        made = dict(schema)
        while "$ref" in made or _is_single(made.get("allOf")):
            if "$ref" in made:
                ref = str(made.pop("$ref"))
                inner = self._target(ref) if ref not in within and self._refs < _MAX_REFS else None
                within, self._refs = (*within, ref), self._refs + 1
                if inner is None:
                    self.lost["$ref"] = None
            else:  # how some tools put a description beside a `$ref`
                inner = made.pop("allOf")[0]
            made = {**(inner if isinstance(inner, Mapping) else {}), **made}
        return made, within

    def _target(self, ref: str) -> Any:
        for place in _DEFINITIONS:
            prefix = f"#/{place}/"
            if ref.startswith(prefix):
                named = self._root.get(place)
                return named.get(ref.removeprefix(prefix)) if isinstance(named, Mapping) else None
        return None

    def _words(self, made: dict[str, Any]) -> None:
        """Types and values as the subset spells them: one type in upper case, values of an enum as strings."""
        kinds = made.get("type")
        if isinstance(kinds, list):
            made.update({"anyOf": [{"type": str(kind).upper()} for kind in kinds]})
            del made["type"]
        elif isinstance(kinds, str):
            made["type"] = kinds.upper()
        if isinstance(made.get("const"), str):
            made["enum"] = [made.pop("const")]
            made.setdefault("type", "STRING")
        if "enum" in made and not _are_words(made["enum"]):
            self.lost["enum"] = None
            del made["enum"]


def _is_single(members: Any) -> bool:
    return isinstance(members, list) and len(members) == 1


def _are_words(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _nested(schema: Mapping[str, Any], change: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """A copy whose inner schemas are changed; names of properties are not keywords."""
    made = dict(schema)
    if "oneOf" in made and "anyOf" not in made:
        made["anyOf"] = made.pop("oneOf")
    for key in ("properties", "$defs"):
        if isinstance(made.get(key), Mapping):
            made[key] = {name: change(inner) for name, inner in made[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), Mapping):
            made[key] = change(made[key])
    for key in ("anyOf", "prefixItems"):
        if isinstance(made.get(key), list):
            made[key] = [change(inner) for inner in made[key]]
    return made


def _without_null(made: dict[str, Any]) -> None:
    """The subset has no type of nothing; it says `nullable`."""
    members = made.get("anyOf")
    if not isinstance(members, list) or not any(member.get("type") == "NULL" for member in members):
        return
    rest = [member for member in members if member.get("type") != "NULL"]
    made["nullable"] = True
    if len(rest) > 1:
        made["anyOf"] = rest
    else:
        del made["anyOf"]
        made.update({key: value for member in rest for key, value in member.items() if key not in made})


def _allow_null(made: dict[str, Any]) -> None:
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    elif isinstance(made.get("anyOf"), list):
        made["anyOf"] = [*made["anyOf"], {"type": "null"}]
