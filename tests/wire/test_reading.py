"""What all decoders of answers do alike: keep what came before a fault, join words, hand bytes on."""

from __future__ import annotations

import json

import pytest

from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer, RateLimited
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import openai_chat as chat

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
    plain, relaying = chat.event_decoder(CARD), chat.event_decoder(CARD, lambda frame: frame.content + b"\n")
    data = words("a", "b")

    events = relaying.feed(data)

    text = data.replace(b"data: ", b"").replace(b"\n\n", b"\n")
    started, relayed = events
    assert (relayed.data, relayed.frames, relayed.token, relayed.visible) == (text, 2, True, True)
    assert [started] == [event for event in plain.feed(data) if not isinstance(event, ev.TextDelta)]
