"""The files under `golden`: each is read, and what was read is written again as it was, up to what is listed here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb import events as ev
from osaurus_nb import request as ask
from osaurus_nb.errors import (
    BadAnswer,
    NotOffered,
    ProviderError,
    RateLimited,
    Refused,
    Unavailable,
)
from osaurus_nb.messages import Message, Part, Reasoning, Text
from osaurus_nb.models import Capabilities, ModelCard, Usage
from osaurus_nb.providers.faults import status_error
from osaurus_nb.wire import _errors

GOLDEN = Path(__file__).parent / "golden"
CARD = ModelCard("m", "lab")
#: The vendors report 210 tokens in and 74 out, of which these; one of them writes no cache, one tells no classes.
USAGE = Usage(50, 50, cache_read_input_tokens=128, cache_creation_input_tokens=32, reasoning_output_tokens=24)
MOSS = ModelCard("moss-embed-1", "lab")
OPENAI_CARDS = [
    ModelCard("fern-2-0101", "lab", context_length=65536, created=1767225600),
    replace(MOSS, created=1735689600),
]
#: Longer streams are cut at every seventh byte only.
LONG = 4096


@dataclass(frozen=True)
class Dialect:
    """One folder of files: what is to be heard in its answer, its errors and its list."""

    name: str
    usage: Usage
    error: tuple[int, type[Exception], type[ProviderError]]
    cards: list[ModelCard]
    model: str
    stream: str = "stream.sse"
    #: What its reader is told besides the body, as the address and the headers say it.
    told: Mapping[str, Any] = field(default_factory=dict)
    noticed: tuple[str, ...] = ()
    #: What an error inside a stream is read as, where there is such a file.
    late: tuple[str, type[ProviderError]] | None = None

    @property
    def codec(self) -> Any:
        return import_module(f"osaurus_nb.wire.{self.name}")


DIALECTS = [
    Dialect("openai_chat", USAGE, (429, RateLimited, RateLimited), OPENAI_CARDS, "fern-2-0101"),
    Dialect(
        "openai_responses",
        USAGE,
        (400, Refused, Refused),
        OPENAI_CARDS,
        "fern-3-think-0101",
        noticed=("foreign_compaction",),
        late=("error.sse", RateLimited),
    ),
    Dialect(
        "anthropic_messages",
        USAGE,
        (529, Unavailable, Unavailable),
        [
            ModelCard(
                "heather-5-0101",
                "lab",
                context_length=200_000,
                max_output_tokens=64_000,
                capabilities=Capabilities(vision=True, documents=True, json_schema=True, reasoning=True),
                created=1767225600,
            )
        ],
        "heather-5-0101",
        told={"version": "2023-06-01"},
        late=("error.sse", Unavailable),
    ),
    Dialect(
        "google_generate",
        replace(USAGE, input_tokens=82, cache_creation_input_tokens=0),
        (503, Unavailable, Unavailable),
        [
            ModelCard(
                "ivy-3-0101",
                "lab",
                context_length=1_048_576,
                max_output_tokens=65_536,
                capabilities=Capabilities(reasoning=True, embeddings=False),
            ),
            replace(MOSS, context_length=2048, max_output_tokens=1, capabilities=Capabilities(embeddings=True)),
        ],
        "ivy-3-0101",
        told={"model": "ivy-3", "stream": True},
        late=("error.sse", Unavailable),
    ),
    Dialect(
        "ollama_chat",
        Usage(210, 74),
        (404, NotOffered, BadAnswer),  # a bare sentence: without the status it says nothing of its kind
        [
            ModelCard(
                "bracken:8b",
                "lab",
                capabilities=Capabilities(tools=True, vision=False, reasoning=True, embeddings=False),
                size_bytes=4_900_000_000,
                created=1767225600,
            ),
            ModelCard(
                "moss-embed:latest",
                "lab",
                capabilities=Capabilities(tools=False, vision=False, reasoning=False, embeddings=True),
                size_bytes=274_000_000,
                created=1748736000,
            ),
        ],
        "bracken:8b",
        stream="stream.ndjson",
        late=("error.ndjson", BadAnswer),
    ),
]
EACH = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
FILES = sorted(path for path in GOLDEN.rglob("*") if path.suffix in (".json", ".sse", ".ndjson"))


def content(*where: str) -> bytes:
    """The bytes of a file without the comment at its head."""
    body = GOLDEN.joinpath(*where).read_bytes()
    while body.startswith(b"#"):
        body = body.partition(b"\n")[2]
    return body


def one_line(*where: str) -> bytes:
    """A JSON file as its vendor sends it."""
    return json.dumps(json.loads(content(*where)), ensure_ascii=False).encode()


def asked(dialect: Dialect, body: bytes | None = None) -> ask.ChatRequest:
    return dialect.codec.decode_request(body or content(dialect.name, "request.json"), **dialect.told)


def normal(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """A request as we write it: everything that may differ from what the caller wrote.

    Chat Completions: the limit goes by its older name, which all servers know, unless the model is a reasoner.
    Responses: what the assistant said and called goes back without ids and status of items, as nothing is stored.
    """
    if name == "openai_chat":
        return {{"max_completion_tokens": "max_tokens"}.get(key, key): value for key, value in body.items()}
    if name == "openai_responses":
        return body | {"input": [_unstored(item) for item in body["input"]]}
    return body


def _unstored(item: dict[str, Any]) -> dict[str, Any]:
    """Thoughts and compactions keep their ids: they belong to what is encrypted in them."""
    if item["type"] not in ("message", "function_call"):
        return item
    return {key: value for key, value in item.items() if key not in ("id", "status")}


def heard(dialect: Dialect, *pieces: bytes) -> list[ev.Event]:
    decoder = dialect.codec.event_decoder(CARD)
    fed = [decoder.feed(piece) for piece in pieces]
    return [event for events in (*fed, decoder.close()) for event in events]


def until_fault(dialect: Dialect, *pieces: bytes) -> tuple[list[ev.Event], ProviderError | None]:
    decoder, events = dialect.codec.event_decoder(CARD), list[ev.Event]()
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.close()
    except ProviderError as fault:
        return events, fault
    return events, None


def comparable(answer: ev.Answer) -> ev.Answer:
    """An answer without its id, which our server makes anew, and with a signature where it belongs.

    Gemini: a stream learns the signature of its words behind them, so that it stands on an empty text there.
    """
    choices = tuple(replace(choice, message=_signed(choice.message)) for choice in answer.choices)
    return replace(answer, id=None, choices=choices)


def _signed(message: Message) -> Message:
    parts: list[Part] = []
    for part in message.parts:
        behind = isinstance(part, Text) and not part.text and parts and isinstance(parts[-1], Text)
        parts.append(replace(parts.pop(), provider_metadata=part.provider_metadata) if behind else part)
    return replace(message, parts=tuple(parts))


def cuts(stream: bytes) -> range:
    return range(0, len(stream) + 1, 1 if len(stream) <= LONG else 7)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_says_what_it_shows_and_whom_it_follows(path: Path) -> None:
    """Nobody has to guess why a file is there, or with what to compare it."""
    written = path.read_bytes()

    comment = written.removesuffix(content(path.parent.name, path.name)).decode()

    assert comment.startswith("# ")
    assert any(word in comment for word in ("Follows", "as google.genai", "as ollama"))


@EACH
def test_a_request_is_written_as_it_was_read(dialect: Dialect) -> None:
    """What a caller of the dialect says reaches a provider of it word for word, with nothing lost and nothing told."""
    request = asked(dialect)

    encoded = dialect.codec.encode_request(request, ModelCard(request.model, "lab"))

    assert encoded.body == normal(dialect.name, json.loads(content(dialect.name, "request.json")))
    assert encoded.warnings == ()
    assert tuple(warning.code for warning in request.warnings) == dialect.noticed
    assert asked(dialect, json.dumps(encoded.body).encode()) == request


@EACH
def test_an_answer_is_read(dialect: Dialect) -> None:
    """Thinking, words, calls in parallel, usage in disjoint classes, and the end."""
    answer = ev.fold(heard(dialect, one_line(dialect.name, "answer.json")))

    message = answer.choices[0].message
    assert (answer.model, answer.finish_reason, answer.usage) == (dialect.model, "tool_calls", dialect.usage)
    assert answer.text == "Watering east – 2 litres."
    thoughts = [part.text.replace("\n\n", " ") for part in message.parts if isinstance(part, Reasoning)]
    assert "".join(thoughts) == "East is at 0.12. That is dry; west may wait."
    assert [(call.name, call.arguments) for call in message.tool_calls] == [
        ("water", '{"bed": "east", "litres": 2.0}'),
        ("moisture", '{"bed": "west ❄"}'),
    ]
    assert len({call.id for call in message.tool_calls}) == 2
    assert answer.warnings == ()


@EACH
def test_a_stream_says_what_the_whole_answer_says(dialect: Dialect) -> None:
    """The folded stream and the answer in one piece are the same, with opaque state and log probabilities."""
    whole = ev.fold(heard(dialect, one_line(dialect.name, "answer.json")))

    streamed = ev.fold(heard(dialect, content(dialect.name, dialect.stream)))

    assert streamed == whole


def test_an_array_says_what_the_stream_says() -> None:
    """Gemini without `alt=sse` sends its chunks as one array, which may be cut anywhere too."""
    gemini = next(each for each in DIALECTS if each.name == "google_generate")
    array = content("google_generate", "stream_array.json")
    streamed = ev.fold(heard(gemini, content("google_generate", "stream.sse")))

    for at in cuts(array):
        assert ev.fold(heard(gemini, array[:at], array[at:])) == streamed, at


@EACH
def test_an_answer_is_written_as_it_was_read(dialect: Dialect) -> None:
    """Read, written in one piece or as a stream, and read again, it is the same answer."""
    events = heard(dialect, content(dialect.name, dialect.stream))
    answer = ev.fold(events)
    request = replace(asked(dialect), model=answer.model)

    body = dialect.codec.event_encoder(request, id="x", created=1).body(answer)
    encoder = dialect.codec.event_encoder(request, id="x", created=1)
    stream = b"".join(map(encoder.encode, events)) + encoder.close()

    assert comparable(ev.fold(heard(dialect, json.dumps(body).encode()))) == comparable(answer)
    assert comparable(ev.fold(heard(dialect, stream))) == comparable(answer)


@EACH
def test_a_stream_may_be_cut_anywhere(dialect: Dialect) -> None:
    """In two at any byte, or into single bytes, a stream reads the same."""
    stream = content(dialect.name, dialect.stream)
    whole = ev.fold(heard(dialect, stream))

    for at in cuts(stream):
        assert ev.fold(heard(dialect, stream[:at], stream[at:])) == whole, at
    assert ev.fold(heard(dialect, *(bytes([byte]) for byte in stream))) == whole


@EACH
def test_a_relayed_stream_says_the_same(dialect: Dialect) -> None:
    """For a caller of the same dialect: the question goes as it came, and however the answer is cut, its bytes do."""
    body, stream = content(dialect.name, "request.json"), content(dialect.name, dialect.stream)
    model = dialect.told.get("model")
    head, sent = dialect.codec.read_head(body, **({"model": model, "stream": True} if model else {}))
    words = ask.Sent(dialect.name, sent, lambda: asked(dialect))
    whole = ev.fold(heard(dialect, stream))

    for at in cuts(stream):
        carried = dialect.codec.relay(words, head, ModelCard(head.model, "lab"))
        events = [event for piece in (stream[:at], stream[at:]) for event in carried.decoder.feed(piece)]
        events += carried.decoder.close()
        relayed = b"".join(event.data for event in events if isinstance(event, ev.Relayed))
        assert ev.fold(heard(dialect, relayed)) == whole, at
        assert (ev.fold(events).usage, ev.fold(events).finish_reason) == (whole.usage, whole.finish_reason)
    assert carried.encoded.body == json.loads(body)


@EACH
def test_a_stream_that_breaks_off_is_no_answer(dialect: Dialect) -> None:
    """Before the vendor's sign of the end every cut is an error, and none makes a call that was never whole."""
    stream = content(dialect.name, dialect.stream)
    whole = ev.fold(heard(dialect, stream)).choices[0].message.tool_calls

    for at in range(0, len(stream), 7):
        try:
            answer = ev.fold(heard(dialect, stream[:at]))
        except BadAnswer:
            continue
        assert answer.choices[0].message.tool_calls == whole, at


