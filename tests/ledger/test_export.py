"""The export that a colleague can check: whole and signed, or which line is not as it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.errors import LedgerUnreadable
from osaurus_nb.identity.signer import Signer
from osaurus_nb.ledger.chain import GENESIS, link
from osaurus_nb.ledger.exporting import export
from osaurus_nb.ledger.verifying import verify
from osaurus_nb.models import Usage
from osaurus_nb.spending import Cost, Entry, Origin

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
MINE, THEIRS = Signer(b"\x01" * 32), Signer(b"\x02" * 32)


def chained(count: int) -> list[Entry]:
    """A ledger of `count` lines with all that a line can say."""
    lines: list[Entry] = []
    for number in range(1, count + 1):
        entry = Entry(
            "open" if number % 2 else "settle",
            f"step-{number}",
            1,
            NOW.timestamp() - 100 + number,
            "openai",
            "gpt-5",
            "openai/gpt-5",
            origin=Origin("session", "notebook.ipynb", "cell", "run", None),
            usage=Usage(10, number, reasoning_output_tokens=3),
            token_source="provider",
            cost=Cost(1234, "table", "2026-11-01"),
            duration_ms=1200,
            outcome="rendered",
            seq=number,
        )
        lines.append(replace(entry, chain=link(lines[-1].chain if lines else GENESIS, entry)))
    return lines


def exported(entries: Sequence[Entry], anchor: str = GENESIS, signer: Signer | None = MINE) -> bytes:
    return export(entries, anchor, signer, at=NOW, app_version="0.1.0")


SIGNED, UNSIGNED = exported(chained(4)), exported(chained(4), signer=None)


def test_a_whole_export_says_whose_it_is_in_one_sentence():
    """How many lines, from when to when, and who signed them."""
    verdict = verify(SIGNED)

    assert verdict.whole
    assert verdict.sentence == (
        f"Whole: 4 lines, from 2026-11-21 09:28:21 UTC to 2026-11-21 09:28:24 UTC, signed by {MINE.address}."
    )
    assert (verdict.lines, verdict.signer) == (4, MINE.address)


def test_an_export_without_an_identity_says_that_it_proves_little():
    """It is whole in itself, and anybody could have made it; as somebody's it is not accepted."""
    verdict, theirs = verify(UNSIGNED), verify(UNSIGNED, MINE.address)

    assert verdict.whole
    assert verdict.signer is None
    assert "not signed, so that anybody could have made it" in verdict.sentence
    assert theirs.fault == "unsigned"
    assert MINE.address in theirs.sentence


def test_another_ones_signature_is_told():
    """A file that somebody else signed is not taken for that of the one who was asked for, in any spelling."""
    assert verify(SIGNED, MINE.address.lower()).whole
    assert verify(SIGNED, THEIRS.address).fault == "stranger"
    assert verify(exported(chained(4), signer=THEIRS), MINE.address).fault == "stranger"


@pytest.mark.parametrize("whole", [SIGNED, UNSIGNED], ids=["signed", "unsigned"])
def test_no_bit_can_flip_unseen(whole):
    """In no byte of the file, wherever it stands."""
    for at, byte in enumerate(whole):
        altered = whole[:at] + bytes([byte ^ (1 << at % 8)]) + whole[at + 1 :]
        assert not verify(altered).whole, at


@given(at=st.integers(0, len(SIGNED) - 1), value=st.integers(0, 255), whole=st.sampled_from([SIGNED, UNSIGNED]))
def test_no_byte_can_change_unseen(at, value, whole):
    """Whatever byte is changed to whatever other, signed or not, it is found; checking it never fails."""
    at %= len(whole)
    altered = whole[:at] + bytes([value]) + whole[at + 1 :]

    assert verify(altered).whole == (altered == whole)


@given(start=st.integers(0, len(SIGNED)), length=st.integers(1, len(SIGNED)), put=st.binary(max_size=8))
def test_no_bytes_can_be_dropped_or_put_in_unseen(start, length, put):
    """What is cut out, cut off or put in is found."""
    altered = SIGNED[:start] + put + SIGNED[start + length :]

    assert verify(altered).whole == (altered == SIGNED)


