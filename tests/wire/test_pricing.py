"""Prices as providers list them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.events import fold
from osaurus_nb.models import Charge, ModelCard, Price, Quirk
from osaurus_nb.wire import openai_chat, osaurus_router


def told(**row: Any) -> Price | None:
    """What the card of a model says that it costs, whose row has this."""
    (card,) = openai_chat.decode_models({"data": [{"id": "m", **row}]}, "lab")
    return card.price


def test_a_price_for_each_token_becomes_one_for_a_million() -> None:
    """OpenRouter's 0.00000125 dollars for a token are 1.25 for a million; so with the cache."""
    pricing = {
        "prompt": "0.00000125",
        "completion": "0.00001",
        "request": "0",
        "image": "0",
        "internal_reasoning": "0",
        "input_cache_read": "0.000000125",
        "input_cache_write": "0",
    }

    assert told(pricing=pricing) == Price(Decimal("1.25"), Decimal(10), Decimal("0.125"), None)
    assert str(told(pricing=pricing)).startswith("Price(input=Decimal('1.25'), output=Decimal('10')")


def test_a_free_model_costs_nothing() -> None:
    """Zero is a price."""
    assert told(pricing={"prompt": "0", "completion": "0"}) == Price(Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    "pricing",
    [
        {"prompt": "-1", "completion": "-1"},
        {"prompt": "0.000001"},
        {"prompt": "0.000001", "completion": "0.000002", "request": "0.01"},
        {"prompt": "0.000001", "completion": "0.000002", "internal_reasoning": "0.000003"},
        {"prompt": "cheap", "completion": "0.000002"},
        {"prompt": "NaN", "completion": "Infinity"},
        {"prompt": True, "completion": None},
        {"prompt": "1.5", "completion": "1.5"},
        {"prompt": "1e999999", "completion": "1"},
        {"input": 0.3, "output": 0.3, "hourly": 0},
        [],
        "free",
        None,
    ],
)
def test_what_is_no_price_or_not_all_of_one_is_none(pricing: Any) -> None:
    """A price that depends, that is taken for calls too or in units of somebody else is not guessed at."""
    assert told(pricing=pricing) is None


def test_another_server_of_ours_tells_prices_too() -> None:
    """Dollars for a million tokens, under the key that is ours."""
    assert told(osaurus={"price": {"input": "1.25", "output": "10"}}) == Price(Decimal("1.25"), Decimal(10))
    assert told(osaurus={"price": {"input": "-1", "output": "10"}}) is None


@pytest.mark.parametrize(("into", "out"), [("-1", "1"), ("1", -1), ("1" * 40, "1"), (None, "1"), ("1.5", "1")])
def test_the_router_is_not_believed_a_price_that_is_none(into: Any, out: Any) -> None:
    """No cost is ever less than nothing."""
    row = {"id": "m", "input_micro_per_mtok": into, "output_micro_per_mtok": out}
    (card,) = osaurus_router.decode_models({"data": [row]}, "osaurus")

    assert card.price is None


def charged(usage: dict[str, Any], *quirks: Quirk) -> Charge | None:
    """What an answer with this usage says that it cost."""
    card = ModelCard("m", "openrouter", quirks=frozenset(quirks))
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    decoder = openai_chat.event_decoder(card)
    body = json.dumps({"id": "gen-1", "model": "m", "choices": [choice], "usage": usage}).encode()
    events = [*decoder.feed(body), *decoder.close()]
    return fold(events).charge


USED = {"prompt_tokens": 194, "completion_tokens": 2, "total_tokens": 196}


def test_what_openrouter_charged_is_read() -> None:
    """0.00124 dollars are 1240 micro-dollars, under the id by which it finds the call again."""
    assert charged({**USED, "cost": 0.00124}, "tells_cost") == Charge(1240, "gen-1", "", "", 194, 2)
    assert charged({**USED, "cost": 0}, "tells_cost") == Charge(0, "gen-1", "", "", 194, 2)


def test_a_key_of_ones_own_is_charged_beside_the_fee() -> None:
    """0.95 to OpenRouter and 19 to whom it asked; without such a key the 0.95 are all."""
    said = {**USED, "cost": 0.95, "cost_details": {"upstream_inference_cost": 19}}

    own, plain = charged({**said, "is_byok": True}, "tells_cost"), charged({**said, "is_byok": False}, "tells_cost")

    assert own is not None
    assert plain is not None
    assert (own.cost_micro, plain.cost_micro) == (19_950_000, 950_000)


@pytest.mark.parametrize("cost", [None, -1, "free", True, {"total_cost": 1}, [1], 1e300])
def test_what_is_no_amount_is_no_charge(cost: Any) -> None:
    """Then the price of the list or the table counts."""
    assert charged({**USED, "cost": cost}, "tells_cost") is None


def test_nobody_else_is_believed_in_a_unit_that_we_do_not_know() -> None:
    """The key is read only where it means dollars."""
    assert charged({**USED, "cost": 1}) is None


JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet="0123456789.-+eENaInf ", max_size=45)


@given(st.dictionaries(st.sampled_from(["prompt", "completion", "request", "input_cache_read"]), JSON))
def test_no_list_breaks_the_reader(pricing: dict[str, Any]) -> None:
    """Any price that is read is between nothing and a dollar for a token, in few digits."""
    found = told(pricing=pricing)

    for rate in (found.input, found.output, found.cache_read or Decimal(0)) if found else ():
        assert 0 <= rate <= 1_000_000
        assert "E" not in str(rate)
