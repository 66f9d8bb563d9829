"""What models cost: by a list of their provider, by the user, or by the offline data of the extra `prices`. Pure.

The data's price is told only for a host that it knows: the same model costs something else elsewhere, nothing at home.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from osaurus_nb.catalog import table
from osaurus_nb.catalog.rates import Band, Rates, band
from osaurus_nb.models import Price, Usage
from osaurus_nb.spending import FREE, Cost, PriceSource, Tariff

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo


def listed(price: Price, source: PriceSource = "list") -> Tariff:
    """What somebody says that a model takes: its provider in a list, or the user."""
    return _Listed(Band(Rates(price.input, price.output, price.cache_read, price.cache_write)), source)


def tariff(model: str, url: str) -> Tariff | None:
    """What the data says of a model at this base URL: dated, with tiers and the cache. None where it says nothing.

    The first call reads the data, which takes a moment: not on an event loop. What it returns is cheap to ask.
    """
    return _dated(model, url)


def price(model: str, url: str) -> Price | None:
    """The data's price today for a short prompt; None where it is not known. The first call is slow, as above."""
    found = _dated(model, url)
    return None if found is None else found.today()


class _Gratis:
    def cost(self, usage: Usage, at: datetime) -> Cost:
        return FREE

    def at_most(self, input_tokens: int, output_tokens: int) -> int:
        return 0


#: What is answered at home, and has no price.
GRATIS: Tariff = _Gratis()


class _Listed:
    """One price for ever."""

    def __init__(self, rates: Band, source: PriceSource) -> None:
        self._band = rates
        self._source = source

    def cost(self, usage: Usage, at: datetime) -> Cost:
        return _cost(self._band, usage, self._source, None)

    def at_most(self, input_tokens: int, output_tokens: int) -> int:
        return self._band.at_most(input_tokens, output_tokens)


class _Dated:
    """One model of the data. Its prices of all times are made into whole numbers once."""

    def __init__(self, model: ModelInfo, version: str) -> None:
        self._model = model
        self._version = version
        self._bands = {id(prices): table.bands(prices) for prices in table.all_prices(model)}
        self._hours = tuple(table.hours(model))

    def cost(self, usage: Usage, at: datetime) -> Cost:
        known = self._at(at)
        if not known:
            return Cost(None, "table", self._version)
        return _cost(band(known, usage), usage, "table", self._version)

    def at_most(self, input_tokens: int, output_tokens: int) -> int | None:
        """By the prices of this day at any hour, and in any tier that so long a prompt may be in."""
        reachable = [rates for rates in self._today() if rates.above < input_tokens]
        return max((rates.at_most(input_tokens, output_tokens) for rates in reachable), default=None)

    def today(self) -> Price | None:
        known = self._at(datetime.now(UTC))
        return Price(_plain(known[0].rates.input), _plain(known[0].rates.output)) if known else None

    def _today(self) -> Iterator[Band]:
        now = datetime.now(UTC)
        for at in (now, *(datetime.combine(now.date(), hour) for hour in self._hours)):
            yield from self._at(at)

    def _at(self, at: datetime) -> tuple[Band, ...]:
        return self._bands[id(self._model.get_prices(at))]


@lru_cache(maxsize=8192)
def _dated(model: str, url: str) -> _Dated | None:
    found = table.find(model, url)
    return None if found is None else _Dated(*found)


def _cost(rates: Band, usage: Usage, source: PriceSource, version: str | None) -> Cost:
    return Cost(rates.micro(usage), source, version, usage.estimated or usage.absurd or rates.guesses(usage))


def _plain(amount: Decimal) -> Decimal:
    """Without zeros at the end, and never as 1E+1."""
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()