def test_an_altered_line_is_named():
    """By its place in the file and its number in the ledger."""
    verdict = verify(SIGNED.replace(b'"step-3"', b'"step-9"'))

    assert (verdict.fault, verdict.line) == ("altered", 4)
    assert verdict.sentence == "Line 4 (number 3 of the ledger) was altered."


@pytest.mark.parametrize("gone", [1, 2, 3, 4])
def test_a_missing_line_is_named(gone):
    """Wherever it was: the sentence says before which line, or at the end."""
    rows = SIGNED.splitlines(keepends=True)
    verdict = verify(b"".join(rows[:gone] + rows[gone + 1 :]))

    assert verdict.fault == "missing"
    assert verdict.line == (gone + 1 if gone < 4 else None)
    assert ("at the end" if gone == 4 else f"before line {gone + 1}") in verdict.sentence


def test_lines_in_another_order_are_told():
    """Two lines that changed places are no alteration of either."""
    rows = SIGNED.splitlines(keepends=True)
    rows[2], rows[3] = rows[3], rows[2]

    assert verify(b"".join(rows)).fault == "reordered"


def test_a_line_that_was_put_in_is_told():
    """A copy of a line is one too many."""
    rows = SIGNED.splitlines(keepends=True)

    assert verify(b"".join([*rows[:3], rows[2], *rows[3:]])).fault == "added"


@pytest.mark.parametrize("kept", [1, 3, 5])
def test_a_file_that_was_cut_off_is_told(kept):
    """Behind a line or within one: without its seal it is not whole."""
    rows = SIGNED.splitlines(keepends=True)
    cut = b"".join(rows[:kept])

    assert verify(cut).fault in ("cut", "missing")
    assert verify(cut + rows[kept][:20]).fault == "cut"


def test_a_seal_from_another_export_does_not_fit():
    """Neither another's seal, nor one's own from another day, nor a seal of nobody beside a name."""
    rows = SIGNED.splitlines(keepends=True)
    older = exported(chained(3)).splitlines(keepends=True)[-1]
    seal = json.loads(rows[-1])
    renamed = json.dumps({**seal, "address": THEIRS.address}, separators=(",", ":")).encode() + b"\n"

    assert verify(b"".join([*rows[:-1], older])).fault == "digest"
    assert verify(b"".join([*rows[:-1], renamed])).fault == "signature"


def test_a_trimmed_ledger_verifies_from_its_anchor():
    """What was dropped for its age is not needed; that it was there is said."""
    lines = chained(6)
    verdict = verify(exported(lines[4:], anchor=lines[3].chain))

    assert verdict.whole
    assert "2 lines" in verdict.sentence
    assert "older ones were trimmed before" in verdict.sentence


def test_an_empty_ledger_can_be_exported():
    """No lines are whole as well."""
    verdict = verify(exported([]))

    assert verdict.whole
    assert verdict.sentence == f"Whole: no lines, signed by {MINE.address}."


def test_a_ledger_that_was_altered_is_not_signed():
    """Nobody puts a name under lines that do not hold together; the first is named."""
    lines = chained(4)
    lines[1] = replace(lines[1], cost=Cost(1, "table", "2026-11-01"))

    with pytest.raises(LedgerUnreadable, match="at line 2"):
        exported(lines)


def test_anybody_can_check_the_chain_without_us():
    """A link is the SHA-256 of the link before, a line feed and the text behind `entry`."""
    opening, *rows, _ = SIGNED.decode().splitlines()
    previous = json.loads(opening)["anchor"]

    for row in rows:
        text = row.split('"entry":', 1)[1][:-1]
        previous = hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
        assert json.loads(row)["chain"] == previous
    assert json.loads(opening)["head"] == previous


@pytest.mark.parametrize("data", [b"", b"\n", b"{}", b"[]\n", b"\xff\n", b'{"osaurus_ledger":2}\n', b"[" * 100_000])
def test_what_is_no_export_is_told_so(data):
    """Any other file is none of ours, and reading it never fails."""
    assert verify(data).fault == "foreign"


def test_it_is_checked_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A colleague needs the file alone: nothing is read or made in any home."""
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path / "home"))

    assert verify(SIGNED).whole
    assert not (tmp_path / "home").exists()
