"""Frames between a worker and its clients."""

from __future__ import annotations

import random
from array import array

import pytest

from osaurus_nb.decisions import Choice, DecisionRequest, Decisions, Option, Predicate, Score, Verdict
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import ContextTooLong, OsaurusError, RateLimited, RequestError, WorkerDied
from osaurus_nb.events import Finished, Started, TextDelta, TokenLogprob, UsageReported, Warned
from osaurus_nb.local.protocol import (
    Answered,
    AskHealth,
    Cancel,
    Count,
    Decide,
    Embed,
    Farewell,
    Frame,
    FrameReader,
    Generate,
    Health,
    Hello,
    ProtocolError,
    Shutdown,
    Streamed,
    Welcome,
    encode,
    error_of,
    fault_of,
)
from osaurus_nb.messages import Message, Reasoning, Text, ToolCall, ToolResult, user
from osaurus_nb.models import TokenCount, Usage
from osaurus_nb.request import ChatRequest, NamedTool, ResponseFormat, Sampling, Tool

REQUEST = ChatRequest(
    "m",
    (
        user("grüß 🦕\n\ud800"),
        Message("assistant", (Reasoning("r", {"$": "Text", "list": [1]}), ToolCall("c", "f", '{"a": 1}'))),
        Message("tool", (ToolResult("c", (Text("22"),)),), name="f", extra={"x": {"$json": []}}),
    ),
    tools=(Tool("f", "does", {"type": "object", "required": ["a"], "$": "odd"}),),
    tool_choice=NamedTool("f"),
    response_format=ResponseFormat("json_schema", schema={"$ref": "#"}),
    sampling=Sampling(temperature=0.5, stop=("a", "b"), logit_bias={"1": -2.0}, seed=1 << 62),
    extra={"k": [1, {"$": 2}]},
)
QUESTIONS = (
    Predicate("p", "so?", "if so"),
    Choice("c", "which?", (Option("a", "an a"), Option(True))),
    Score("s", "how much?", (Option("low"), Option("high"))),
)
FRAMES: list[Frame] = [
    Hello("secret"),
    Generate(7, REQUEST),
    Count(8, REQUEST),
    Decide(10, DecisionRequest("m", (Text("s"),), QUESTIONS)),
    Embed(9, EmbeddingRequest("m", ("a", "b"), 2, {"user": "u"})),
    Cancel(7),
    AskHealth(),
    Shutdown(),
    Welcome(1, "m"),
    Streamed(7, (Started("local", "m"), TextDelta("hé", 1, 2, (TokenLogprob("h", -0.5, (("x", -1.0),)),)))),
    Streamed(7, (UsageReported(Usage(1, 2, 3)), Finished("stop", 0, "a"))),
    Answered(8, TokenCount(12)),
    Answered(10, Decisions("local", "m", (Verdict(QUESTIONS[0], (0.25, 0.75)),), Usage(3))),
    Answered(9, Embeddings("local", "m", (array("f", [0.1, -2.0]), array("f")), Usage(4), (Warned("w", "x"),))),
    fault_of(7, ContextTooLong("too long", param="messages")),
    Health(1, "m", "cpu", True, "r", 1.0, 0.0, 0, 0, 0, 5, 6),
    Farewell(),
]


def test_every_frame_survives_however_its_bytes_are_split():
    """Frames come out as they went in, wherever the stream is cut."""
    data = b"".join(encode(frame) for frame in FRAMES)
    dice = random.Random(0)

    for _ in range(200):
        cuts = sorted(dice.sample(range(1, len(data)), dice.randint(0, 40)))
        reader = FrameReader()
        found = [frame for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) for frame in reader.feed(data[a:b])]

        assert found == FRAMES


def test_single_bytes_are_enough():
    """A reader fed byte by byte finds the same frames."""
    reader = FrameReader()

    found = [frame for byte in b"".join(map(encode, FRAMES)) for frame in reader.feed(bytes([byte]))]

    assert found == FRAMES


def test_foreign_json_keeps_its_lists():
    """A schema arrives with lists where it had lists: templates and validators look at their types."""
    (frame,) = FrameReader().feed(encode(Generate(1, REQUEST)))

    assert isinstance(frame, Generate)
    assert frame.request.tools[0].parameters["required"] == ["a"]


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\x02{}",
        b'\0\0\0\x0b{"$":"Path"}'[:4] + b'{"$":"Pat"}',
        b"\0\0\0\x04null",
        b"\0\0\0\x03{[}",
        b'\0\0\0\x0c{"$":"Text"}',
    ],
)
def test_what_is_no_frame_is_refused(data: bytes):
    """Too long, not JSON, of an unknown class, or a value that is no frame: a ProtocolError, and nothing is made."""
    with pytest.raises(ProtocolError):
        FrameReader().feed(data)


def test_a_refusal_quotes_nothing():
    """The words of a broken frame stay out of the error, and out of the errors behind it."""
    body = b'{"$":"Text","text":"my secret prompt'

    with pytest.raises(ProtocolError) as caught:
        FrameReader().feed(len(body).to_bytes(4, "big") + body)

    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "error",
    [
        RequestError("r", param="messages"),
        ContextTooLong("c"),
        RateLimited("busy", provider="local", model="m", retry_after=2.0),
        WorkerDied("w", provider="local", model="m"),
    ],
)
def test_errors_cross_the_line_as_what_they_are(error: OsaurusError):
    """Class, message, field and retry time of an error are the same on the other side."""
    (fault,) = FrameReader().feed(encode(fault_of(3, error)))

    told = error_of(fault, provider="local", model="m")  # type: ignore[arg-type]

    assert type(told) is type(error)
    assert (told.message, told.param, told.retry_after) == (error.message, error.param, error.retry_after)


def test_a_greeting_hides_its_token():
    """The token of a Hello does not show in its repr."""
    assert "secret" not in repr(Hello("secret"))
