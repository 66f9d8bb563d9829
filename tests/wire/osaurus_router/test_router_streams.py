"""What the Router answers: its bill, its faults, its empty answers, and streams that need mending."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import errors
from osaurus_nb import events as ev
from osaurus_nb.models import Charge, ModelCard, Usage
from osaurus_nb.wire.osaurus_router import Emptiness, RouterDecoder

CARD = ModelCard("venice/model-b", "osaurus")
KEY = "run:step:0123456789abcdef"
SUMMARY = {
    "request_id": "req_1",
    "cost_micro": "1234",
    "status": "completed",
    "token_source": "provider",
    "input_tokens": 30,
    "output_tokens": 4,
}
USAGE = {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}}
BILL = {"osaurus": SUMMARY}
#: Brackets, quotes, escapes and letters of several bytes, so that a split can fall anywhere unpleasant.
SAID = 'a "quoted" {brace} [bracket] back\\slash\nline – ü 🦕 data: x'


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


WORDS = [chunk({"role": "assistant", "content": ""}), chunk({"content": SAID}), chunk({"content": "!"})]
WHOLE = [*WORDS, chunk({}, "stop"), USAGE, BILL]


def sse(payloads: Sequence[dict[str, Any]], *, done: bool = True) -> bytes:
    events = b"".join(b"data: " + json.dumps(each, ensure_ascii=False).encode() + b"\n\n" for each in payloads)
    return events + (b"data: [DONE]\n\n" if done else b"")


def read(*pieces: bytes) -> list[ev.Event]:
    decoder = RouterDecoder(CARD, KEY)
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def emptiness(data: bytes) -> Emptiness:
    decoder = RouterDecoder(CARD, KEY)
    try:
        decoder.feed(data)
        decoder.close()
    except errors.ProviderError:
        pass
    return decoder.emptiness


def test_the_summary_is_the_bill_and_never_shown() -> None:
    """It comes with the usage, before the finish; no word of it is in the answer."""
    events = read(sse(WHOLE))

    assert ev.fold(events).text == SAID + "!"
    assert events[-2:] == [
        ev.UsageReported(Usage(30, 4), Charge(1234, "req_1", "completed", "provider", 30, 4)),
        ev.Finished("stop"),
    ]


def test_the_summary_alone_is_usage_too() -> None:
    """Without a chunk of usage its counts are taken, what was cached apart."""
    cached = {"osaurus": SUMMARY | {"cached_input_tokens": 10, "cache_write_tokens": 5}}
    answer = ev.fold(read(sse([*WORDS, chunk({}, "stop"), cached])))

    assert answer.usage == Usage(15, 4, 10, 5)
    assert answer.charge is not None
    assert answer.charge.cost_micro == 1234


@pytest.mark.parametrize("id", [None, "", "  ", 7])
def test_without_a_request_id_our_key_stands_for_it(id: Any) -> None:
    """The charge can be found again in any case."""
    charge = ev.fold(read(sse([*WORDS, chunk({}, "stop"), {"osaurus": SUMMARY | {"request_id": id}}]))).charge

    assert charge is not None
    assert charge.request_id == KEY


@pytest.mark.parametrize("cost", ["much", "", None, "1.5", 1.5, True, [], "9" * 40])
def test_a_cost_that_is_no_number_is_unknown_and_not_nothing(cost: Any) -> None:
    """It is None, which is shown as `?`."""
    charge = ev.fold(read(sse([*WORDS, chunk({}, "stop"), {"osaurus": SUMMARY | {"cost_micro": cost}}]))).charge

    assert charge is not None
    assert charge.cost_micro is None


def test_an_answer_without_a_bill_is_an_answer() -> None:
    """A server that sends no summary is no fault."""
    answer = ev.fold(read(sse([*WORDS, chunk({}, "stop")])))

    assert (answer.finish_reason, answer.charge) == ("stop", None)


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("BELOW_MINIMUM_TOPUP", errors.BelowMinimumTopUp, "Minimum top-up is $5.00."),
        ("INSUFFICIENT_FUNDS", errors.InsufficientFunds, "Insufficient credits. Add balance to continue."),
        ("ACCOUNT_FROZEN", errors.AccountFrozen, "Your Osaurus billing account is on hold."),
        (
            "UNAUTHORIZED",
            errors.SignatureRejected,
            "Router authentication failed. Check your clock and identity.",
        ),
        (
            "INVALID_SIGNATURE",
            errors.SignatureRejected,
            "Router authentication failed. Check your clock and identity.",
        ),
        ("RATE_LIMITED", errors.RateLimited, "Too many router requests. Please try again in a moment."),
        ("IDEMPOTENCY_CONFLICT", errors.IdempotencyConflict, "because of this (IDEMPOTENCY_CONFLICT)"),
        ("PROVIDER_ERROR", errors.Unavailable, "because of this (PROVIDER_ERROR)"),
        ("WHATEVER", errors.BadAnswer, "because of this (WHATEVER)"),
    ],
)
def test_a_fault_in_the_stream_is_of_its_kind(code: str, kind: type[errors.OsaurusError], said: str) -> None:
    """Words that came before it are told before it, and the bill behind it is not lost."""
    decoder = RouterDecoder(CARD, KEY)
    told = decoder.feed(sse([*WORDS, {"error": {"code": code, "message": "because of this"}}, BILL]))
    with pytest.raises(kind) as caught:
        decoder.close()

    assert ev.fold(told).text == SAID + "!"
    assert (type(caught.value), str(caught.value)) == (kind, said)
    assert isinstance(caught.value, errors.ProviderError)
    assert caught.value.charge is not None


def test_nothing_is_waited_for_behind_a_fault() -> None:
    """The stream counts as done, and what comes later is no answer."""
    decoder = RouterDecoder(CARD, KEY)
    decoder.feed(sse([{"error": {"code": "PROVIDER_ERROR", "message": "no"}}, *WORDS], done=False))

    assert decoder.done
    with pytest.raises(errors.Unavailable):
        decoder.close()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (sse(WHOLE), Emptiness.NON_EMPTY),
        (b"", Emptiness.RAW_EMPTY),
        (b"\n\n: ping\n\ndata: [DONE]\n\n", Emptiness.RAW_EMPTY),
        (sse([BILL]), Emptiness.SUMMARY_ONLY),
        (sse([USAGE]), Emptiness.USAGE_ONLY),
        (sse([USAGE, BILL]), Emptiness.USAGE_ONLY),
        (sse([{"kind": "heartbeat"}]), Emptiness.UNRECOGNIZED_EVENTS),
        (sse([WORDS[0], chunk({}, "stop"), USAGE, BILL]), Emptiness.EMPTY_AFTER_EVENTS),
        (sse([WORDS[0], chunk({"content": ""}), chunk({}, "length")]), Emptiness.EMPTY_AFTER_EVENTS),
        (sse([chunk({"reasoning_content": "Hm"}), chunk({}, "length")]), Emptiness.NON_EMPTY),
    ],
)
def test_each_kind_of_nothing_has_its_name(data: bytes, kind: Emptiness) -> None:
    """Support asks first in which way an answer was empty."""
    assert emptiness(data) is kind


@pytest.mark.parametrize("payloads", [[], [BILL], [USAGE], [USAGE, BILL], [{"kind": "heartbeat"}]])
def test_no_answer_at_all_is_an_error_with_its_bill(payloads: list[dict[str, Any]]) -> None:
    """It is never taken for an empty success, and what it cost is said."""
    with pytest.raises((errors.EmptyAnswer, errors.BadAnswer)) as caught:
        read(sse(payloads))

    assert caught.value.failover
    if BILL in payloads:
        assert "You were charged $0.0012 for 34 tokens." in str(caught.value)
        assert isinstance(caught.value, errors.ProviderError)
        assert caught.value.charge is not None


def test_a_limit_that_left_room_for_no_word_is_an_error() -> None:
    """`length` without output says what to do; with a thought or a word it is a finish."""
    with pytest.raises(errors.EmptyAnswer, match="max_tokens"):
        read(sse([WORDS[0], chunk({}, "length"), USAGE, BILL]))

    assert ev.fold(read(sse([*WORDS, chunk({}, "length")]))).finish_reason == "length"


def test_an_empty_stop_is_left_to_the_one_who_tells_it() -> None:
    """It ends properly, with its usage: the notice is made where every provider's is."""
    events = read(sse([WORDS[0], chunk({}, "stop"), USAGE, BILL]))

    assert [type(event) for event in events] == [ev.Started, ev.UsageReported, ev.Finished]


