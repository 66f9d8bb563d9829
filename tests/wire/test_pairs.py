"""Every dialect towards every other: what is said in one reaches a provider of another, and back, or it is told."""

from __future__ import annotations

import json
from itertools import product

import pytest

from osaurus_nb import events as ev
from osaurus_nb import request as ask
from osaurus_nb import wire
from osaurus_nb.errors import Unsupported
from osaurus_nb.messages import Media, Message, Text, ToolCall, ToolResult, assistant, system, user
from osaurus_nb.models import ModelCard, Usage

CARD = ModelCard("m", "lab")
NAMES = sorted(wire.FORMATS)
PAIRS = list(product(NAMES, NAMES))
#: Ollama alone has no choice of tools.
CHOOSING = [name for name in NAMES if name != "ollama"]
PNG = b"\x89PNG\r\n\x1a\n"
CALL = ToolCall("call_1", "weather", '{"city": "Paris"}')
TOOL = ask.Tool("weather", "Weather of a city.", {"type": "object", "properties": {"city": {"type": "string"}}})
CONVERSATION = (
    system("Be brief."),
    user("Look at this.", Media("image", "image/png", data=PNG)),
    Message("assistant", (Text("Let me see."), CALL)),
    Message("tool", (ToolResult("call_1", (Text("sunny"),)),)),
    assistant("It is sunny."),
    user("Thanks. And tomorrow?"),
)
REQUEST = ask.ChatRequest(
    "m",
    CONVERSATION,
    tools=(TOOL,),
    tool_choice="auto",
    sampling=ask.Sampling(max_output_tokens=77, stop=("END",)),
    delivery=ask.Delivery(stream=True, include_usage=True),
)
ANSWER: list[ev.Event] = [
    ev.Started("lab", "m"),
    ev.TextDelta("Rain"),
    ev.TextDelta(", I think \u2028 ☔."),
    ev.PartEnded(0),
    ev.ToolCallStarted("call_2", "weather", 1),
    ev.ToolCallDelta('{"city"', 1),
    ev.ToolCallDelta(': "Rome"}', 1),
    ev.PartEnded(1),
    ev.UsageReported(Usage(input_tokens=5, output_tokens=4, cache_read_input_tokens=3)),
    ev.Finished("tool_calls"),
]


def through(name: str, request: ask.ChatRequest) -> tuple[ask.ChatRequest, tuple[ev.Warned, ...]]:
    """What a server of this dialect understands of what a client of it sends, and what the client warned of."""
    codec = wire.load(name)
    encoded = codec.encode_request(request, CARD)
    body = {"model": request.model, **encoded.body}  # where the address names the model, the body may too
    return codec.decode_request(json.dumps(body).encode()), encoded.warnings


def heard(name: str, events: list[ev.Event]) -> list[ev.Event]:
    """The events that a client of this dialect reads from what a server of it writes, cut into single bytes."""
    codec = wire.load(name)
    encoder = codec.event_encoder(REQUEST, id="x", created=1)
    stream = b"".join(map(encoder.encode, events)) + encoder.close()
    decoder = codec.event_decoder(CARD)
    fed = [decoder.feed(bytes([byte])) for byte in stream]
    return [event for piece in [*fed, decoder.close()] for event in piece]


def said(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    """Who said what: texts, calls, results and images in order, however a dialect groups them into turns."""
    flat: list[tuple[str, str]] = []
    for message in messages:
        role = "system" if message.role == "developer" else message.role
        for part in message.parts:
            match part:
                case Text(text=text):
                    flat.append((role, text))
                case ToolCall(name=name, arguments=arguments):
                    flat.append(("call", f"{name} {json.loads(arguments)}"))
                case ToolResult() as result:
                    flat.append(("result", f"{result.call_id} {result.text}"))
                case Media(data=data):
                    flat.append((role, repr(data)))
                case _:
                    raise AssertionError(part)
    return flat


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
def test_a_conversation_reaches_every_provider_whole(caller: str, provider: str) -> None:
    """System prompt, image, tool call and result, answers: all there behind two dialects."""
    spoken, _ = through(caller, REQUEST)

    arrived, _ = through(provider, spoken)

    assert said(arrived.messages) == said(CONVERSATION)
    assert arrived.tools[0].name == TOOL.name
    assert arrived.tools[0].parameters["properties"] == TOOL.parameters["properties"]


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
def test_a_knob_is_carried_or_told(caller: str, provider: str) -> None:
    """The token limit arrives, and stop sequences too; where a dialect has none, its client cuts the answer."""
    spoken, _ = through(caller, REQUEST)

    arrived, _ = through(provider, spoken)

    asked = ((caller, REQUEST), (provider, spoken))
    assert arrived.sampling.max_output_tokens == 77
    assert ("END",) in (
        arrived.sampling.stop,
        *(wire.load(name).encode_request(said, CARD).cut for name, said in asked),
    )


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
def test_an_answer_comes_back_whole(caller: str, provider: str) -> None:
    """Text, tool call, usage and finish survive two dialects and any cut of the bytes."""
    events = heard(caller, heard(provider, ANSWER))

    answer = ev.fold(events)
    assert answer.text == ev.fold(ANSWER).text
    assert [(call.name, json.loads(call.arguments)) for call in answer.choices[0].message.tool_calls] == [
        ("weather", {"city": "Rome"})
    ]
    assert answer.finish_reason == "tool_calls"
    assert answer.usage is not None
    assert (answer.usage.total_input, answer.usage.total_output) == (8, 4)


@pytest.mark.parametrize(("caller", "provider"), list(product(CHOOSING, CHOOSING)))
def test_a_choice_of_tools_is_kept(caller: str, provider: str) -> None:
    """Forcing a tool, one or any, means the same in every dialect that knows a choice."""
    for choice in ("required", "none", ask.NamedTool("weather")):
        spoken, _ = through(caller, ask.ChatRequest("m", (user("hi"),), tools=(TOOL,), tool_choice=choice))

        arrived, _ = through(provider, spoken)

        assert arrived.tool_choice == choice


@pytest.mark.parametrize("caller", CHOOSING)
def test_a_choice_that_a_provider_does_not_know_is_refused_or_meant(caller: str) -> None:
    """Nobody can make an Ollama model call a tool, so that is an error; where none may be called, none is offered."""
    for choice in ("required", ask.NamedTool("weather")):
        spoken, _ = through(caller, ask.ChatRequest("m", (user("hi"),), tools=(TOOL,), tool_choice=choice))
        with pytest.raises(Unsupported, match="tool"):
            through("ollama", spoken)
    spoken, _ = through(caller, ask.ChatRequest("m", (user("hi"),), tools=(TOOL,), tool_choice="none"))

    arrived, warnings = through("ollama", spoken)

    assert arrived.tools == ()
    assert not any(warning.param == "tool_choice" for warning in warnings)
