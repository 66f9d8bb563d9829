"""The text of a file of profiles: what it says, and what is wrong with it, by line. Pure.

A key that nobody knows is a fault: it may be the one that was to keep something away.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from osaurus_nb.config.profiles.lines import Place, lines
from osaurus_nb.config.profiles.reading import Reading
from osaurus_nb.errors import RequestError
from osaurus_nb.money import parse
from osaurus_nb.routes import MODES, Fusion, Mode, Profile, Requirements

#: How long a chain and a panel may be, as everywhere.
_CHAIN, _PANEL = 8, 8
_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
#: Where a word that others use for the same thing has its place here.
_ELSEWHERE = {
    "frontierLargeOnly": "say `quality` and, in `requirements`, `min_params_b`",
    "frontierOrReasoningTools": "say `quality` and, in `requirements`, `reasoning`",
    "requiresQuality": "say `quality`, from 0 to 1",
    "agentic": "say `tools` in `requirements`, and `sticky`",
    "preferTools": "say `tools` in `requirements`",
    "suppressIntermediateToolText": "what a model says between its calls is always shown",
    "fallbackProviders": "say `fallbacks`, with names of models",
    "defaultModel": "say `fallbacks`, with names of models",
    "private": 'say `"mode": "local-strict"`',
}
_THINKING = {"off": "none"}


def _amount(said: Any) -> int:
    try:
        return parse(said)
    except RequestError as error:
        raise ValueError(str(error)) from None


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


Micro = Annotated[int, BeforeValidator(_amount)]
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=200)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Switch = Annotated[bool, Field(strict=True)]


def _also(*names: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(*names))


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Requirements(_Part):
    tools: Switch = False
    as_json: Switch = Field(default=False, validation_alias="json")
    vision: Switch = False
    audio: Switch = False
    documents: Switch = Field(default=False, validation_alias=AliasChoices("documents", "document"))
    reasoning: Switch = False
    long_context: Switch = Field(default=False, validation_alias=AliasChoices("long_context", "longContext"))
    min_context: Annotated[int, Field(gt=0, strict=True)] | None = _also("min_context", "minContext")
    min_params_b: Positive | None = _also("min_params_b", "minParamsB")
    max_price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = _also("max_price", "maxPrice")
    allow_providers: Names | None = _also("allow_providers", "allowProviders")
    deny_providers: Names | None = _also("deny_providers", "denyProviders")
    allow_models: Names | None = _also("allow_models", "allowModels")
    deny_models: Names | None = _also("deny_models", "denyModels")


class _Fusion(_Part):
    panel: Annotated[int, Field(ge=2, le=_PANEL, strict=True)] = 3
    at_least: Annotated[int, Field(ge=2, le=_PANEL, strict=True)] = Field(
        default=2, validation_alias=AliasChoices("at_least", "atLeast")
    )
    judge: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    patience: Positive = 60.0


class _Profile(_Part):
    description: Annotated[str, Field(max_length=500)] = ""
    mode: Mode = Field("balanced", validation_alias=AliasChoices("mode", "route", "routeMode"))
    effort: Literal["off", "none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = _also(
        "thinking", "reasoning", "effort"
    )
    requirements: _Requirements = Field(default_factory=lambda: _Requirements.model_validate({}))
    quality: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.0
    fallbacks: Annotated[Names, Field(max_length=_CHAIN)] = []
    deadline: Positive | None = None
    max_cost: Micro | None = _also("max_cost", "maxCost")
    chain: Annotated[int, Field(ge=1, le=_CHAIN, strict=True)] = 3
    sticky: Switch = False
    fusion: _Fusion | None = None


class _Document(_Part):
    version: Literal[1] = 1
    profiles: dict[Annotated[str, Field(pattern=_NAME)], _Profile] = {}


def read(data: bytes, name: str) -> Reading:
    """What a file of this name says. Never raises: what is wrong is told in the reading."""
    try:
        text = data.decode("utf-8-sig")
        content = json.loads(text, parse_constant=_no_number, object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        return _damaged(f"{name}: line {error.lineno} is no JSON ({error.msg}).")
    except (ValueError, RecursionError) as error:
        return _damaged(f"{name}: it is no JSON that we read ({error}).")
    if not isinstance(content, dict) or not isinstance(content.get("profiles", {}), dict):
        return _damaged(f'{name}: it should look like {{"profiles": {{"NAME": {{…}}}}}}.')
    return _Text(name, text, content).reading()


def _damaged(told: str) -> Reading:
    return Reading(problems=(told,), damaged=told)


class _Text:
    """One text while its faults are found."""

    def __init__(self, name: str, text: str, content: Mapping[str, Any]) -> None:
        self._name = name
        self._lines = lines(text)
        self._content = content

    def reading(self) -> Reading:
        try:
            found = _Document.model_validate(self._content)
        except ValidationError as error:
            return self._without(error.errors(include_url=False))
        return self._checked(found)

    def _without(self, faults: Sequence[ErrorDetails]) -> Reading:
        """What is right, with the faulty profiles left out."""
        problems = [self._told(fault) for fault in faults]
        faulty: dict[str, str] = {}
        for fault, problem in zip(faults, problems, strict=True):
            if len(fault["loc"]) > 1 and fault["loc"][0] == "profiles":
                faulty.setdefault(str(fault["loc"][1]), problem)
        right = {name: each for name, each in self._content.get("profiles", {}).items() if name not in faulty}
        rest = self._checked(_Document.model_validate({"profiles": right}))
        return Reading(rest.profiles, (*problems, *rest.problems), {**rest.faulty, **faulty})

    def _checked(self, found: _Document) -> Reading:
        """What the shape alone does not tell."""
        profiles = {name: _profile(name, said) for name, said in found.profiles.items()}
        faulty = {
            name: f"{self._place(('profiles', name, 'fusion'))}: at_least ({fusion.at_least}) is more than its panel "
            f"({fusion.panel})."
            for name, each in profiles.items()
            if (fusion := each.fusion) is not None and fusion.at_least > fusion.panel
        }
        right = tuple(each for name, each in profiles.items() if name not in faulty)
        return Reading(right, tuple(faulty.values()), faulty)

    def _told(self, fault: ErrorDetails) -> str:
        loc = tuple(part for part in fault["loc"] if part != "[key]")
        place = self._place(loc)
        if fault["type"] == "extra_forbidden":
            return f"{place} is no key that we know.{_hint(str(loc[-1]), loc)}"
        if fault["loc"][-1] == "[key]":
            return f"{place} is no name: small letters, digits, `.`, `_` and `-`, 64 at most."
        if fault["type"] == "literal_error" and loc[-1] in ("mode", "route", "routeMode"):
            return f"{place} is no mode. There are: {', '.join(MODES)}."
        return f"{place}: {_plain(fault)}."

    def _place(self, loc: Place) -> str:
        """`name: line 4, `mine.requirements.tools`"""
        known = loc
        while known and known not in self._lines:
            known = known[:-1]
        line = f"line {self._lines[known]}, " if known else ""
        way = ".".join(map(str, loc[1:] if loc and loc[0] == "profiles" and len(loc) > 1 else loc))
        shown = way if way.isprintable() and len(way) <= 120 else "a name that is no name"
        return f"{self._name}: {line}`{shown}`"


def _hint(key: str, loc: Place) -> str:
    if key in _ELSEWHERE:
        return f" Instead, {_ELSEWHERE[key]}."
    inside = "requirements" in loc[2:-1]
    kind = _Document if len(loc) < 3 else _Requirements if inside else _Fusion if "fusion" in loc[2:-1] else _Profile
    if kind is _Profile and key in _names(_Requirements):
        return " Its place is in `requirements`."
    if inside and key in _names(_Profile):
        return " Its place is beside `requirements`."
    near = difflib.get_close_matches(key, _names(kind), n=1)
    return f" Did you mean `{near[0]}`?" if near else f" There are: {', '.join(_names(kind, first=True))}."


def _names(kind: type[BaseModel], *, first: bool = False) -> list[str]:
    found: list[str] = []
    for name, field in kind.model_fields.items():
        alias = field.validation_alias
        every = [str(each) for each in alias.choices] if isinstance(alias, AliasChoices) else [str(alias or name)]
        found += every[:1] if first else every
    return found


def _profile(name: str, said: _Profile) -> Profile:
    asked = said.requirements
    demands = {key: getattr(asked, key) for key in type(asked).model_fields if key != "as_json"}
    lists = {key: tuple(_once(value or [])) for key, value in demands.items() if key.startswith(("allow_", "deny_"))}
    return Profile(
        name=name,
        description=said.description,
        mode=said.mode,
        effort=_THINKING.get(said.effort, said.effort) if said.effort is not None else None,
        requirements=Requirements(**{**demands, **lists, "json": asked.as_json}),
        quality=float(said.quality),
        fallbacks=tuple(_once(said.fallbacks)),
        deadline=said.deadline,
        max_cost_micro=said.max_cost,
        chain=said.chain,
        sticky=said.sticky,
        fusion=Fusion(**said.fusion.model_dump()) if said.fusion is not None else None,
    )


#: What the validator says less plainly.
_SENTENCES = {
    "model_type": "it should be an object",
    "dict_type": "it should be an object",
    "list_type": "it should be a list",
    "string_type": "it should be a text",
    "bool_type": "it should be true or false",
}


def _plain(fault: ErrorDetails) -> str:
    told = fault["msg"].removeprefix("Value error, ").rstrip(".").replace("Input should", "it should")
    return _SENTENCES.get(fault["type"], told[:1].lower() + told[1:])


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            shown = key if key.isprintable() and len(key) <= 64 else "…"
            raise ValueError(f"the key `{shown}` stands twice in one object")
        found[key] = value
    return found


def _no_number(text: str) -> Decimal:
    raise ValueError(f"{text} is no number")
