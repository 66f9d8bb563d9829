"""What a call cost: known models at known dates, each figure worked out by hand, and what holds for all of them.

A dollar for a million tokens is a micro-dollar for a token, so that the sums below are in micro-dollars at once.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

import pytest
from genai_prices import calc_price, data_snapshot
from genai_prices import types as prices
from hypothesis import assume, given
from hypothesis import strategies as st

from osaurus_nb.catalog import table
from osaurus_nb.catalog.prices import GRATIS, listed, tariff
from osaurus_nb.models import Price, Usage
from osaurus_nb.spending import FREE, Cost, Tariff

URLS = {
    "anthropic": "https://api.anthropic.com/v1",
    "deepseek": "https://api.deepseek.com",
    "google": "https://generativelanguage.googleapis.com/v1beta",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "perplexity": "https://api.perplexity.ai",
    "x-ai": "https://api.x.ai/v1",
}
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def known(provider: str, model: str) -> Tariff:
    found = tariff(model, URLS[provider])
    assert found is not None
    return found


#: input, output, read from the cache, written into it, thoughts
DATED = [
    # 1000 x 1.25 + 200 x 10 = 1250 + 2000
    ("openai", "gpt-5", NOON, Usage(1000, 200), 3250),
    # 1000 x 1.25 + 200 x 10 + 4000 x 0.125 + 300 x 10 = 1250 + 2000 + 500 + 3000
    ("openai", "gpt-5", NOON, Usage(1000, 200, 4000, 0, 300), 6750),
    # o3 was 10 and 40 until 2025-06-09: 1000 x 10 + 100 x 40
    ("openai", "o3", day("2025-06-09T23:59:59"), Usage(1000, 100), 14_000),
    # and is 2 and 8 since 2025-06-10: 1000 x 2 + 100 x 8
    ("openai", "o3", day("2025-06-10T00:00:00"), Usage(1000, 100), 2800),
    # 5 and 30 before 2026-08-21: 1000 x 5 + 100 x 30
    ("openai", "gpt-5.6-sol", day("2026-08-20"), Usage(1000, 100), 8000),
    # then 4 and 20, written 5, read 0.4: 1000 x 4 + 100 x 20 + 500 x 0.4 + 200 x 5 = 4000 + 2000 + 200 + 1000
    ("openai", "gpt-5.6-sol", day("2026-08-21"), Usage(1000, 100, 500, 200), 7200),
    # 272,000 tokens are still 2 and 10: 272000 x 2 + 100 x 10
    ("openai", "gpt-6-sol", NOON, Usage(272_000, 100), 545_000),
    # one more, and all are 4 and 15: 272001 x 4 + 100 x 15 = 1088004 + 1500
    ("openai", "gpt-6-sol", NOON, Usage(272_001, 100), 1_089_504),
    # what is read from the cache makes a prompt long too: 1 x 4 + 272000 x 0.4 + 0 = 4 + 108800
    ("openai", "gpt-6-sol", NOON, Usage(1, 0, 272_000), 108_804),
    # 1000 x 3 + 100 x 15 + 2000 x 0.3 = 3000 + 1500 + 600
    ("anthropic", "claude-sonnet-4-5", NOON, Usage(1000, 100, 2000), 5100),
    # 200001 x 6 + 1000 x 22.5 = 1200006 + 22500
    ("anthropic", "claude-sonnet-4-5", NOON, Usage(200_001, 1000), 1_222_506),
    # Sonnet 4.6 had that tier until 2026-03-12, and none since: 200001 x 6 and 200001 x 3
    ("anthropic", "claude-sonnet-4-6", day("2026-03-12"), Usage(200_001), 1_200_006),
    ("anthropic", "claude-sonnet-4-6", day("2026-03-13"), Usage(200_001), 600_003),
    # 7 x 0.1 + 3 x 0.5 = 0.7 + 1.5 = 2.2, rounded once
    ("anthropic", "claude-haiku-5-5", NOON, Usage(7, 3), 2),
    # 100001 x 0.5 + 10 x 2.5 = 50000.5 + 25 = 50025.5, half a micro-dollar up
    ("anthropic", "claude-haiku-5-5", NOON, Usage(100_001, 10), 50_026),
    # 1000 x 1.25 + 100 x 10 + 50 x 10 = 1250 + 1000 + 500
    ("google", "gemini-2.5-pro", NOON, Usage(1000, 100, 0, 0, 50), 2750),
    # 250000 x 2.5 + 100 x 15 = 625000 + 1500
    ("google", "gemini-2.5-pro", NOON, Usage(250_000, 100), 626_500),
    # 1000 x 0.3 + 100 x 2.5 + 500 x 0.03 = 300 + 250 + 15
    ("google", "gemini-2.5-flash", NOON, Usage(1000, 100, 500), 565),
    # by day, 00:30 to 16:30 UTC: 1000 x 0.27 + 1000 x 1.1 ; by night half of it: 135 + 550
    ("deepseek", "deepseek-chat", day("2026-11-21T16:29:59"), Usage(1000, 1000), 1370),
    ("deepseek", "deepseek-chat", day("2026-11-21T16:30:00"), Usage(1000, 1000), 685),
    # 1000 x 2 + 100 x 6 before 2026-04-30, then 1000 x 1.25 + 100 x 2.5
    ("x-ai", "grok-4.20", day("2026-04-29"), Usage(1000, 100), 2600),
    ("x-ai", "grok-4.20", day("2026-04-30"), Usage(1000, 100), 1500),
    # 1000 x 0.59 + 1000 x 0.79
    ("groq", "llama-3.3-70b-versatile", NOON, Usage(1000, 1000), 1380),
    # 12 dollars for a thousand calls are 12000 for one: 12000 + 100 x 1 + 100 x 1
    ("perplexity", "sonar", NOON, Usage(100, 100), 12_200),
    # thoughts have a price of their own: 100 x 2 + 100 x 8 + 1000 x 3 = 200 + 800 + 3000
    ("perplexity", "sonar-deep-research", NOON, Usage(100, 100, 0, 0, 1000), 4000),
    # 10000 x 0.05 + 1000 x 0.4 + 4000 x 0.01 = 500 + 400 + 40 ; since 2026-10-19 4000 x 0.005 = 20
    ("openrouter", "openai/gpt-5-nano", day("2026-10-18"), Usage(10_000, 1000, 4000), 940),
    ("openrouter", "openai/gpt-5-nano", day("2026-10-19"), Usage(10_000, 1000, 4000), 920),
    # an embedder: 1000000 x 0.02
    ("openai", "text-embedding-3-small", NOON, Usage(1_000_000), 20_000),
]


@pytest.mark.parametrize(("provider", "model", "at", "usage", "micro"), DATED)
def test_a_call_costs_what_the_table_said_on_its_day(
    provider: str, model: str, at: datetime, usage: Usage, micro: int
) -> None:
    """Exact to the micro-dollar: dates, hours, tiers, cache, thoughts and what each call takes."""
    cost = known(provider, model).cost(usage, at)

    assert (cost.micro, cost.source, cost.estimated) == (micro, "table", False)
    assert cost.version is not None
    assert cost.version.startswith("genai-prices ")


def test_a_time_of_day_is_read_in_its_zone() -> None:
    """A quarter to one in a Berlin winter is still night in UTC; a time without a zone is UTC."""
    chat, usage = known("deepseek", "deepseek-chat"), Usage(1000, 1000)
    berlin = datetime.fromisoformat("2026-11-21T00:45:00+01:00")

    assert chat.cost(usage, berlin).micro == 685  # 23:45 UTC
    assert chat.cost(usage, berlin.replace(tzinfo=None)).micro == 1370  # 00:45 UTC


@pytest.mark.parametrize(
    ("provider", "model", "usage", "micro"),
    [
        # Sonnet writes 5 minutes for 3.75 and an hour for 6: 1000 x 3.75, perhaps more
        ("anthropic", "claude-sonnet-4-5", Usage(0, 0, 0, 1000), 3750),
        # no price for writing: 1000 x 1.25, as for any input
        ("openai", "gpt-5", Usage(0, 0, 0, 1000), 1250),
        # no price for reading: 1000 x 0.59
        ("groq", "llama-3.3-70b-versatile", Usage(0, 0, 1000), 590),
        # counted by us: 1000 x 1.25
        ("openai", "gpt-5", Usage(1000, estimated=True), 1250),
        ("openai", "gpt-5", Usage(1000, absurd=True), 1250),
    ],
)
def test_what_was_guessed_is_marked(provider: str, model: str, usage: Usage, micro: int) -> None:
    """Tokens that nobody counted well, and classes that have no price or more than one."""
    cost = known(provider, model).cost(usage, NOON)

    assert (cost.micro, cost.estimated) == (micro, True)


def test_a_price_of_the_list_or_the_user_is_for_all_classes() -> None:
    """The cache is counted as input, marked; thoughts as output. 10 x 1.25 + 4 x 10 + 6 x 1.25 = 12.5 + 40 + 7.5."""
    own = listed(Price(Decimal("1.25"), Decimal(10)), "user")

    assert own.cost(Usage(10, 1, 4, 2, 3), NOON) == Cost(60, "user", None, True)
    assert own.cost(Usage(1, 0), NOON) == Cost(1, "user")  # 1.25
    assert own.cost(Usage(2, 0), NOON) == Cost(3, "user")  # 2.5, half up
    assert own.at_most(10, 5) == 63  # 12.5 + 50, and never less than it may be
    assert listed(Price(Decimal("1.25"), Decimal(10))).cost(Usage(), NOON) == Cost(0, "list")


def test_a_price_with_the_cache_is_no_guess() -> None:
    """100 x 3 + 1000 x 0.3 + 10 x 3.75 = 300 + 300 + 37.5; at most all is as dear as writing."""
    told = listed(Price(Decimal(3), Decimal(15), Decimal("0.3"), Decimal("3.75")))

    assert told.cost(Usage(100, 0, 1000, 10), NOON) == Cost(638, "list")
    assert told.at_most(100, 10) == 525  # 100 x 3.75 + 10 x 15


def test_at_home_nothing_is_charged() -> None:
    """Whatever it took."""
    assert GRATIS.cost(Usage(10**9, 10**9), NOON) is FREE
    assert GRATIS.at_most(10**9, 10**9) == 0


@pytest.mark.parametrize(
    ("provider", "model", "tokens", "most"),
    [
        ("openai", "gpt-5", (1000, 100), 2250),  # 1000 x 1.25 + 100 x 10
        ("openai", "gpt-6-sol", (272_000, 0), 680_000),  # 272000 x 2.5, all written into the cache
        ("openai", "gpt-6-sol", (272_001, 0), 1_360_005),  # 272001 x 5, in the tier above
        ("anthropic", "claude-sonnet-4-5", (1000, 100), 7500),  # 1000 x 6, kept for an hour, + 100 x 15
        ("google", "gemini-2.5-flash", (1000, 100), 1250),  # 1000 x 1, if it is sound, + 100 x 2.5
        ("perplexity", "sonar", (100, 100), 12_200),  # 12000 for the call
        ("deepseek", "deepseek-chat", (1000, 1000), 1370),  # by day, whatever the hour is now
    ],
)
def test_a_call_costs_no_more_than_was_said(provider: str, model: str, tokens: tuple[int, int], most: int) -> None:
    """The dearest class, the tier that it may be in, the dearest hour of the day."""
    assert known(provider, model).at_most(*tokens) == most


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("gpt-5", "http://127.0.0.1:11434/v1"),
        ("gpt-5", "https://api.openai.com.example.org/v1"),
        ("never-heard-of", "https://api.openai.com/v1"),
    ],
)
def test_a_host_that_the_data_does_not_know_has_no_tariff(model: str, url: str) -> None:
    """No cost is guessed from a name."""
    assert tariff(model, url) is None


def test_what_is_not_priced_by_tokens_costs_an_unknown_amount() -> None:
    """A price by the hour of sound is not nothing for tokens."""
    whisper = known("openai", "whisper-1")

    assert whisper.cost(Usage(1000, 100), NOON).micro is None
    assert whisper.at_most(1000, 100) is None


def test_without_the_data_nothing_fails() -> None:
    """It is an extra."""
    hide = "import sys; sys.modules['genai_prices'] = None\n"
    ask = "from osaurus_nb.catalog.prices import tariff; print(tariff('gpt-5', 'https://api.openai.com/v1'))"

    told = subprocess.run([sys.executable, "-c", hide + ask], capture_output=True, text=True, check=False)

    assert told.stdout.strip() == "None", told.stderr


@cache
def all_models() -> list[tuple[str, str, prices.ModelInfo]]:
    """Every model of the data at a provider whose address we write down, where it is what is found by its own name."""

    def found() -> Iterator[tuple[str, str, prices.ModelInfo]]:
        for provider in data_snapshot.get_snapshot().providers:
            for model in provider.models if provider.id in URLS else ():
                known = table.find(model.id, URLS[provider.id])
                if known is not None and known[0] is model:
                    yield URLS[provider.id], model.id, model

    return list(found())


TOKENS = st.integers(0, 600_000)
USAGES = st.builds(Usage, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)
TIMES = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))
MODELS = st.deferred(lambda: st.sampled_from(all_models()))


@given(MODELS, USAGES, TIMES)
def test_every_model_costs_what_the_data_makes_of_it(model: Any, usage: Usage, at: datetime) -> None:
    """Our whole numbers are the library's decimals, rounded once."""
    url, name, info = model
    told = known_at(url, name)
    said = prices.Usage(
        input_tokens=usage.total_input,
        output_tokens=usage.total_output,
        cache_read_tokens=usage.cache_read_input_tokens,
        cache_write_tokens=usage.cache_creation_input_tokens,
        output_reasoning_tokens=usage.reasoning_output_tokens,
    )
    assume(table.bands(info.get_prices(at)))

    expected = calc_price(said, name, provider_api_url=url, genai_request_timestamp=at).total_price * 1_000_000

    assert told.cost(usage, at).micro == int(expected.to_integral_value(ROUND_HALF_UP))


