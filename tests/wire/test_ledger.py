"""The ledger's values as JSON between a server and a client of ours."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.errors import BadAnswer, RequestError
from osaurus_nb.models import Usage
from osaurus_nb.spending import (
    BudgetState,
    By,
    Cap,
    Cost,
    Entry,
    Kind,
    LedgerStatus,
    Origin,
    Outcome,
    PriceSource,
    Query,
    TokenSource,
    Total,
)
from osaurus_nb.wire import ledger

_WORDS = st.text(min_size=1, max_size=20)
_MAYBE = st.none() | _WORDS
_COUNTS = st.integers(0, 2**53)
_SECONDS = st.floats(0, 2**40, allow_nan=False)
_ORIGINS = st.builds(Origin, _MAYBE, _MAYBE, _MAYBE, _MAYBE, _MAYBE)
_USAGES = st.builds(Usage, _COUNTS, _COUNTS, _COUNTS, _COUNTS, _COUNTS, estimated=st.booleans(), absurd=st.booleans())
_ENTRIES = st.builds(
    Entry,
    kind=st.sampled_from(get_args(Kind)),
    step=_WORDS,
    attempt=st.integers(1, 9),
    at=_SECONDS,
    provider=_WORDS,
    model=_WORDS,
    asked=_WORDS,
    origin=_ORIGINS,
    answered=_MAYBE,
    usage=_USAGES,
    token_source=st.sampled_from(get_args(TokenSource)),
    cost=st.builds(Cost, st.none() | _COUNTS, st.none() | st.sampled_from(get_args(PriceSource)), _MAYBE),
    reserved_micro=_COUNTS,
    first_token_ms=st.none() | _COUNTS,
    outcome=st.none() | st.sampled_from(get_args(Outcome)),
    energy_j=st.none() | _SECONDS,
    seq=_COUNTS,
    chain=_WORDS,
    alive=st.none() | st.booleans(),
)
_QUERIES = st.builds(
    Query,
    since=st.none() | _SECONDS,
    until=st.none() | _SECONDS,
    step=_MAYBE,
    notebook=_MAYBE,
    key=_MAYBE,
    outcome=st.none() | st.sampled_from(get_args(Outcome)),
    orphans=st.booleans(),
    before=st.none() | _COUNTS,
    limit=st.integers(1, ledger.LONGEST_PAGE),
)


def wired(value: Any) -> Any:
    return json.loads(json.dumps(value))


@given(_ENTRIES)
def test_a_line_comes_back_as_it_was(entry: Entry) -> None:
    """Every field of it, also those that are not known."""
    assert ledger.decode_entry(wired(ledger.encode_entry(entry))) == entry


@given(_WORDS, _COUNTS, _COUNTS, _USAGES, _SECONDS)
def test_a_sum_comes_back_as_it_was(key: str, calls: int, micro: int, usage: Usage, seconds: float) -> None:
    """Figures are whole millionths on both sides."""
    total = Total(key, calls, micro, usage, 1, 2, seconds)

    assert ledger.decode_total(wired(ledger.encode_total(total))) == total


@given(_WORDS, _COUNTS, _COUNTS, _COUNTS)
def test_a_budget_comes_back_as_it_was(scope: str, limit: int, spent: int, reserved: int) -> None:
    """With what is left of it, for those who only read JSON."""
    state = BudgetState(Cap(scope, limit), spent, reserved)

    written = wired(ledger.encode_budget(state))

    assert ledger.decode_budget(written) == state
    assert written["left_micro"] == state.left_micro


@given(_WORDS, _MAYBE, _COUNTS, _COUNTS, st.lists(_WORDS, max_size=3))
def test_a_status_comes_back_as_it_was(
    state: str, path: str | None, rows: int, waiting: int, notices: list[str]
) -> None:
    """Its sentences too."""
    status = LedgerStatus(state, path, rows, waiting, tuple(notices))

    assert ledger.decode_status(wired(ledger.encode_status(status))) == status


@given(_QUERIES)
def test_a_query_comes_back_from_an_address(query: Query) -> None:
    """What asks for nothing is left out of it."""
    assert ledger.decode_query(ledger.encode_query(query)) == query


@given(_ORIGINS)
def test_an_origin_comes_back_from_an_address(origin: Origin) -> None:
    """Whatever of it is known."""
    assert ledger.decode_origin(ledger.encode_origin(origin)) == origin


def test_no_parameter_is_called_key() -> None:
    """In an address `key` is the secret with which one asks: a filter of that name would be one, or lock one out."""
    assert ledger.encode_query(Query(key="k1")) == {"key_id": "k1"}
    with pytest.raises(RequestError, match="key_id"):
        ledger.decode_query({"key": "k1"})


@given(st.dictionaries(st.sampled_from([field.name for field in fields(Query)]), st.text(max_size=9)))
def test_no_text_in_an_address_breaks_the_reading(said: dict[str, str]) -> None:
    """It is a query, or a refusal that names one of the parameters."""
    try:
        ledger.decode_query(said)
    except RequestError as error:
        assert error.param in said


def test_a_newer_server_may_say_more() -> None:
    """And one that leaves out what cannot be guessed is no ledger."""
    entry = Entry("settle", "s", 1, 0.0, "p", "m", "m")

    assert ledger.decode_entry({**ledger.encode_entry(entry), "mood": "good"}) == entry
    with pytest.raises(BadAnswer, match="step"):
        ledger.decode_entry({"kind": "settle"})


def test_sums_are_by_what_they_can_be() -> None:
    """All that there is, and nothing else."""
    assert [ledger.decode_by(by) for by in get_args(By)] == list(get_args(By))
    for wrong in (None, "", "mood"):
        with pytest.raises(RequestError, match="by"):
            ledger.decode_by(wrong)
