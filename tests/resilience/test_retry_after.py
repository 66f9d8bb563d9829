"""What providers say of when to come back, in all the forms that they say it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.providers.faults import retry_after as parsed_today
from osaurus_nb.resilience.retry_after import LONGEST, retry_after, should_retry

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
UNIX = NOW.timestamp()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after-ms": "1500", "retry-after": "20"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "20"}, 20.0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Saturday, 21-Nov-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat Nov 21 12:00:30 2026"}, 30.0),
        ({"retry-after": "2026-11-21T12:00:30Z"}, 30.0),
        ({"retry-after": "2026-11-21T14:00:30+02:00"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": f"{UNIX + 45:.0f}"}, 45.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "-3"}, 0.0),
        ({"retry-after": "1e99"}, LONGEST),
        ({"retry-after": "1e999"}, LONGEST),
        ({"retry-after": "9" * 500}, LONGEST),
        ({"retry-after": "1000000000"}, LONGEST),
        ({"retry-after": "604800"}, LONGEST),
        ({"retry-after": "Mon, 01 Jan 9999 00:00:00 GMT"}, LONGEST),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "5 apples"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Mon, 01 Jan 99999 00:00:00 GMT"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 +9999999999999999"}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds, spans, Unix times and dates are understood, and nonsense is ignored."""
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"}, 1.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "250ms"}, 0.25),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{UNIX * 1000 + 5000:.0f}"}, 5.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{UNIX + 5:.0f}"}, 5.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "50"}, 50.0),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-21T12:00:07Z",
                "anthropic-ratelimit-tokens-remaining": "9000",
                "anthropic-ratelimit-tokens-reset": "2026-11-21T12:30:00Z",
            },
            7.0,
        ),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "9s",
            },
            9.0,
        ),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1s"}, None),
        ({"x-ratelimit-reset-requests": "1s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1x"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m", "retry-after": "2"}, 2.0),
    ],
)
def test_a_limit_that_is_used_up_tells_when_it_is_there_again(headers: dict[str, str], seconds: float | None) -> None:
    """Of several limits the last counts, one that is not used up does not, and Retry-After goes before them all."""
    found = retry_after(headers, NOW)

    assert found == (seconds if seconds is None else pytest.approx(seconds, abs=0.01))


def google(delay: object, kind: str = "type.googleapis.com/google.rpc.RetryInfo") -> dict[str, object]:
    return {"error": {"code": 429, "details": [{"@type": "x"}, {"@type": kind, "retryDelay": delay}]}}


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (google("3.5s"), 3.5),
        ([google("42s")], 42.0),
        (google("99999999s"), LONGEST),
        (google("soon"), None),
        (google(5), None),
        (google("3s", "other"), None),
        ({"error": {"details": 7}}, None),
        ({"error": "slow down"}, None),
        ([], None),
        ("text", None),
        (None, None),
    ],
)
def test_google_says_it_in_the_body(body: Any, seconds: float | None) -> None:
    """RetryInfo is read, and whatever else is there does no harm."""
    assert retry_after({}, NOW, body) == seconds


def test_a_date_is_read_by_the_clock_of_who_wrote_it() -> None:
    """An hour between its clock and ours is no hour of waiting."""
    headers = {"date": "Sat, 21 Nov 2026 13:00:00 GMT", "retry-after": "Sat, 21 Nov 2026 13:00:10 GMT"}

    assert retry_after(headers, NOW) == 10.0


@pytest.mark.parametrize(
    ("value", "told"),
    [("true", True), (" FALSE ", False), ("maybe", None), ("", None)],
)
def test_should_retry_is_heard_only_where_it_is_clear(value: str, told: bool | None) -> None:
    """The header counts with its two values, and without one it says nothing."""
    assert should_retry({"x-should-retry": value}) is told
    assert should_retry({}) is None


NAMES = ["retry-after", "retry-after-ms", "date", "x-ratelimit-reset", "x-ratelimit-remaining", "ratelimit-reset"]
TEXTS = st.one_of(
    st.text(max_size=60),
    st.from_regex(r"[+-]?[0-9]{0,400}(\.[0-9]{0,9})?(e[0-9]{0,4})?s?", fullmatch=True),
    st.datetimes().map(datetime.isoformat),
    st.from_regex(
        r"[A-Z][a-z]{2}, [0-9]{1,3} Nov [0-9]{1,6} [0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{1,30}", fullmatch=True
    ),
)


@given(st.dictionaries(st.sampled_from(NAMES), TEXTS), st.none() | TEXTS.map(google))
def test_nothing_that_a_stranger_sends_raises_or_makes_us_wait_for_ever(headers: dict[str, str], body: Any) -> None:
    """Whatever the headers hold, the wait is none or between nothing and a day."""
    found = retry_after(headers, NOW, body)

    assert found is None or 0 <= found <= LONGEST


@given(st.floats(0, 1e8) | st.integers(0, 10**8))
def test_a_plain_wait_is_what_the_adapters_read_today(seconds: float) -> None:
    """Taking this reader instead of the old one changes no ordinary answer."""
    headers = {"retry-after": f"{seconds:f}"}

    assert retry_after(headers, NOW) == parsed_today(headers, NOW)
