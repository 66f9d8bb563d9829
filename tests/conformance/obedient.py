"""A model that does what it is asked, by rules that a reader can check. It knows no test and no dialect.

It follows instructions of a few kinds (`_RULES`), calls the tool that it must call or is told to call, tells what a
tool answered, fills a schema, thinks when an effort is asked for, and keeps the limits of the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any

from osaurus_nb.events import (
    Event,
    Finished,
    PartEnded,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from osaurus_nb.messages import Media, Message, ToolResult
from osaurus_nb.models import Capabilities, ModelCard, Usage
from osaurus_nb.ports import Attempt
from osaurus_nb.request import ChatRequest, NamedTool, Tool

THOUGHTS = "Let me see what is asked."
CAN = Capabilities(tools=True, vision=True, json_schema=True, reasoning=True)


class ObedientAdapter:
    """Serves obedient models under these names. `requests` records what was asked."""

    def __init__(self, *models: str, provider: str = "obedient") -> None:
        self.provider = provider
        self.requests: list[ChatRequest] = []
        self._models = models

    async def models(self) -> Sequence[ModelCard]:
        return [ModelCard(model, self.provider, capabilities=CAN) for model in self._models]

    async def stream(self, request: ChatRequest, card: ModelCard, attempt: Attempt) -> AsyncGenerator[Event, None]:
        self.requests.append(request)
        yield Started(self.provider, card.id)
        for event in obey(request):
            yield event

    async def aclose(self) -> None:
        """Nothing to close."""


def obey(request: ChatRequest) -> Iterator[Event]:
    """The events of one answer, after `Started`."""
    thoughts = THOUGHTS if request.reasoning_effort not in (None, "none") else ""
    if thoughts:
        yield from (ReasoningDelta(word) for word in _words(thoughts))
        yield PartEnded()
    call = _wanted_call(request)
    said = json.dumps(call[1]) if call else _answer(request)
    if call:
        yield ToolCallStarted(f"call_{len(request.messages)}", call[0].name, 1)
        yield from (ToolCallDelta(word, 1) for word in _words(said))
        finish = Finished("tool_calls")
    else:
        words, finish = _within(request, _words(said))
        yield from (TextDelta(word, 1) for word in words)
        said = "".join(words)
    yield PartEnded(1)
    yield UsageReported(_usage(request, said, thoughts))
    yield finish


def _wanted_call(request: ChatRequest) -> tuple[Tool, Mapping[str, Any]] | None:
    """The tool that must be called, or that the user tells to `call NAME {arguments}`; never twice in a row."""
    if request.tool_choice == "none" or not request.tools or request.messages[-1].role == "tool":
        return None
    told = _told(request)
    if isinstance(request.tool_choice, NamedTool):
        tool = next(tool for tool in request.tools if tool.name == request.tool_choice.name)
        return tool, told[1] if told and told[0] == tool else _example(tool.parameters)
    if told is None and request.tool_choice == "required":
        return request.tools[0], _example(request.tools[0].parameters)
    return told


def _told(request: ChatRequest) -> tuple[Tool, Mapping[str, Any]] | None:
    question = _question(request)
    for tool in request.tools:
        if found := re.search(rf"\bcall {re.escape(tool.name)}\s*(?=\{{)", question, re.IGNORECASE):
            arguments, _ = json.JSONDecoder().raw_decode(question, found.end())
            return tool, arguments
    return None


def _answer(request: ChatRequest) -> str:
    """What is said: the tools' answers if they just came, an example of the schema, or what a rule says."""
    last = request.messages[-1]
    if results := [part.text for part in last.parts if isinstance(part, ToolResult)]:
        return f"The tool answered: {' '.join(results)}"
    shape = request.response_format
    if shape is not None and shape.kind != "text":
        return json.dumps(_example(shape.schema or {"type": "object"}))
    question, history = _question(request), request.messages
    for pattern, rule in _RULES:
        if found := re.search(pattern, question, re.IGNORECASE):
            return _as_short_as_told(rule(found, history), history)
    return _as_short_as_told(f"You said: {question}", history)


