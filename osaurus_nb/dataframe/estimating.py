"""What a map may cost, before anything is sent: at least its prompts, at most an answer of full length for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from osaurus_nb import _markup, money
from osaurus_nb.catalog.prices import GRATIS, listed
from osaurus_nb.ledger.meter import USUAL_OUTPUT
from osaurus_nb.models import LOCAL, LOCAL_CLASSES, ModelCard, Usage
from osaurus_nb.spending import Tariff


@dataclass(frozen=True, slots=True)
class Estimate:
    """What will be sent and what it may cost, in micro-dollars; None where no price is known.

    Tokens are estimated by the prompts' bytes. `kept` rows were answered before, `unasked` ones lack what is asked
    about. `models` are those that may answer, the first one first.
    """

    rows: int
    input_tokens: int
    output_tokens: int
    models: tuple[str, ...]
    low_micro: int | None
    high_micro: int | None
    kept: int = 0
    unasked: int = 0
    cap_micro: int | None = None
    concurrency: int = 0

    @property
    def to_send(self) -> int:
        return self.rows - self.kept - self.unasked

    @property
    def price(self) -> str:
        """The range in words."""
        if self.low_micro is None or self.high_micro is None:
            return "price not known"
        return "free" if not self.high_micro else f"{money.row(self.low_micro)} to {money.row(self.high_micro)}"

    def __str__(self) -> str:
        who = ", ".join(self.models[:3]) + (" …" if len(self.models) > 3 else "")
        parts = [f"{self.to_send:,} rows to {who}, {self.concurrency} at a time", f"about {self.input_tokens:,} tokens"]
        parts.append(f"{self.price}, if no answer has more than {self.output_tokens:,} tokens")
        if self.cap_micro is not None:
            parts.append(f"at most {money.full(self.cap_micro)}")
        if self.kept:
            parts.append(f"{self.kept:,} are here from before")
        if self.unasked:
            parts.append(f"{self.unasked:,} lack what is asked about")
        return " · ".join(parts)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return _markup.callout(str(self), kind="note")


def price_range(
    cards: Sequence[ModelCard], prompts: Sequence[int], max_tokens: int | None
) -> tuple[int | None, int | None]:
    """The least and the most that these prompts (their tokens) cost at any of these models; None where nobody knows."""
    lows: list[int] = []
    highs: list[int] = []
    whole = sum(prompts)
    for card in cards:
        tariff = _tariff(card)
        answer = longest(card, max_tokens)
        low = tariff.cost(Usage(input_tokens=whole), datetime.now(UTC)).micro if tariff is not None else None
        high = tariff.at_most(whole, answer * len(prompts)) if tariff is not None else None
        if low is None or high is None:
            return None, None
        lows.append(low)
        highs.append(max(high, low))
    return (min(lows), max(highs)) if lows else (None, None)


def longest(card: ModelCard | None, max_tokens: int | None) -> int:
    """So many tokens an answer has at most; where nobody says, what money is set aside for."""
    if max_tokens is not None:
        return max_tokens
    return min(USUAL_OUTPUT, (card.max_output_tokens if card is not None else None) or USUAL_OUTPUT)


def _tariff(card: ModelCard) -> Tariff | None:
    if card.provider == LOCAL:
        return GRATIS
    if card.price is not None:
        return listed(card.price)
    return GRATIS if card.endpoint in LOCAL_CLASSES else None