def known_at(url: str, model: str) -> Tariff:
    found = tariff(model, url)
    assert found is not None
    return found


@given(MODELS, USAGES, st.timedeltas(timedelta(0), timedelta(hours=23, minutes=59)))
def test_no_call_of_today_costs_more_than_at_most(model: Any, usage: Usage, hour: timedelta) -> None:
    """Whatever the classes of its tokens are, and at whatever hour it is."""
    url, name, _ = model
    told = known_at(url, name)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    cost, most = told.cost(usage, today + hour).micro, told.at_most(usage.total_input, usage.total_output)

    assert (cost is None and most is None) or (cost is not None and most is not None and 0 <= cost <= most)


FIELDS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@given(MODELS, USAGES, st.sampled_from((*FIELDS, "reasoning_output_tokens")), TOKENS)
def test_more_tokens_never_cost_less(model: Any, usage: Usage, field: str, more: int) -> None:
    """Of one class, the others as they were: every tier of the data is dearer than the one below."""
    url, name, _ = model
    told = known_at(url, name)

    less = told.cost(usage, NOON).micro
    grown = told.cost(replace(usage, **{field: getattr(usage, field) + more}), NOON).micro

    assert less is None or (grown is not None and less <= grown)


@given(USAGES, USAGES, st.decimals(0, 100, places=6), st.decimals(0, 100, places=6))
def test_two_calls_cost_what_both_together_do(one: Usage, other: Usage, into: Decimal, out: Decimal) -> None:
    """At one price, but for the one rounding of each."""
    told = listed(Price(into, out))

    apart = (told.cost(one, NOON).micro or 0) + (told.cost(other, NOON).micro or 0)
    together = told.cost(one + other, NOON).micro or 0

    assert abs(apart - together) <= 1


def test_no_cost_is_less_than_nothing() -> None:
    """Also of a usage that is nonsense."""
    assert known("openai", "gpt-5").cost(Usage(-5, -5, -5, -5, -5, absurd=True), NOON).micro == 0
    assert listed(Price(Decimal(1), Decimal(1))).cost(Usage(-5, 3), NOON).micro == 3