@pytest.mark.parametrize(
    "data",
    [
        sse(WORDS, done=False),  # no finish
        b"<html>no</html>",
        b"data: hello\n\n",
        b"data: 17\n\n",
        b'data: ["x"]\n\n',
        b'data: {"choices": [\n\n',
        b'data: {"a": nonsense}\n\n',
    ],
)
def test_half_an_answer_is_none(data: bytes) -> None:
    """What cannot be mended is an error, at once or at the end."""
    with pytest.raises(errors.BadAnswer):
        read(data)


def test_an_object_without_end_stops_at_a_cap() -> None:
    """A server cannot fill the memory."""
    decoder = RouterDecoder(CARD, KEY)
    decoder.feed(b'data: {"choices": "' + b"x" * (10 << 20))
    with pytest.raises(errors.BadAnswer, match="without end"):
        decoder.feed(b"x" * (10 << 20))


def test_an_object_nested_too_deeply_is_no_answer() -> None:
    """It is given up where the nesting passes what a parser takes, not where the memory ends."""
    with pytest.raises(errors.BadAnswer, match="too deeply"):
        read(b"data: " + b"[" * 1000)


def test_a_line_of_many_objects_is_read_in_time() -> None:
    """A line of them costs about as much as their parsing."""
    decoder = RouterDecoder(CARD, KEY)
    began = time.perf_counter()
    decoder.feed(b"data: " + b"{}" * 100_000 + b"\n")

    assert decoder.events == 100_000
    assert time.perf_counter() - began < 5


