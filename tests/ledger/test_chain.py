"""The chain of the ledger's lines, and what may stand in them as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from osaurus_nb.ledger.chain import GENESIS, broken_at, canonical, link
from osaurus_nb.ledger.identifiers import LONGEST, identifier
from osaurus_nb.models import Usage
from osaurus_nb.spending import Cost, Entry, Origin

LINE = Entry("settle", "s1", 1, 1_700_000_000.5, "openai", "gpt-5", "openai/gpt-5", cost=Cost(12, "table", "v1"))
OTHERS = {
    "kind": "void",
    "step": "s2",
    "attempt": 2,
    "at": 1.0,
    "provider": "p",
    "model": "m",
    "asked": "a",
    "origin": Origin(cell="c"),
    "request_id": "r",
    "idempotency": "i",
    "answered": "x",
    "dialect": "openai-chat",
    "usage": Usage(input_tokens=1),
    "token_source": "provider",
    "cost": Cost(13, "table", "v1"),
    "reserved_micro": 5,
    "first_token_ms": 1,
    "duration_ms": 2,
    "finish_reason": "stop",
    "outcome": "rendered",
    "profile": "balanced",
    "fallbacks": 1,
    "energy_j": 0.5,
}


@pytest.mark.parametrize("name", OTHERS)
def test_each_column_is_vouched_for(name):
    """Another value in any column is another link."""
    other = replace(LINE, **{name: OTHERS[name]})

    assert link(GENESIS, other) != link(GENESIS, LINE)


def test_a_link_does_not_depend_on_where_the_line_was_read():
    """The number, the link itself and whether the writer lives are the ledger's own words."""
    assert link("before", replace(LINE, seq=7, chain="x", alive=False)) == link("before", LINE)
    assert link("before", replace(LINE, at=1_700_000_000)) == link("before", replace(LINE, at=1_700_000_000.0))


def test_the_first_altered_line_is_named():
    """Altering, dropping or swapping a line breaks the chain there."""
    lines = chained(5)

    assert broken_at(lines) is None
    assert broken_at(lines[2:], anchor=lines[1].chain) is None
    assert broken_at([*lines[:2], replace(lines[2], cost=Cost(1)), *lines[3:]]) == 3
    assert broken_at([*lines[:2], *lines[3:]]) == 4
    assert broken_at([lines[1], lines[0], *lines[2:]]) == 2


def test_the_canonical_form_stays_as_it_is():
    """Ledgers that were exported before must verify for ever: this digest never changes."""
    assert canonical(LINE).startswith('{"answered":null,"asked":"openai/gpt-5","at":1700000000.5,"attempt":1,')
    assert link(GENESIS, LINE) == "39ffab376079ba7582b83d0bed95cd7f2937e7dcd2dafbdffe897d43a8f8ee40"


@pytest.mark.parametrize(
    "text",
    ["gpt-5", "Qwen/Qwen3-0.6B@main", "", "osk-v1:ab+/=", "My notes/Übung 3 (copy).ipynb", "a" * LONGEST, "模型-7b"],
)
def test_names_and_ids_stay_readable(text):
    """What looks like an id, a model's name or a path is kept as it is."""
    assert identifier(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines",
        "a" * (LONGEST + 1),
        "<b>bold</b>",
        "tab\there",
        "bell\x07",
        'say "hi"',
        "\ud800",
        "Why?",
        "a  \u200bb",
    ],
)
def test_anything_else_becomes_a_digest(text):
    """Whatever else somebody sends as an id stands there as its digest, the same each time."""
    assert identifier(text).startswith("sha256:")
    assert len(identifier(text)) == 23
    assert identifier(text) == identifier(text)


def test_a_sentence_is_no_identifier():
    """A prompt that somebody sent as an id is not kept."""
    assert identifier("please write me a short poem about my dear old cat").startswith("sha256:")


def chained(count: int) -> list[Entry]:
    lines: list[Entry] = []
    for number in range(1, count + 1):
        entry = replace(LINE, step=f"s{number}", seq=number)
        lines.append(replace(entry, chain=link(lines[-1].chain if lines else GENESIS, entry)))
    return lines
