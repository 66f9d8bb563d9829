"""Amounts as people read them."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import money
from osaurus_nb.errors import RequestError
from osaurus_nb.models import Charge


@pytest.mark.parametrize(
    ("micro", "balance", "row"),
    [
        (0, "$0.00", "$0.00"),
        (99, "$0.00", "<$0.0001"),
        (100, "$0.00", "$0.0001"),
        (1234, "$0.00", "$0.0012"),
        (10_000, "$0.01", "$0.01"),
        (1_999_999, "$1.99", "$2.00"),
        (-1_500_000, "-$1.50", "-$1.50"),
        (-99, "$0.00", "-<$0.0001"),
        (123_456_789_012, "$123456.78", "$123456.79"),
        (None, "?", "?"),
    ],
)
def test_a_balance_is_cut_and_a_row_is_exact(micro: int | None, balance: str, row: str) -> None:
    """A balance never looks better than it is, a small cost never looks like none, and what is no number is `?`."""
    assert (money.balance(micro), money.row(micro)) == (balance, row)


@pytest.mark.parametrize(
    ("micro", "said"), [(500_000, "$0.50"), (5_000_000, "$5.00"), (1, "$0.000001"), (1_250_000, "$1.25"), (0, "$0.00")]
)
def test_a_limit_is_said_as_it_was_set(micro: int, said: str) -> None:
    """Cents are whole, and what is less than a cent is not rounded away."""
    assert money.full(micro) == said


@pytest.mark.parametrize(
    ("charge", "said"),
    [
        (Charge(1234, "r", input_tokens=30, output_tokens=4), "You were charged $0.0012 for 34 tokens."),
        (Charge(20_000, "r"), "You were charged $0.02."),
        (Charge(None, "r"), "You were charged ?."),
    ],
)
def test_a_charge_is_told_with_its_tokens(charge: Charge, said: str) -> None:
    """The sentence has the cost, and the tokens where there were any."""
    assert money.charged(charge) == said


@pytest.mark.parametrize(
    ("written", "micro"),
    [
        ("$0.50", 500_000),
        ("0.5", 500_000),
        (" $ .5 USD ", 500_000),
        ("2", 2_000_000),
        ("2.", 2_000_000),
        (0.5, 500_000),
        (1e-06, 1),
        (0.1 + 0.2, 300_000),
        (3, 3_000_000),
        (Decimal("0.0000005"), 1),
        (Decimal("0.00000049"), 0),
        ("0", 0),
        ("1000000000", 1_000_000_000_000_000),
    ],
)
def test_an_amount_is_read_as_it_is_written(written: str | float | Decimal, micro: int) -> None:
    """Dollars as text or number become whole millionths, half of one rounded up."""
    assert money.parse(written) == micro


@pytest.mark.parametrize(
    "written",
    ["", "five", "-1", "0,50", "1,000", "€1", "1e3", "NaN", "Infinity", "1_000", "1000000001", "\u0661", "1" * 65],
)
def test_what_is_no_amount_is_refused(written: str) -> None:
    """It is never guessed what was meant, and the message names the field but not the words in it."""
    with pytest.raises(RequestError) as caught:
        money.parse(written, "max_cost")

    assert caught.value.param == "max_cost"
    assert written == "" or f"'{written}'" not in str(caught.value)


@pytest.mark.parametrize("given", [True, None, float("nan"), float("inf"), -0.5, Decimal("sNaN"), [], b"1"])
def test_no_other_thing_is_an_amount(given: object) -> None:
    """Neither truth nor nothing nor what is no number."""
    with pytest.raises(RequestError):
        money.parse(cast("float", given))


@given(st.integers(-(10**15), 10**15))
def test_an_amount_written_out_is_the_same_when_read(micro: int) -> None:
    """Nothing is lost to the last millionth."""
    text = money.exact(micro)

    assert money.parse(text.removeprefix("-")) == abs(micro)
    assert text.startswith("-") == (micro < 0)
