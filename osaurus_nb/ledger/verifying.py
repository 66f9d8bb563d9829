"""Is an export of a ledger whole, and whose is it? Needs the file alone: no home, no key, no network. Pure.

Whole means: no line was altered, added, dropped or moved since it was sealed. Signed means: by the key of that address.
Neither says that whoever sealed it wrote the truth, and a file without a signature can be made by anybody.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from osaurus_nb.identity.addresses import checksummed, is_address, same
from osaurus_nb.identity.envelopes import BadSignature, signer_of
from osaurus_nb.ledger.chain import GENESIS
from osaurus_nb.ledger.exporting import PREFIX, VERSION, digest, signed, written

#: `foreign`: no export, or of a newer version. `unsigned` and `stranger`: whole, but not by whom it should be.
Fault = Literal[
    "foreign", "altered", "missing", "added", "reordered", "cut", "digest", "signature", "unsigned", "stranger"
]
_LINE = re.compile(rb'\{"seq":([1-9][0-9]{0,17}),"chain":"([0-9a-f]{64})","entry":(\{.*\})\}')
_OPENING = {
    "osaurus_ledger": int,
    "generated_at": str,
    "app_version": str,
    "lines": int,
    "anchor": str,
    "head": str,
}
_SEAL = ("digest", "address", "signature")
_LINK = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"0x([0-9a-f]{130})")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, and the one sentence that says so. `line` is the line of the file at fault, from 1.

    `since` and `until` are Unix seconds of the oldest and newest line; `signer` is who signed it, where that is right.
    """

    sentence: str
    fault: Fault | None = None
    line: int | None = None
    lines: int = 0
    since: float | None = None
    until: float | None = None
    signer: str | None = None

    @property
    def whole(self) -> bool:
        return self.fault is None


def verify(data: bytes, address: str | None = None) -> Verdict:
    """Recompute every link, the digest and the signature. With `address`, only that one's signature will do."""
    try:
        return _verified(data, address)
    except _Found as found:
        return found.verdict


