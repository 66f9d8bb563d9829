"""Our own keys in a body of any dialect: how the question is routed, and what it may cost and take. Pure.

No provider knows one of them. What cannot be meant is refused by the name of the key, with the values that there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, cast, get_args

from osaurus_nb import money
from osaurus_nb.errors import RequestError
from osaurus_nb.request import Effort, RouteOptions
from osaurus_nb.routes import MODES, NO_REQUIREMENTS, Mode, Requirements, Resume

#: `deadline_ms` is up to a day.
MAX_DEADLINE = 86_400_000
#: The longest name of a profile, a model or a turn that is read.
_LONGEST = 400
_EFFORTS: Mapping[str, str] = MappingProxyType({"off": "none", **{level: level for level in get_args(Effort)}})
#: Two names for effort. Where one of them is a dialect's own key, that dialect says so.
EFFORT = ("thinking", "reasoning")
#: A demand by itself: `requiresVision: true` is `requirements: {"vision": true}`.
_FLAG = re.compile(r"requires[A-Z]\w*")
#: All others, but for those of `EFFORT`.
OURS = frozenset(
    {
        *("route", "routeMode", "profile", "routerProfile", "requirements", "local_only", "private"),
        *("fallbacks", "deadline_ms", "max_cost", "budget_micro", "turn_key", "resume", "strict_params"),
        *("debug", "routeDebug", "fusion"),
    }
)


def is_ours(key: str, value: object) -> bool:
    """Is it a word for us?

    An object under `debug`, and one with more than an effort under `thinking` or `reasoning`, are some vendor's own.
    """
    if key in EFFORT:
        return isinstance(value, str) or (isinstance(value, Mapping) and bool(value) and value.keys() <= _LEVELS)
    if key == "debug":
        return not isinstance(value, Mapping)
    return key in OURS or (key.startswith("requires") and _FLAG.fullmatch(key) is not None)


def others(said: Mapping[str, Any]) -> dict[str, Any]:
    """All that is not for us."""
    return {key: value for key, value in said.items() if not is_ours(key, value)}


def read(said: Mapping[str, Any]) -> RouteOptions:
    """How the question is to be routed. Raises RequestError that names the key, and what it could be."""
    said = {key: value for key, value in said.items() if value is not None and is_ours(key, value)}
    if not said:
        return _UNSAID
    wait = said.get("deadline_ms")
    if wait is not None and not (type(wait) is int and 0 < wait <= MAX_DEADLINE):
        raise RequestError(f"'deadline_ms' must be a whole number from 1 to {MAX_DEADLINE}.", param="deadline_ms")
    return RouteOptions(
        mode=_mode(said),
        profile=_one(said, "profile", "routerProfile", of=name),
        requirements=_requirements(said),
        resume=cast(Resume, word(said.get("resume", "off"), "resume", get_args(Resume))),
        turn=_one(said, "turn_key", of=name),
        explain=bool(_one(said, "debug", "routeDebug", of=_flag)),
        fallbacks=_names(said["fallbacks"], "fallbacks", "model names") if "fallbacks" in said else (),
        deadline=wait / 1000 if wait is not None else None,
        strict_params=bool(_one(said, "strict_params", of=_flag)),
        max_cost_micro=_most(said),
        fusion=cast(Any, word(said["fusion"], "fusion", ("auto", "required"))) if "fusion" in said else None,
    )


def effort(said: Mapping[str, Any], own: Effort | None = None) -> Effort | None:
    """How much it shall think: `own` is what the dialect's own key says. Raises RequestError where they differ."""
    for key in EFFORT:
        value = said.get(key)
        if value is None or not is_ours(key, value):
            continue
        levels = value.values() if isinstance(value, Mapping) else [value]
        meant = cast(Effort, _only({_EFFORTS[word(level, key, _EFFORTS)] for level in levels}, key))
        if own not in (None, meant):
            raise RequestError(f"'{key}' says '{meant}', another key '{own}'. Say it once.", param=key)
        own = meant
    return own


def write(route: RouteOptions) -> dict[str, Any]:
    """The keys that `read` reads as these options."""
    keys = {
        "route": route.mode,
        "profile": route.profile,
        "requirements": demands(route.requirements) or None,
        "resume": route.resume if route.resume != "off" else None,
        "turn_key": route.turn,
        "debug": route.explain or None,
        "fallbacks": list(route.fallbacks) or None,
        "deadline_ms": int(route.deadline * 1000) if route.deadline is not None else None,
        "max_cost": money.exact(route.max_cost_micro) if route.max_cost_micro is not None else None,
        "strict_params": route.strict_params or None,
        "fusion": route.fusion,
    }
    return {key: value for key, value in keys.items() if value is not None}


def demands(wanted: Requirements) -> dict[str, Any]:
    """Those that demand something, by name."""
    found = ((name, getattr(wanted, name), getattr(NO_REQUIREMENTS, name)) for name in _KINDS)
    return {key: list(value) if isinstance(value, tuple) else value for key, value, none in found if value != none}


def mode(said: object, field: str) -> Mode:
    """A mode by its name. Raises RequestError with those that exist."""
    return cast(Mode, word(said, field, MODES))


