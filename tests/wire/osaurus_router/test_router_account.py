"""What the Router says of models and money, however oddly it says it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from osaurus_nb import errors
from osaurus_nb.models import Capabilities, ModelCard, Price
from osaurus_nb.wire.osaurus_router import (
    Balance,
    decode_models,
    fault,
    read_balance,
    read_checkout,
    read_estimate,
    read_transactions,
    read_usage,
)

ROW = {
    "id": "venice/model-b",
    "provider": "venice",
    "context_length": 131072,
    "capabilities": {"tools": False, "Images": True, "telepathy": True, "reasoning": "yes"},
    "input_micro_per_mtok": "1000000",
    "output_micro_per_mtok": "3500000",
    "input_display": "$1.00/M",
    "output_display": "$3.50/M",
    "stale": False,
}


def test_a_card_has_price_window_and_capabilities() -> None:
    """Prices are exact; an unknown capability is neither true nor false."""
    [card] = decode_models({"data": [ROW]}, "osaurus")

    assert card == ModelCard(
        "venice/model-b",
        "osaurus",
        context_length=131072,
        capabilities=Capabilities(tools=False, vision=True),
        price=Price(Decimal(1), Decimal("3.5")),
    )
    assert card.name == "osaurus/venice/model-b"


def test_stale_rows_are_hidden_and_odd_ones_left_out() -> None:
    """One bad row costs no other one; one without a price is listed without."""
    rows: list[Any] = [
        ROW | {"stale": True},
        None,
        {},
        {"id": ""},
        {"id": "bare"},
        {**ROW, "input_micro_per_mtok": "x"},
    ]

    cards = decode_models({"data": rows}, "osaurus")

    assert [(card.id, card.price) for card in cards] == [("bare", None), ("venice/model-b", None)]


@pytest.mark.parametrize("read", [decode_models, read_balance, read_estimate, read_checkout, read_usage])
def test_what_is_no_answer_is_told(read: Any) -> None:
    """An object without the fields is an error, not an empty account."""
    with pytest.raises(errors.BadAnswer):
        read({"hello": 1}, "osaurus")


@pytest.mark.parametrize(
    ("said", "micro"),
    [("1999999", 1_999_999), ("-5", -5), (7, 7), ("1.5", None), ("", None), (None, None), (True, None)],
)
def test_an_amount_is_whole_or_unknown(said: Any, micro: int | None) -> None:
    """It is never guessed."""
    assert read_balance({"balance_micro": said, "frozen": True}, "osaurus") == Balance(micro, frozen=True)


@pytest.mark.parametrize(
    "url", ["http://pay.example/x", "javascript:alert(1)", "https://a@b/", "", None, "https://x y"]
)
def test_a_link_that_is_not_safe_is_not_handed_on(url: Any) -> None:
    """A browser is sent to https and nowhere else."""
    with pytest.raises(errors.BadAnswer):
        read_checkout({"checkout_url": url, "client_secret": "s"}, "osaurus")


def test_the_secret_of_a_checkout_is_in_no_repr() -> None:
    """The link is shown, the secret is not."""
    checkout = read_checkout({"checkout_url": "https://pay.example/x?y=1", "client_secret": "hush"}, "osaurus")

    assert checkout.client_secret == "hush"
    assert "hush" not in repr(checkout)


def test_pages_skip_what_is_no_row() -> None:
    """The rest of the page stays, with the cursor."""
    page = read_usage({"data": [{"id": "u", "cost_micro": "3"}, 7, {}], "next_cursor": "c"}, "osaurus")
    last = read_transactions({"data": [{"id": "t", "amount_micro": "-3"}], "next_cursor": None}, "osaurus")

    assert ([row.cost_micro for row in page.rows], page.next_cursor) == ([3], "c")
    assert ([row.amount_micro for row in last.rows], last.next_cursor) == ([-3], None)


@pytest.mark.parametrize(
    ("status", "payload", "kind", "said"),
    [
        (402, None, errors.InsufficientFunds, "Insufficient credits"),
        (429, None, errors.RateLimited, "Too many router requests"),
        (500, None, errors.Unavailable, "HTTP_500"),
        (401, None, errors.SignatureRejected, "Check your clock and identity"),
        (404, {"error": {"code": "MODEL_NOT_FOUND", "message": "no such model"}}, errors.NotOffered, "no such model"),
        (422, {"error": {"code": "X", "message": "key sk-0123456789abcd"}}, errors.Refused, "key [redacted] (X)"),
        (
            409,
            {"error": {"code": "IDEMPOTENCY_CONFLICT", "message": "other body"}},
            errors.IdempotencyConflict,
            "other",
        ),
    ],
)
def test_a_status_has_its_meaning(status: int, payload: Any, kind: type[errors.ProviderError], said: str) -> None:
    """By its code, else by its number; what the server says is quoted without keys."""
    error = fault(payload, provider="osaurus", status=status)

    assert type(error) is kind
    assert said in str(error)
    assert error.upstream_status == status


@pytest.mark.parametrize("kind", [errors.BelowMinimumTopUp, errors.IdempotencyConflict])
def test_some_faults_are_nobodys_to_try_again(kind: type[errors.ProviderError]) -> None:
    """A conflict may already have been charged: it is shown, and no other candidate is asked."""
    assert not kind.failover
