"""The data of `genai-prices`, where it is installed: which of its models is meant, and its prices as rates. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import time
from decimal import Decimal
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from osaurus_nb.catalog.rates import Band, Rates

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

#: Enough that the data tells which model it means, few enough that no tier begins.
_TOKENS = 1000
#: What the data names by the classes that a usage tells apart. Web searches and the like are in no usage.
_CLASSES = frozenset({"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "output_reasoning_mtok"})


@lru_cache(maxsize=8192)
def find(model: str, url: str) -> tuple[ModelInfo, str] | None:
    """The model that is asked at this base URL, and the data's version. The first call reads the data."""
    if find_spec("genai_prices") is None:
        return None
    import genai_prices  # noqa: PLC0415 - 1.6 MB of data, for those who ask for prices

    some = genai_prices.Usage(input_tokens=_TOKENS, output_tokens=_TOKENS)
    try:
        found = genai_prices.calc_price(some, model, provider_api_url=url)
    except LookupError:
        return None
    known = _covers(found.provider.api_pattern, url)
    return (found.model, f"genai-prices {genai_prices.__version__}") if known else None


def all_prices(model: ModelInfo) -> Iterator[ModelPrice]:
    """Those of all times."""
    if isinstance(model.prices, list):
        yield from (dated.prices for dated in model.prices)
    else:
        yield model.prices


def hours(model: ModelInfo) -> Iterator[time]:
    """When in a day a price begins, for what is cheaper by night. Each says in which zone."""
    for dated in model.prices if isinstance(model.prices, list) else ():
        # Told apart by what it has: to name the class, one would have to load the data.
        for bound in ("start_time", "end_time"):
            at = getattr(dated.constraint, bound, None)
            if isinstance(at, time):
                yield at


def bands(prices: ModelPrice) -> tuple[Band, ...]:
    """Its rates, by the size of the prompt; none where it counts something else than tokens, e.g. hours."""
    told = {key: value for key, value in vars(prices).items() if value is not None}
    if told and not told.keys() & {"input_mtok", "output_mtok"}:
        return ()
    starts = {tier.start for value in told.values() if not isinstance(value, Decimal) for tier in value.tiers}
    return tuple(Band(_rates({key: _in(value, at) for key, value in told.items()}), at) for at in sorted({-1, *starts}))


def _in(price: Decimal | TieredPrices, at: int) -> Decimal:
    """The price in the tier that begins there."""
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if tier.start <= at), price.base)


def _rates(told: Mapping[str, Decimal]) -> Rates:
    nothing = Decimal(0)
    others = [(key, value) for key, value in told.items() if key.endswith("_mtok") and key not in _CLASSES]
    write, longer = told.get("cache_write_mtok"), told.get("cache_write_1h_mtok")
    return Rates(
        told.get("input_mtok", nothing),
        told.get("output_mtok", nothing),
        told.get("cache_read_mtok"),
        write,
        told.get("output_reasoning_mtok"),
        call=told.get("requests_kcount", nothing) * 1000,
        others=(
            max((value for key, value in others if not key.startswith("output_")), default=nothing),
            max((value for key, value in others if key.startswith("output_")), default=nothing),
        ),
        writes_vary=longer is not None and longer != write,
    )


def _covers(pattern: str, url: str) -> bool:
    """Does the pattern end where a part of the address does? api.openai.com.example.org is somebody else."""
    match = re.match(pattern, url)
    return match is not None and (match[0].endswith(("/", ".")) or url[match.end() : match.end() + 1] in ("", "/", ":"))
