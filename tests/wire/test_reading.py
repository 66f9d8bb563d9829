"""What all decoders of answers do alike: keep what came before a fault, join words, hand bytes on."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer, RateLimited
from osaurus_nb.models import ModelCard
from osaurus_nb.request import ChatRequest, Delivery, Sent
from osaurus_nb.wire import openai_chat as chat
from osaurus_nb.wire._reading import Relay

CARD = ModelCard("m", "lab")


def frame(**payload: object) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def words(*texts: str) -> bytes:
    return b"".join(frame(id="1", choices=[{"index": 0, "delta": {"content": text}}]) for text in texts)


def test_what_came_before_a_fault_is_told_before_the_fault() -> None:
    """Words and an error in one read: the words are events, and the error is raised at the end."""
    decoder = chat.event_decoder(CARD)

    events = decoder.feed(words("half an ") + words("answer") + frame(error={"code": "rate_limit", "message": "slow"}))

    assert events[-1] == ev.TextDelta("half an answer")
    assert decoder.done
    with pytest.raises(RateLimited):
        decoder.close()


def test_words_before_broken_json_are_kept_too() -> None:
    """A frame that is no JSON does not take the one before it along."""
    decoder = chat.event_decoder(CARD)

    events = decoder.feed(words("kept") + b"data: {broken\n\n")

    assert events[-1] == ev.TextDelta("kept")
    with pytest.raises(BadAnswer, match="not JSON"):
        decoder.close()


def test_bytes_go_along_instead_of_the_words_that_they_say() -> None:
    """With a relay each read gives its frames in one piece, and all events but the deltas."""
    plain, relaying = chat.event_decoder(CARD), chat.event_decoder(CARD, Relay(lambda frame: frame.content + b"\n"))
    data = words("a", "b")

    events = relaying.feed(data)

    text = data.replace(b"data: ", b"").replace(b"\n\n", b"\n")
    started, relayed = events
    assert (relayed.data, relayed.frames, relayed.token, relayed.visible) == (text, 2, True, True)
    assert [started] == [event for event in plain.feed(data) if not isinstance(event, ev.TextDelta)]


def chunk(text: str, **more: object) -> bytes:
    row = {"index": 0, "delta": {"content": text}, "finish_reason": None, **more}
    return b"data: " + json.dumps({"id": "1", "choices": [row]}, ensure_ascii=False).encode() + b"\n\n"


@given(st.lists(st.text(max_size=12), min_size=1, max_size=8), st.data())
def test_words_that_are_not_parsed_are_the_same_words(texts: list[str], data: st.DataObject) -> None:
    """Whatever the words are, and however the bytes split, what is handed on is what came, event by event."""
    card = ModelCard("m", "lab")
    carried = chat.relay(Sent("openai", {}, lambda: None), ChatRequest("m", (), delivery=Delivery(True)), card)
    stream = b"".join(map(chunk, texts)) + chunk("", finish_reason="stop") + b"data: [DONE]\n\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))

    events = [
        event
        for start, end in itertools.pairwise([0, *cuts, len(stream)])
        for event in carried.decoder.feed(stream[start:end])
    ]
    events += carried.decoder.close()

    relayed = b"".join(event.data for event in events if isinstance(event, ev.Relayed))
    plain = chat.event_decoder(card)
    assert ev.fold([*plain.feed(relayed), *plain.feed(b"data: [DONE]\n\n"), *plain.close()]).text == "".join(texts)
    assert [event for event in events if isinstance(event, ev.Finished)] == [ev.Finished("stop")]
    assert not any(split in relayed for split in ("\u2028".encode(), "\x85".encode(), b"\r"))
