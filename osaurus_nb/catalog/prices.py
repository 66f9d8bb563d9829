"""What models cost, by the offline data of `genai-prices`, where that is installed: the extra `prices`. Pure.

A price is told only for a host that the data knows: the same model costs something else elsewhere, and nothing at home.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from importlib.util import find_spec

from osaurus_nb.models import Price

#: Few enough that no tier for long prompts begins.
_TOKENS = 1000
_MILLION = Decimal(1_000_000)


@lru_cache(maxsize=8192)
def price(model: str, url: str) -> Price | None:
    """The list price today of a model at this base URL, for a short prompt; None where it is not known.

    The first call reads the data, which takes a moment: not on an event loop.
    """
    if find_spec("genai_prices") is None:
        return None
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - 1.6 MB of data, for those who list prices

    try:
        found = calc_price(Usage(input_tokens=_TOKENS, output_tokens=_TOKENS), model, provider_api_url=url)
    except LookupError:
        return None
    if not _covers(found.provider.api_pattern, url):
        return None
    scale = _MILLION / _TOKENS
    return Price(_plain(found.input_price * scale), _plain(found.output_price * scale))


def _covers(pattern: str, url: str) -> bool:
    """Does the pattern end where a part of the address does? api.openai.com.example.org is somebody else."""
    match = re.match(pattern, url)
    return match is not None and (match[0].endswith(("/", ".")) or url[match.end() : match.end() + 1] in ("", "/", ":"))


def _plain(amount: Decimal) -> Decimal:
    """Without zeros at the end, and never as 1E+1."""
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()