@EACH
def test_an_error_is_of_our_class(dialect: Dialect) -> None:
    """With its HTTP status, and where it comes under a 200, it means what the vendor means."""
    status, by_status, in_band = dialect.error
    body = content(dialect.name, "error.json")

    error = status_error(status, {}, body, provider="lab", model="m")
    inside = _errors.in_band(json.loads(body), provider="lab", model="m")

    assert type(error) is by_status
    assert type(inside) is in_band
    with pytest.raises(in_band):
        heard(dialect, one_line(dialect.name, "error.json"))


@pytest.mark.parametrize("dialect", [each for each in DIALECTS if each.late], ids=lambda dialect: dialect.name)
def test_a_late_error_is_told_behind_what_came_before(dialect: Dialect) -> None:
    """However the bytes are cut, the beginning is heard and then the error is raised."""
    assert dialect.late is not None
    name, error = dialect.late
    stream = content(dialect.name, name)

    for at in range(len(stream) + 1):
        events, fault = until_fault(dialect, stream[:at], stream[at:])
        assert type(fault) is error, at
        assert isinstance(events[0], ev.Started), at


@EACH
def test_a_list_is_read_as_cards(dialect: Dialect) -> None:
    """What the vendor tells of its models, and nothing that it does not."""
    cards = dialect.codec.decode_models(json.loads(content(dialect.name, "models.json")), "lab")

    assert list(cards) == dialect.cards
