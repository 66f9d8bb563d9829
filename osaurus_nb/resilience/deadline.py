"""The moment at which a question has to be over, and what of it each attempt gets. Pure.

A deadline is a moment and not a span: nothing that arrives moves it, so no trickle and no keep-alive can.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Self

from osaurus_nb.ports import Timeouts


@dataclass(frozen=True, slots=True)
class Deadline:
    """`at` is a second of the monotonic clock; infinite for a question that has none."""

    at: float = inf

    @classmethod
    def after(cls, seconds: float | None, now: float) -> Self:
        return cls(inf if seconds is None else now + max(seconds, 0.0))

    def left(self, now: float) -> float:
        """Seconds, never below 0."""
        return max(self.at - now, 0.0)

    def passed(self, now: float) -> bool:
        return now >= self.at

    def fits(self, wait: float, now: float) -> bool:
        """Would there be time left after so many seconds?"""
        return now + wait < self.at

    def share(self, now: float, behind: int) -> Deadline:
        """Until when the next candidate has to show a word, if `behind` more are to have their turn as well.

        What one leaves over is shared by those behind it.
        """
        return Deadline(min(self.at, now + self.left(now) / (behind + 1)))

    def within(self, spans: Timeouts, now: float, behind: int = 0) -> Timeouts:
        """`spans`, none of them longer than this leaves. Once a word was shown the rest is the answer's alone."""
        if self.at == inf:
            return spans
        left, turn = self.left(now), self.share(now, behind).left(now)
        return replace(
            spans,
            connect=_shorter(spans.connect, turn),
            first_token=_shorter(spans.first_token, turn),
            between_tokens=_shorter(spans.between_tokens, left),
            total=_shorter(spans.total, left),
        )


def _shorter(span: float | None, limit: float) -> float:
    return limit if span is None else min(span, limit)