class _Found(Exception):
    """Something that ends the search; no fault of ours."""

    def __init__(self, fault: Fault, sentence: str, line: int | None = None) -> None:
        self.verdict = Verdict(sentence, fault, line)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the file at `number`, as far as it has the form of one."""

    number: int
    seq: int
    chain: str
    text: bytes
    at: float


def _verified(data: bytes, address: str | None) -> Verdict:
    *rows, rest = data.split(b"\n")
    opening = _opening(rows[0] if rows else rest)
    if rest:
        raise _Found("cut", f"The end is missing: line {len(rows) + 1} breaks off.", len(rows) + 1)
    seal = _seal(rows[-1], len(rows)) if len(rows) > 1 else None
    lines = [_line(row, number) for number, row in enumerate(rows[1 : -1 if seal else None], 2)]
    _check_chain(opening, lines)
    if seal is None:
        raise _Found("cut", f"The end is missing: no seal stands below line {len(rows)}.", len(rows))
    body = data[: -len(rows[-1]) - 1]
    if seal["digest"] != digest(body):
        raise _Found("digest", "The opening, a line's number or the seal was altered: the digest is another.")
    return _told(opening, lines, _signer(seal, len(rows)), address)


def _opening(row: bytes) -> Mapping[str, Any]:
    value = _parsed(row)
    if "osaurus_ledger" not in value:
        raise _Found("foreign", "This is no export of a ledger, or its first line was altered.", 1)
    version = value["osaurus_ledger"]
    if type(version) is int and version > VERSION:
        raise _Found("foreign", "A newer version of osaurus-nb made this export, or its first line was altered.", 1)
    good = list(value) == list(_OPENING) and all(type(value[name]) is kind for name, kind in _OPENING.items())
    if not good or version != VERSION or written(value) != row + b"\n":
        raise _Found("altered", "Line 1, the opening, was altered.", 1)
    return value


def _seal(row: bytes, number: int) -> Mapping[str, Any] | None:
    """The last line, if it is a seal and not the line of an entry."""
    if row.startswith(b'{"seq":'):
        return None
    value = _parsed(row)
    if tuple(value) != _SEAL or written(value) != row + b"\n":
        raise _Found("altered", f"Line {number}, the seal, was altered or cut.", number)
    return value


def _line(row: bytes, number: int) -> _Line:
    form = _LINE.fullmatch(row)
    at = _parsed(form[3]).get("at") if form else None
    if form is None or type(at) is not float:
        raise _Found("altered", f"Line {number} was altered: it is no line of a ledger any more.", number)
    return _Line(number, int(form[1]), form[2].decode(), form[3], at)


def _check_chain(opening: Mapping[str, Any], lines: Sequence[_Line]) -> None:
    previous = opening["anchor"]
    if previous != GENESIS and not _LINK.fullmatch(previous):
        raise _Found("altered", "Line 1, the opening, was altered.", 1)
    for line in lines:
        # As `chain.link` makes it; over the text itself, so that no reading and writing stands between.
        if hashlib.sha256(previous.encode() + b"\n" + line.text).hexdigest() != line.chain:
            raise _broken(opening, lines, line)
        previous = line.chain
    if previous != opening["head"] or len(lines) != opening["lines"]:
        raise _broken(opening, lines, None)


def _broken(opening: Mapping[str, Any], lines: Sequence[_Line], at: _Line | None) -> _Found:
    """What happened where the chain breaks: told by the numbers and by how many lines there should be."""
    place = f"before line {at.number}" if at else "at the end"
    number = at.number if at else None
    numbers = [line.seq for line in lines]
    promised = opening["lines"] - len(lines)
    if promised > 0:
        return _Found("missing", f"A line is missing {place} ({promised} in all).", number)
    if promised < 0:
        return _Found("added", f"A line was added {place} ({-promised} in all).", number)
    if numbers != sorted(set(numbers)):
        return _Found("reordered", f"The lines are not in their order {place}.", number)
    if at is None:
        return _Found("altered", "Line 1, the opening, was altered: the last link is another.", 1)
    return _Found("altered", f"Line {at.number} (number {at.seq} of the ledger) was altered.", at.number)


def _signer(seal: Mapping[str, Any], number: int) -> str | None:
    """Who signed it; None where nobody did."""
    address, signature = seal["address"], seal["signature"]
    if address is None and signature is None:
        return None
    form = _SIGNATURE.fullmatch(signature) if isinstance(signature, str) else None
    if form is None or not isinstance(address, str) or not is_address(address) or address != checksummed(address):
        raise _Found("signature", f"The signature in line {number} is malformed.", number)
    try:
        signer = signer_of(PREFIX, signed(seal["digest"]), bytes.fromhex(form[1]))
    except BadSignature:
        raise _Found("signature", f"The signature in line {number} is malformed.", number) from None
    if not same(signer, address):
        raise _Found("signature", f"The signature in line {number} is not that of {address}.", number)
    return signer


def _told(opening: Mapping[str, Any], lines: Sequence[_Line], signer: str | None, address: str | None) -> Verdict:
    what, since, until = _extent(opening, lines)
    if signer is None and address is None:
        said = f"Whole in itself: {what}; it is not signed, so that anybody could have made it."
        return Verdict(said, None, None, len(lines), since, until)
    if signer is None:
        said = f"Not signed: {what}; nothing shows that it is from {address}."
        return Verdict(said, "unsigned", None, len(lines), since, until)
    if address is not None and not same(signer, address):
        said = f"Signed by somebody else: {what}, by {signer} and not by {address}."
        return Verdict(said, "stranger", None, len(lines), since, until, signer)
    return Verdict(f"Whole: {what}, signed by {signer}.", None, None, len(lines), since, until, signer)


def _extent(opening: Mapping[str, Any], lines: Sequence[_Line]) -> tuple[str, float | None, float | None]:
    if not lines:
        return "no lines", None, None
    since, until = min(line.at for line in lines), max(line.at for line in lines)
    count = f"{len(lines)} line{'s' if len(lines) > 1 else ''}"
    trimmed = " (older ones were trimmed before)" if opening["anchor"] != GENESIS else ""
    return f"{count}, from {_when(since)} to {_when(until)}{trimmed}", since, until


def _when(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return "?"


def _parsed(row: bytes) -> Mapping[str, Any]:
    """What stands there, or nothing where it is no object."""
    try:
        value = json.loads(row)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
