"""Amounts as people read them."""

from __future__ import annotations

import pytest

from osaurus_nb import money
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
