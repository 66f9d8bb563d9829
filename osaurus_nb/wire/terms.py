"""Whose question it is, what it may cost and how it is routed, as headers for our own server. Pure.

Ids are percent-encoded UTF-8, and anybody's text: cut, not trusted. A budget that cannot be read is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from osaurus_nb import money
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.ports import Terms
from osaurus_nb.request import RouteOptions
from osaurus_nb.spending import Cap, Origin
from osaurus_nb.trouble import Rehearsal, parse
from osaurus_nb.wire import _routing

#: US dollars that the answer may cost, beside what the body says of it.
MAX_COST = "X-Osaurus-Max-Cost"
#: Budgets that several calls share: `<id>=<US dollars>`, with commas between them; `question:<id>=…` for all rounds of
#: one question.
BUDGET = "X-Osaurus-Budget"
#: How many a question may name, and how much of an id is read.
MOST_BUDGETS, _LONGEST = 16, 400
_HEADERS: Mapping[str, str] = {
    "session": "X-Osaurus-Session",
    "notebook": "X-Osaurus-Notebook",
    "cell": "X-Osaurus-Cell",
    "run": "X-Osaurus-Run",
}
#: How it is routed, where its body does not say.
MODE, PROFILE, TURN = "X-Route-Mode", "X-Osaurus-Profile", "X-Osaurus-Turn"
#: `1`: nobody but that machine and its networks may hear of it, whatever the body says.
LOCAL_ONLY = "X-Osaurus-Local-Only"
#: Faults on purpose, in plain words; `id=…;` before them names the block whose breakers they move.
CHAOS = "X-Osaurus-Chaos"
#: What a caller may have capped, and how that is written: a question's own cap is no budget around it.
_KINDS = ("budget", "question")
#: So many panels the question is a part of already: who is asked by one opens none.
FUSION_DEPTH = "X-Osaurus-Fusion-Depth"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def headers(terms: Terms) -> dict[str, str]:
    """What a server of ours is told. The key is not: it knows that better. Raises Unsupported for a cap of its own."""
    said = {name: _quoted(value) for field, name in _HEADERS.items() if (value := getattr(terms.origin, field))}
    if terms.caps:
        said[BUDGET] = ", ".join(_written(cap) for cap in terms.caps)
    if terms.local_only:
        said[LOCAL_ONLY] = "1"
    if terms.fusion_depth:
        said[FUSION_DEPTH] = str(terms.fusion_depth)
    if terms.chaos is not None:
        said[CHAOS] = f"id={terms.chaos.id}; {''.join(_bytes(str(terms.chaos)))}"
    return said


def origin(headers: Mapping[str, str], key: str | None) -> Origin:
    """Where the question comes from, as its caller says; `key` is who that is."""
    said = {field: _unquoted(headers[name]) or None for field, name in _HEADERS.items() if name in headers}
    return Origin(**said, key=key)


def caps(headers: Mapping[str, str]) -> tuple[Cap, ...]:
    """The budgets that the question falls under. Raises RequestError that names the header."""
    named = [part.strip() for part in headers.get(BUDGET, "").split(",")] if BUDGET in headers else []
    if len(named) > MOST_BUDGETS:
        raise RequestError(f"'{BUDGET}' names {len(named)} budgets; {MOST_BUDGETS} may hold at once.", param=BUDGET)
    return tuple(_read(part) for part in named)


def most(headers: Mapping[str, str]) -> int | None:
    """What the answer may cost, in millionths of a US dollar. Raises RequestError that names the header."""
    return money.parse(headers[MAX_COST], MAX_COST) if MAX_COST in headers else None


def chaos(headers: Mapping[str, str]) -> Rehearsal | None:
    """The faults on purpose under which it is asked. Raises RequestError for what is no fault."""
    if CHAOS not in headers:
        return None
    first, _, rest = _plain(headers[CHAOS]).partition(";")
    name, _, id = first.partition("=")
    if name.strip().lower() != "id":
        return Rehearsal("", parse(_plain(headers[CHAOS])))
    if not _ID.fullmatch(id.strip()):
        raise RequestError(f"'{CHAOS}' begins with 'id=' and up to 64 letters, digits, '-' and '_'.", param=CHAOS)
    return Rehearsal(id.strip(), parse(rest))


def local_only(headers: Mapping[str, str]) -> bool:
    """Must it stay there? Raises RequestError for what could mean that and does not say so."""
    said = headers.get(LOCAL_ONLY, "0").strip().lower()
    return _routing.word(said, LOCAL_ONLY, ("1", "0", "true", "false")) in ("1", "true")


def fusion_depth(headers: Mapping[str, str]) -> int:
    """How many panels it is a part of. Whatever is no small number counts as one: then no panel is opened."""
    said = headers.get(FUSION_DEPTH, "0").strip()
    return int(said) if said.isascii() and said.isdigit() and len(said) < 3 else 1


def routed(route: RouteOptions, headers: Mapping[str, str]) -> RouteOptions:
    """The options with what the headers say where the body says nothing. Raises RequestError that names the header."""
    mode = _routing.mode(headers[MODE], MODE) if MODE in headers else None
    profile, turn = (_named(headers, name) for name in (PROFILE, TURN))
    return replace(
        route,
        mode="local-strict" if local_only(headers) else route.mode or mode,
        profile=route.profile if route.profile is not None else profile,
        turn=route.turn if route.turn is not None else turn,
    )


def _named(headers: Mapping[str, str], header: str) -> str | None:
    return _routing.name(_unquoted(headers[header]), header) if header in headers else None


def _written(cap: Cap) -> str:
    kind, _, id = cap.scope.partition(":")
    if kind not in _KINDS or not _ID.fullmatch(id):
        raise Unsupported(f"A server keeps no cap of '{kind}' for its caller: use a budget.")
    return f"{id if kind == 'budget' else cap.scope}={money.exact(cap.limit_micro)}"


def _read(part: str) -> Cap:
    named, _, amount = part.partition("=")
    kind, colon, id = named.strip().rpartition(":")
    kind = kind if colon else "budget"
    if kind not in _KINDS or not _ID.fullmatch(id.strip()):
        raise RequestError(
            f"'{BUDGET}' must be <id>=<US dollars>, for example 'tuesday=0.50'; an id is up to 64 letters, digits, "
            "'-' and '_'.",
            param=BUDGET,
        )
    return Cap(f"{kind}:{id.strip()}", money.parse(amount.strip(), BUDGET))


def _quoted(text: str) -> str:
    return "".join(_bytes(text[:_LONGEST]))


def _bytes(text: str) -> Iterator[str]:
    for byte in text.encode(errors="replace"):
        yield chr(byte) if 0x21 <= byte <= 0x7E and byte != ord("%") else f"%{byte:02X}"


def _unquoted(text: str) -> str:
    return _plain(text[: 9 * _LONGEST]).strip()[:_LONGEST]


def _plain(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        return bytes.fromhex(match[0].replace("%", "")).decode(errors="replace")

    return _ENCODED.sub(plain, text)