def _as_short_as_told(answer: str, history: Sequence[Message]) -> str:
    rules = " ".join(message.text for message in history if message.role in ("system", "developer"))
    return answer.split(maxsplit=1)[0] if "exactly one word" in rules else answer


def _greet(found: re.Match[str], history: Sequence[Message]) -> str:
    return " ".join(["Hello", "to", "you", *["again"] * 10][: int(found[1])])


def _count(found: re.Match[str], history: Sequence[Message]) -> str:
    return " ".join(str(number) for number in range(int(found[1]), int(found[2]) + 1))


def _multiply(found: re.Match[str], history: Sequence[Message]) -> str:
    return str(int(found[1]) * int(found[2]))


def _recall_name(found: re.Match[str], history: Sequence[Message]) -> str:
    names = [told[1] for message in history if (told := re.search(r"My name is (\w+)", message.text))]
    return names[-1] if names else "You did not tell."


def _repeat_number(found: re.Match[str], history: Sequence[Message]) -> str:
    before = " ".join(message.text for message in history if message.role == "assistant")
    numbers = re.findall(r"\b(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten)\b", before)
    return numbers[-1] if numbers else "There was none."


def _describe(found: re.Match[str], history: Sequence[Message]) -> str:
    seen = [part for part in history[-1].parts if isinstance(part, Media)]
    return " and ".join(f"{part.media_type}, {len(part.data or b'')} bytes" for part in seen) or "There is no image."


_RULES: Sequence[tuple[str, Callable[[re.Match[str], Sequence[Message]], str]]] = [
    (r"repeat what is between <<< and >>>: <<<\n(?s:(.+?))\n>>>", lambda found, history: found[1]),
    (r"say hello in exactly (\d+) words", _greet),
    (r"say (?:hello|one word)", lambda found, history: "Hello."),
    (r"count from (\d+) to (\d+)", _count),
    (r"what is (\d+) \* (\d+)", _multiply),
    (r"what is my name", _recall_name),
    (r"repeat only the number", _repeat_number),
    (r"describe this image", _describe),
]


def _question(request: ChatRequest) -> str:
    """What the user said last. Tools write notes of their own into that turn, so it may be long."""
    return next((message.text for message in reversed(request.messages) if message.role == "user"), "")


def _example(schema: Mapping[str, Any]) -> Any:
    """The smallest value that fits a JSON schema of the plain kinds."""
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type", "object")
    match kind if isinstance(kind, str) else kind[0]:
        case "object":
            properties = schema.get("properties") or {}
            return {name: _example(properties.get(name, {})) for name in schema.get("required") or properties}
        case "array":
            return [_example(schema.get("items") or {})] if schema.get("minItems") else []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "something"


def _within(request: ChatRequest, words: Sequence[str]) -> tuple[Sequence[str], Finished]:
    """The words up to the limit and up to the first stop sequence, with the reason for the end."""
    limit = request.sampling.max_output_tokens
    kept, text = list(words[:limit]), "".join(words[:limit])
    places = sorted((text.index(stop), stop) for stop in request.sampling.stop if stop in text)
    if places:
        return _words(text[: places[0][0]]), Finished("stop", stop_sequence=places[0][1])
    return kept, Finished("length" if len(kept) < len(words) else "stop")


def _words(text: str) -> list[str]:
    """The pieces in which it is streamed, which are also what it counts as tokens."""
    return re.findall(r"\S+\s*|\s+", text)


def _usage(request: ChatRequest, said: str, thoughts: str) -> Usage:
    asked = sum(len(_words(message.text)) for message in request.messages)
    return Usage(input_tokens=asked, output_tokens=len(_words(said)), reasoning_output_tokens=len(_words(thoughts)))