def word(said: object, field: str, known: Collection[str]) -> str:
    """One of these words. Raises RequestError that names them all."""
    if not isinstance(said, str) or said not in known:
        got = f", not '{_shown(said)}'" if isinstance(said, str) and len(said) <= 40 else ""
        raise RequestError(f"'{field}' must be one of {', '.join(known)}{got}.", param=field)
    return said


def name(said: object, field: str) -> str:
    """A short text on one line."""
    if not isinstance(said, str) or not said.strip() or not said.isprintable() or len(said) > _LONGEST:
        raise RequestError(f"'{field}' must be a name: one line, at most {_LONGEST} characters.", param=field)
    return said.strip()


def wanted(said: Mapping[str, Any], field: str = "requirements") -> Requirements:
    """Demands by their names, in either spelling. Raises RequestError for one that does not exist."""
    found: dict[str, Any] = {}
    for key, value in said.items():
        known, place = _NAMES.get(key), f"{field}.{_shown(key)}"
        if known is None:
            raise RequestError(f"'{place}' is not known. There are: {', '.join(_KINDS)}.", param=place)
        if value is not None and known:  # two names may mean one thing: `video` is seen as pictures are
            found[known] = _KINDS[known](value, place) or found.get(known, getattr(NO_REQUIREMENTS, known))
    return Requirements(**found)


def _mode(said: Mapping[str, Any]) -> Mode | None:
    """What must stay here stays here, whatever mode is named beside it."""
    asked = _one(said, "route", "routeMode", of=mode)
    private = [bool(_flag(said[key], key)) for key in ("local_only", "private") if key in said]
    return "local-strict" if any(private) else asked


def _requirements(said: Mapping[str, Any]) -> Requirements:
    given = said.get("requirements", {})
    if not isinstance(given, Mapping):
        raise RequestError("'requirements' must be an object.", param="requirements")
    demanded = dict(given)
    for key, value in said.items():
        if _FLAG.fullmatch(key):
            what = key.removeprefix("requires")
            bare = _BARE.get(what.lower())
            if bare is None:
                known = ", ".join(f"requires{flag[0].upper()}{flag[1:]}" for flag in FLAGS)
                raise RequestError(f"'{_shown(key)}' is not known. There are: {known}.", param=_shown(key))
            if _flag(value, key):
                demanded[bare] = True
    return wanted(demanded) if demanded else NO_REQUIREMENTS


def _most(said: Mapping[str, Any]) -> int | None:
    """Both may be there: the smaller one holds."""
    limits = []
    if "max_cost" in said:
        limits.append(money.parse(said["max_cost"], "max_cost"))
    if "budget_micro" in said:
        micro = said["budget_micro"]
        if type(micro) is not int or not 0 <= micro <= 10**15:
            needed = "'budget_micro' must be a whole number of millionths of a US dollar."
            raise RequestError(needed, param="budget_micro")
        limits.append(micro)
    return min(limits, default=None)


def _one(said: Mapping[str, Any], *keys: str, of: Callable[[Any, str], Any]) -> Any:
    """What one of several names for the same says. Raises RequestError where they differ."""
    found = {key: of(said[key], key) for key in keys if key in said}
    if len(set(found.values())) > 1:
        raise RequestError(f"{' and '.join(map(repr, found))} say different things.", param=keys[-1])
    return next(iter(found.values()), None)


def _only(levels: set[str], key: str) -> str:
    if len(levels) != 1:
        raise RequestError(f"'{key}' names two efforts. Say it once.", param=key)
    return levels.pop()


def _flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise RequestError(f"'{field}' must be true or false.", param=field)
    return value


def _names(value: object, field: str, what: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
        raise RequestError(f"'{field}' must be an array of {what}.", param=field)
    return tuple(value)


def _shown(key: str) -> str:
    """A key as an error may name it: anybody can write anything into one."""
    return key if key.isidentifier() and key.isascii() and len(key) <= 64 else "…"


def _number(value: object, field: str, *, whole: bool = False) -> Any:
    fits = type(value) is int if whole else isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not 0 <= cast(float, value) < 1e12:
        raise RequestError(f"'{field}' must be a {'whole ' if whole else ''}number, not less than 0.", param=field)
    return value


_UNSAID = RouteOptions()
_LEVELS = frozenset({"effort", "level"})
_listed = partial(_names, what="names or patterns")
#: Each demand, and what reads its value.
_KINDS: Mapping[str, Callable[[Any, str], Any]] = MappingProxyType(
    {
        **dict.fromkeys(("tools", "json", "vision", "audio", "documents", "reasoning", "long_context"), _flag),
        "min_context": partial(_number, whole=True),
        "min_params_b": _number,
        "max_price": _number,
        **dict.fromkeys(("allow_providers", "deny_providers", "allow_models", "deny_models"), _listed),
    }
)


def _camel(text: str) -> str:
    head, *rest = text.split("_")
    return head + "".join(part.capitalize() for part in rest)


#: Every spelling of a demand. Each model streams, so `streaming` demands nothing.
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        **{key: key for key in _KINDS},
        **{_camel(key): key for key in _KINDS},
        **{"document": "documents", "video": "vision", "streaming": ""},
        **{"minParamsB": "min_params_b", "JSON": "json"},
    }
)
FLAGS = ("tools", "json", "vision", "video", "audio", "documents", "reasoning", "longContext", "streaming")
_BARE: Mapping[str, str] = MappingProxyType({name.lower(): name for name in (*FLAGS, "document")})
