"""Faults on purpose: what they are, and how they are written in plain words. Values only; nothing happens here.

lab down                          whoever is asked there is not there
lab down after 20 tokens          it breaks off in the middle
lab/llama-4 slow by 3 s           one model of it
provider rate limited for 5 s     whoever is asked first
everything outside down           all that is not on this machine
10 % of lab overloaded            one question in ten
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from osaurus_nb.errors import RequestError

Kind = Literal[
    "down",
    "overloaded",
    "rate limited",
    "slow",
    "stalls",
    "empty",
    "garbled",
    "refuses the key",
    "out of credit",
    "dies",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Who is struck, where it is no provider and no model: the one that is asked first, all of them, those that are not on
#: this machine, the models on it.
FIRST, ALL, OUTSIDE, HERE = "provider", "everything", "everything outside", "local worker"
#: What may come only after some tokens: all others keep an answer from beginning.
_LATER: frozenset[Kind] = frozenset({"down", "stalls", "garbled", "dies"})
#: So many at once, and so long a text, are surely a mistake.
MOST, LONGEST = 16, 1000
_SLOWEST = 600.0

_ALIKE = {"fails": "down", "offline": "down", "hangs": "stalls", "rate-limited": "rate limited", "silent": "empty"}
_WORDS = sorted([*KINDS, *_ALIKE], key=len, reverse=True)
_FAULT = re.compile(
    r"(?:(?P<share>\d{1,3}(?:\.\d{1,3})?)\s*%\s+of\s+)?"
    r"(?:the\s+)?(?P<who>everything\s+outside|local\s+worker|\S+?)\s+(?:is\s+)?"
    rf"(?P<kind>{'|'.join(word.replace(' ', chr(92) + 's+') for word in _WORDS)})"
    r"(?:\s+(?:by|for)\s+(?P<time>\d{1,4}(?:\.\d{1,3})?)\s*(?P<unit>ms|s|min))?"
    r"(?:\s+after\s+(?P<after>\d{1,6})\s+tokens?)?",
    re.IGNORECASE,
)
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0}
_APART = re.compile(r"\s*[;\n]\s*")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault on purpose. `after` is how many tokens pass first, `seconds` how late it is or when to come again."""

    who: str
    kind: Kind
    after: int = 0
    seconds: float | None = None
    share: float = 1.0

    def __str__(self) -> str:
        share = f"{self.share * 100:g} % of " if self.share < 1 else ""
        span = f" {'by' if self.kind == 'slow' else 'for'} {self.seconds:g} s" if self.seconds is not None else ""
        after = f" after {self.after} tokens" if self.after else ""
        return f"{share}{self.who} {self.kind}{span}{after}"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """All faults on purpose that hold for a question. `id` is of the block that they hold in: breakers live as long."""

    id: str
    troubles: tuple[Trouble, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.troubles))


def parse(text: str) -> tuple[Trouble, ...]:
    """The faults that are written, with `;` between them. Raises RequestError that says what can be written."""
    if len(text) > LONGEST:
        raise RequestError(f"Faults are written in at most {LONGEST} characters.", param="chaos")
    written = [part for part in _APART.split(text.strip()) if part]
    if not written:
        raise RequestError(f"No fault is written. {_can_be()}", param="chaos")
    if len(written) > MOST:
        raise RequestError(f"At most {MOST} faults hold at once, not {len(written)}.", param="chaos")
    return tuple(_read(part) for part in written)


def together(texts: Iterable[str]) -> tuple[Trouble, ...]:
    """The faults of several texts. Raises RequestError."""
    return parse(";".join(texts))


def _read(part: str) -> Trouble:
    found = _FAULT.fullmatch(part)
    if found is None:
        raise RequestError(f"'{_shown(part)}' is no fault. {_can_be()}", param="chaos")
    word = " ".join(found["kind"].lower().split())
    kind: Kind = _ALIKE.get(word, word)  # type: ignore[assignment]  # the pattern knows no other words
    trouble = Trouble(_who(found["who"]), kind, int(found["after"] or 0), _seconds(found), _share(found))
    _check(trouble, part)
    return trouble


def _who(said: str) -> str:
    word = " ".join(said.split())
    return word.lower() if word.lower() in (FIRST, ALL, OUTSIDE, HERE) else word


def _seconds(found: re.Match[str]) -> float | None:
    return float(found["time"]) * _UNITS[found["unit"].lower()] if found["time"] is not None else None


def _share(found: re.Match[str]) -> float:
    return float(found["share"]) / 100 if found["share"] is not None else 1.0


def _check(trouble: Trouble, part: str) -> None:
    if trouble.kind == "slow" and trouble.seconds is None:
        _refuse(part, "say by how much: 'lab slow by 3 s'")
    if trouble.seconds is not None and trouble.kind not in ("slow", "rate limited"):
        _refuse(part, "only 'slow by 3 s' and 'rate limited for 5 s' take a time")
    if trouble.seconds is not None and trouble.seconds > _SLOWEST:
        _refuse(part, f"no longer than {_SLOWEST:.0f} s")
    if trouble.after and trouble.kind not in _LATER:
        _refuse(part, f"only these may come after some tokens: {', '.join(sorted(_LATER))}")
    if not 0 < trouble.share <= 1:
        _refuse(part, "a share is more than 0 and at most 100 %")
    if trouble.kind == "dies" and trouble.who not in (HERE, FIRST, "local") and not trouble.who.startswith("local/"):
        _refuse(part, "only a worker of this machine dies: 'local worker dies'; others go down")


def _refuse(part: str, why: str) -> None:
    raise RequestError(f"'{_shown(part)}': {why}.", param="chaos")


def _shown(part: str) -> str:
    return part if len(part) <= 60 else part[:59] + "…"


def _can_be() -> str:
    return (
        "Write WHO WHAT, for example 'lab down after 20 tokens'. WHO is a provider, a model's full name, "
        f"'{FIRST}' (who is asked first), '{HERE}', '{OUTSIDE}' or '{ALL}', and before it perhaps '10 % of'. WHAT is "
        f"{', '.join(KINDS)}; 'slow by 3 s', 'rate limited for 5 s', 'down after 20 tokens'."
    )
