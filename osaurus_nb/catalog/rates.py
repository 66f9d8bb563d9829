"""What tokens of each class take, and what a usage takes at such rates. Pure: whole numbers, rounded once at the end.

A dollar for a million tokens is a millionth of a dollar for a token, so that a rate reads the same in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from osaurus_nb.models import Usage


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens of each class. A class without a rate of its own is counted as input or output.

    `call` is taken for each call, in millionths of a dollar. `others` are for tokens that no usage tells apart, e.g. of
    sound: the dearest ones for input and output.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    call: Decimal = Decimal(0)
    others: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    #: What is kept longer in the cache takes more to write, and no usage tells how long.
    writes_vary: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """The rates of a prompt with more than `above` tokens, as whole numbers: `scale` of them are a micro-dollar."""

    rates: Rates
    above: int = -1
    scale: int = field(init=False)
    classes: tuple[int, int, int, int, int, int] = field(init=False)
    dearest: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        told = self.rates
        into, out = told.input, told.output
        read = into if told.cache_read is None else told.cache_read
        write = into if told.cache_write is None else told.cache_write
        think = out if told.reasoning is None else told.reasoning
        each = (into, out, read, write, think, told.call)
        most = (max(into, read, write, told.others[0]), max(out, think, told.others[1]))
        scale = 10 ** max(_places(amount) for amount in (*each, *most))
        first, second, third, fourth, fifth, sixth = (int(amount * scale) for amount in each)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "classes", (first, second, third, fourth, fifth, sixth))
        object.__setattr__(self, "dearest", (int(most[0] * scale), int(most[1] * scale)))

    def micro(self, usage: Usage) -> int:
        """What it takes, half a micro-dollar rounded up. Counts below nothing count as nothing."""
        into, out, read, write, think, call = self.classes
        parts = (
            max(usage.input_tokens, 0) * into
            + max(usage.output_tokens, 0) * out
            + max(usage.cache_read_input_tokens, 0) * read
            + max(usage.cache_creation_input_tokens, 0) * write
            + max(usage.reasoning_output_tokens, 0) * think
        )
        return (2 * (parts + call) + self.scale) // (2 * self.scale)

    def guesses(self, usage: Usage) -> bool:
        """Is a class of the cache counted that it has no rate for, or more than one?"""
        if usage.cache_read_input_tokens > 0 and self.rates.cache_read is None:
            return True
        return usage.cache_creation_input_tokens > 0 and (self.rates.cache_write is None or self.rates.writes_vary)

    def at_most(self, input_tokens: int, output_tokens: int) -> int:
        """What so many tokens take if each is of the dearest class. Rounded up."""
        into, out = self.dearest
        parts = max(input_tokens, 0) * into + max(output_tokens, 0) * out + self.classes[5]
        return -(-parts // self.scale)


def band(bands: Sequence[Band], usage: Usage) -> Band:
    """The last of rising bands that a prompt of this size is in: it holds for all its tokens, not for those above."""
    if len(bands) == 1:
        return bands[0]
    size = usage.total_input
    return next((found for found in reversed(bands) if size > found.above), bands[0])


def _places(amount: Decimal) -> int:
    exponent = amount.normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("a rate is a number")
    return max(-exponent, 0)
