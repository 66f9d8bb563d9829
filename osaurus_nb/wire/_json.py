"""A stranger's JSON, read strictly. Refuses by the kind of the fault and its place, never by a value. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from pydantic_core import from_json

from osaurus_nb.errors import RequestError

#: Levels of arrays and objects that the parser goes down.
MAX_DEPTH = 200
#: Bytes up to which a body is read a second time, for what the fast parser lets pass: a key that stands twice in one
#: object, and a number beyond all floats. It costs less than a third of a millisecond here and grows with the body,
#: while what it finds are slips of hand-written bodies; nothing of ours hands a body on without parsing it.
MAX_CHECKED = 64 * 1024

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.$-]{1,64}")


def parse(body: bytes, *, wanted: str = "JSON") -> Any:
    """The value that a body holds. Raises RequestError; `wanted` is what it says to send instead."""
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise _fault(str(exc), wanted) from None
    if len(body) <= MAX_CHECKED:
        _CHECK.decode(body.decode())
    return value


def shown(key: str) -> str:
    """A key as an error may name it: anybody can write anything into one."""
    return key if _PLAIN_KEY.fullmatch(key) else "…"


def _fault(said: str, wanted: str) -> RequestError:
    """The parser says what it expected and where, never what it found."""
    if said.startswith("recursion limit"):
        return RequestError(f"The body is JSON nested deeper than {MAX_DEPTH} levels.")
    return RequestError(f"The body is not valid JSON: {said}. Send {wanted}.")


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) == len(pairs):
        return
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise RequestError(f"The key '{shown(key)}' stands twice in one object of the body.", param=shown(key))
        seen.add(key)


def _finite(word: str) -> None:
    if math.isinf(float(word)):
        raise RequestError("The body holds a number that is larger than any computer's.")


#: It forgets what it has read, so that it costs no memory.
_CHECK = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_int=len)
