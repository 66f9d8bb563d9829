"""What models cost where the data knows the host."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from osaurus_nb.catalog.prices import price
from osaurus_nb.models import Price


def test_a_vendors_model_has_its_price() -> None:
    """Dollars for a million tokens, in exact figures."""
    assert price("gpt-5", "https://api.openai.com/v1") == Price(Decimal("1.25"), Decimal(10))
    assert str(price("gpt-5", "https://api.openai.com/v1")).startswith(
        "Price(input=Decimal('1.25'), output=Decimal('10')"
    )


def test_an_embedder_costs_nothing_for_what_it_does_not_say() -> None:
    """Its output is free."""
    assert price("text-embedding-3-small", "https://api.openai.com/v1") == Price(Decimal("0.02"), Decimal(0))


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("gpt-5", "http://127.0.0.1:11434/v1"),
        ("gpt-5", "https://api.openai.com.example.org/v1"),
        ("gpt-5", "https://example.org/https://api.openai.com"),
        ("never-heard-of", "https://api.openai.com/v1"),
    ],
)
def test_what_is_not_known_has_no_price(model: str, url: str) -> None:
    """No price is guessed from a name: elsewhere it is another."""
    assert price(model, url) is None


def test_without_the_data_there_is_no_price() -> None:
    """It is an extra; nothing fails where it is not installed."""
    hide = "import sys; sys.modules['genai_prices'] = None\n"
    ask = "from osaurus_nb.catalog.prices import price; print(price('gpt-5', 'https://api.openai.com/v1'))"

    told = subprocess.run([sys.executable, "-c", hide + ask], capture_output=True, text=True, check=False)

    assert told.stdout.strip() == "None", told.stderr
