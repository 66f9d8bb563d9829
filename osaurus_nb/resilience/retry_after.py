"""How long a provider asks to be left alone, in every form that one says it. Pure; nothing here raises.

Retry-After (seconds or a date), retry-after-ms, Google's RetryInfo, and the resets of limits that are used up: OpenAI's
`6m0s`, Anthropic's RFC 3339, Unix times. An upstream's clock is not believed where its own Date tells how wrong it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

#: Whoever asks for more gets this: such a wait is never sat out anyway.
LONGEST = 24 * 3600.0

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(d|h|ms|us|µs|ns|m|s)", re.ASCII)
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
#: Above these a plain number is no span but a Unix time, in seconds or in milliseconds.
_UNIX, _UNIX_MS = 1e9, 1e12
#: No header that anybody means is longer, and what cannot be long cannot be slow to read.
_MAX_TEXT = 100
_RESET = re.compile(r"(?:(?:x|anthropic)-)?ratelimit-(?:reset(?:-[a-z-]+)?|[a-z-]+-reset)", re.ASCII)
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


def retry_after(headers: Mapping[str, str], now: datetime, body: Any = None) -> float | None:
    """Seconds to wait, from 0 to `LONGEST`; None where nothing usable was said.

    `headers` have their names in lower case, `body` is the error's JSON. `now` is an aware time.
    """
    told: Iterable[Callable[[], float | None]] = (
        lambda: _scaled(_number(headers.get("retry-after-ms")), 1e-3),
        lambda: _moment(headers.get("retry-after"), _their_now(headers, now)),
        lambda: _retry_info(body),
        lambda: _resets(headers, now),
    )
    found = next((seconds for ask in told if (seconds := ask()) is not None), None)
    return None if found is None else min(max(found, 0.0), LONGEST)


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """What `x-should-retry` says; None where it says nothing."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _moment(text: str | None, now: datetime) -> float | None:
    """Seconds from `now`, of a number, a span such as `6m0s`, a Unix time or a date."""
    text = (text or "").strip()
    if not text or len(text) > _MAX_TEXT:
        return LONGEST if text.isascii() and text.isdigit() else None
    number = _number(text)
    if number is not None:
        return number if number < _UNIX else _until(number, now)
    span = _span(text)
    if span is not None:
        return span
    date = _date(text)
    return None if date is None else (date - now).total_seconds()


def _until(unix: float, now: datetime) -> float:
    """Seconds until a Unix time; one that is long gone was meant as a span, if a mad one."""
    left = (unix / 1000 if unix >= _UNIX_MS else unix) - now.timestamp()
    return left if left > -LONGEST else unix


def _number(text: str | None) -> float | None:
    text = (text or "").strip()
    return float(text) if len(text) <= _MAX_TEXT and _NUMBER.fullmatch(text) else None


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else value * by


def _span(text: str) -> float | None:
    """`1s`, `6m0s`, `1h2m3.5s`, `250ms`: as Go writes spans."""
    parts = list(_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    return math.fsum(float(part[1]) * _UNITS[part[2]] for part in parts)


def _date(text: str) -> datetime | None:
    """RFC 3339, or a date as HTTP writes it. One that names no zone is in UTC."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            date = read(text)
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None


def _their_now(headers: Mapping[str, str], now: datetime) -> datetime:
    """A date of theirs is read by their own clock, which its head tells."""
    text = headers.get("date", "")
    return (_date(text) if len(text) <= _MAX_TEXT else None) or now


def _retry_info(body: Any) -> float | None:
    """Google's `error.details[]`: `{"@type": "…RetryInfo", "retryDelay": "3.5s"}`."""
    body = body[0] if isinstance(body, list) and body else body  # Gemini streams its error as a list of one
    error = body.get("error") if isinstance(body, Mapping) else None
    details = error.get("details") if isinstance(error, Mapping) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and detail.get("@type") == _RETRY_INFO:
            delay = detail.get("retryDelay")
            return _span(delay) if isinstance(delay, str) and len(delay) <= _MAX_TEXT else None
    return None


def _resets(headers: Mapping[str, str], now: datetime) -> float | None:
    """When the last of the limits that are used up is there again. The others say nothing of when to come back."""
    return max(_used_up(headers, now), default=None)


def _used_up(headers: Mapping[str, str], now: datetime) -> Iterator[float]:
    for name, value in headers.items():
        if _RESET.fullmatch(name) is None:
            continue
        left = _number(headers.get(name.replace("reset", "remaining")))
        seconds = _moment(value, now)
        if left is not None and left <= 0 and seconds is not None:
            yield seconds