def test_what_comes_behind_the_end_does_not_count() -> None:
    """After `[DONE]` nothing is read any more."""
    assert ev.fold(read(sse(WHOLE) + sse([chunk({"content": "more"})]))).text == SAID + "!"


@pytest.mark.parametrize(
    "data",
    [
        b"".join(json.dumps(each).encode() + b"\n" for each in WHOLE),
        b"".join(json.dumps(each).encode() for each in WHOLE),
        b"".join(json.dumps(each, indent=1).encode() + b"\r\n\r\n" for each in WHOLE) + b"[DONE]\r\n",
        b"\xef\xbb\xbf" + sse(WHOLE).replace(b"\n", b"\r"),
        sse(WHOLE).replace(b"data: {", b"event: message\nid: 1\nretry: 5\ndata:{"),
        sse(WHOLE).replace(b"\n\n", b"\n"),
        b"data: " + b"".join(json.dumps(each).encode() for each in WHOLE) + b"\n\n",
    ],
    ids=["bare-lines", "bare-joined", "bare-pretty", "bom-cr", "fields", "no-blank-lines", "many-on-one-line"],
)
def test_streams_that_are_not_quite_right_are_read(data: bytes) -> None:
    """Bare JSON, JSON over lines, other line ends and fields: the answer is the same."""
    assert read(data) == read(sse(WHOLE))


def test_a_plain_body_is_an_answer_with_its_bill() -> None:
    """Also when it is spread over lines."""
    body = {"id": "c", "model": "m", "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
    answer = ev.fold(read(json.dumps(body | BILL | {"usage": USAGE["usage"]}, indent=2).encode()))

    assert (answer.text, answer.usage) == ("hi", Usage(30, 4))
    assert answer.charge is not None


@given(st.data())
def test_any_split_of_lines_and_reads_is_mended(data: st.DataObject) -> None:
    """However objects are broken over `data:` lines or events, and bytes over reads, the answer is the same."""
    wire = bytearray()
    for payload in WHOLE:
        text = json.dumps(payload, ensure_ascii=data.draw(st.booleans())).encode()
        cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=5)))
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            gap = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", b"\n: ping\n\n"]))
            wire += b"data: " + text[start:end] + gap
        wire += b"\n"
    wire += b"data: [DONE]\n\n"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=8)))

    events = read(*(bytes(wire[start:end]) for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)))

    assert ev.fold(events) == ev.fold(read(sse(WHOLE)))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_rubbish_is_an_error_and_nothing_else(before: bytes, after: bytes) -> None:
    """Whatever comes, the decoder ends in an answer or in an error of ours."""
    decoder = RouterDecoder(CARD, KEY)
    try:
        decoder.feed(before + sse(WORDS, done=False) + after)
        decoder.close()
    except errors.OsaurusError:
        pass
    assert decoder.size > 0
