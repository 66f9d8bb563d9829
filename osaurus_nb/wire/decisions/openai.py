"""OpenAI's decisions: an array of questions, answers in the same order. Pure.

As a server we also take what the vendor's own service has no words for: descriptions of a predicate's two sides,
documents, audio and video.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, assert_never

from pydantic import Discriminator, Field, Tag

from osaurus_nb.decisions import Choice, DecisionRequest, Decisions, Option, Predicate, Question, Score, Verdict
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import Media, Message, Text, ToolCall, ToolResult
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire._inbound import Open, by_type, validate
from osaurus_nb.wire._opaque import AS_SENT, keep, own
from osaurus_nb.wire.decisions import _shared as shared
from osaurus_nb.wire.openai_responses._sent import input_items
from osaurus_nb.wire.openai_responses.items import items_to_messages
from osaurus_nb.wire.openai_responses.usage import read_usage, write_usage

NAME = "openai_decisions"
_KNOBS = ("prompt_cache_key", "prompt_cache_options", "safety_identifier")


class TextPart(shared.Closed):
    type: Literal["input_text"]
    text: str


class JsonPart(shared.Closed):
    type: Literal["input_json"]
    data: dict[str, Any] | list[Any]


class ImagePart(Open):
    type: Literal["input_image"]


InstructionPart = Annotated[
    Annotated[TextPart, Tag("$input_text")]
    | Annotated[JsonPart, Tag("$input_json")]
    | Annotated[ImagePart, Tag("$input_image")],
    by_type("a part of type input_text, input_json or input_image"),
]


def _text_or_list(value: Any) -> str | None:
    return "$text" if isinstance(value, str) else "$list" if isinstance(value, list) else None


_TEXT_OR_LIST = Discriminator(
    _text_or_list, custom_error_type="content_type", custom_error_message="must be a string or an array"
)
Instructions = Annotated[
    Annotated[str, Tag("$text")] | Annotated[list[InstructionPart], Tag("$list")],
    _TEXT_OR_LIST,
]


def _value_tag(value: Any) -> str | None:
    return "$bool" if isinstance(value, bool) else "$text" if isinstance(value, str) else None


Value = Annotated[
    Annotated[str, Tag("$text")] | Annotated[bool, Tag("$bool")],
    Discriminator(_value_tag, custom_error_type="value_type", custom_error_message="must be a string or a boolean"),
]


class PredicateBody(shared.Closed):
    type: Literal["predicate"]
    name: str | None = None
    instructions: Instructions
    # Our own: the vendor has no place for them.
    true_description: str | None = None
    false_description: str | None = None


class ChoiceValue(shared.Closed):
    value: Value
    description: str | None = None


class ChoiceBody(shared.Closed):
    type: Literal["choice"]
    name: str | None = None
    instructions: Instructions
    choices: Annotated[list[ChoiceValue], shared.FEW_OPTIONS]


class LevelBody(shared.Closed):
    label: str
    description: str | None = None


class ScoreBody(shared.Closed):
    type: Literal["score"]
    name: str | None = None
    instructions: Instructions
    levels: Annotated[list[LevelBody], shared.FEW_OPTIONS]


QuestionBody = Annotated[
    Annotated[PredicateBody, Tag("$predicate")]
    | Annotated[ChoiceBody, Tag("$choice")]
    | Annotated[ScoreBody, Tag("$score")],
    by_type("a question of type predicate, choice or score"),
]


class DecisionBody(Open):
    model: str = Field(min_length=1)
    input: Annotated[
        Annotated[str, Tag("$text")] | Annotated[list[dict[str, Any]], Tag("$list")],
        _TEXT_OR_LIST,
    ]
    questions: Annotated[list[QuestionBody], shared.FEW_QUESTIONS]
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    safety_identifier: str | None = None
    stream: bool | None = None


def decode_request(body: bytes) -> DecisionRequest:
    """Read a request body. Raises RequestError that names the field at fault, never its value."""
    parsed = validate(DecisionBody, body)
    shared.not_streamed(parsed.stream)
    questions = tuple(_question(question, f"questions[{at}]") for at, question in enumerate(parsed.questions))
    _check_names(questions)
    knobs = {name: getattr(parsed, name) for name in _KNOBS}
    knobs["prompt_cache_breakpoint"] = _has_breakpoint(parsed.input) or None
    as_sent = {"input": parsed.input} if isinstance(parsed.input, list) else None
    return DecisionRequest(
        model=parsed.model,
        subject=_subject(parsed.input),
        questions=questions,
        extra=parsed.unknown(),
        provider_metadata=keep(NAME, {**knobs, AS_SENT: as_sent}),
    )


def _check_names(questions: Sequence[Question]) -> None:
    named = [(question.name, "") if question.name else ("", at) for at, question in enumerate(questions)]
    shared.unique(named, "questions[{}].name", "name")


def _question(body: PredicateBody | ChoiceBody | ScoreBody, where: str) -> Question:
    asked = body.name or "", _instructions(body.instructions, f"{where}.instructions")
    match body:
        case PredicateBody():
            return Predicate(*asked, body.true_description, body.false_description)
        case ChoiceBody(choices=choices):
            shared.unique((choice.value for choice in choices), where + ".choices[{}].value", "value")
            return Choice(*asked, tuple(Option(choice.value, choice.description) for choice in choices))
        case ScoreBody(levels=levels):
            shared.unique((level.label for level in levels), where + ".levels[{}].label", "label")
            return Score(*asked, tuple(Option(level.label, level.description) for level in levels))
        case _:
            assert_never(body)


def _instructions(given: str | list[TextPart | JsonPart | ImagePart], field: str) -> str:
    if isinstance(given, str):
        return shared.told(given, field)
    texts = [_instruction(part, f"{field}[{at}].type") for at, part in enumerate(given)]
    return shared.told("\n".join(texts), field)


def _instruction(part: TextPart | JsonPart | ImagePart, field: str) -> str:
    match part:
        case TextPart(text=text):
            return text
        case JsonPart(data=data):
            return shared.as_text(data)
        case ImagePart():
            raise Unsupported(f"'{field}': pictures belong into 'input' here, not into instructions.", param=field)
        case _:
            assert_never(part)


# The input: items of a conversation become one subject.

_SPOKEN = ("message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output")


def _subject(given: str | list[dict[str, Any]]) -> tuple[Text | Media, ...]:
    if isinstance(given, str):
        return (Text(given),)
    messages = items_to_messages(_item(item, f"input[{at}]") for at, item in enumerate(given))
    _check_calls(messages)
    if len(messages) == 1 and messages[0].role == "user":
        return tuple(part for part in messages[0].parts if isinstance(part, Text | Media))
    return tuple(part for message in messages for part in _transcript(message))


def _item(item: dict[str, Any], where: str) -> dict[str, Any]:
    """An item as Responses knows it: JSON becomes text, and a custom tool a function."""
    kind = item.get("type", "message")
    if kind not in _SPOKEN:
        raise RequestError(f"'{where}.type' must be one of {', '.join(_SPOKEN)}.", param=f"{where}.type")
    if kind == "custom_tool_call":
        return {**item, "type": "function_call", "arguments": item.get("input")}
    if kind == "custom_tool_call_output":
        return {**item, "type": "function_call_output"}
    content = item.get("content")
    if kind != "message" or not isinstance(content, list):
        return item
    return {**item, "content": [_part(part, f"{where}.content[{at}]") for at, part in enumerate(content)]}


def _part(part: Any, where: str) -> Any:
    if not isinstance(part, dict) or part.get("type") != "input_json":
        return part
    if not isinstance(part.get("data"), dict | list):
        raise RequestError(f"'{where}.data' must be a JSON object or array.", param=f"{where}.data")
    return {"type": "input_text", "text": shared.as_text(part["data"])}


def _has_breakpoint(given: str | list[dict[str, Any]]) -> bool:
    """A hint for the vendor's cache, which only the input as it came still holds."""
    contents = [item.get("content") for item in given] if isinstance(given, list) else []
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return any(isinstance(part, dict) and part.get("prompt_cache_breakpoint") for part in parts)


def _check_calls(messages: Sequence[Message]) -> None:
    made = {call.id for message in messages for call in message.tool_calls}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolResult) and part.call_id not in made:
                raise RequestError("'input': an output names a 'call_id' that no call has.", param="input")


def _transcript(message: Message) -> Iterator[Text | Media]:
    for part in message.parts:
        match part:
            case Text(text=text):
                yield Text(f"{message.role}: {text}\n")
            case Media():
                yield part
            case ToolCall(name=name, arguments=arguments):
                yield Text(f"assistant calls {name}: {arguments}\n")
            case ToolResult():
                yield Text(f"tool answers: {part.text}\n")
                yield from (inner for inner in part.parts if isinstance(inner, Media))


# Answers.


def encode_response(decisions: Decisions) -> dict[str, Any]:
    return {
        "model": decisions.model,
        "answers": [_answer(verdict) for verdict in decisions.verdicts],
        "usage": write_usage(decisions.usage or Usage(estimated=True)),
        **shared.about(decisions),
    }


def _answer(verdict: Verdict) -> dict[str, Any]:
    question = verdict.question
    named = {"name": question.name or None, **shared.mark(verdict)}
    if verdict.refused is not None:
        return {"type": "refusal", **named, "reason": verdict.refused}
    sure = {"confidence": verdict.confidence}
    both = list(zip(question.options, verdict.probabilities, strict=True))
    match question:
        case Predicate():
            return {"type": "predicate", **named, "probability": verdict.probabilities[0]}
        case Choice():
            rows: list[dict[str, Any]] = [{"value": option.value, "probability": p} for option, p in both]
            return {"type": "choice", **named, "choice": verdict.value, **sure, "probabilities": rows}
        case Score():
            rows = [{"label": option.value, "value": at, "probability": p} for at, (option, p) in enumerate(both)]
            return {"type": "score", **named, "score": verdict.expected, **sure, "probabilities": rows}
        case _:
            assert_never(question)


# The client's side.


def encode_request(request: DecisionRequest, card: ModelCard, *, ours: bool = False) -> Encoded:
    """The body to send. `ours` says that a server of ours reads it, which knows more than the vendor's."""
    mine = own(request.provider_metadata, NAME)
    sent = own(mine, AS_SENT).get("input")
    body: dict[str, Any] = {
        **request.extra,
        **{key: mine[key] for key in _KNOBS if key in mine},
        "model": card.id,
        "input": sent if sent is not None else _input(request.subject, ours=ours),
        "questions": [_asked(question, ours=ours) for question in request.questions],
    }
    return Encoded(body, tuple(shared.dropped(request, NAME)))


def _input(subject: Sequence[Text | Media], *, ours: bool) -> str | list[dict[str, Any]]:
    if len(subject) == 1 and isinstance(subject[0], Text):
        return subject[0].text
    for part in subject:
        if isinstance(part, Media) and part.kind != "image" and not ours:
            raise Unsupported(f"OpenAI decides about texts and images, not about {part.kind}.", param="input")
    return input_items([Message("user", tuple(subject))]).items


def _asked(question: Question, *, ours: bool) -> dict[str, Any]:
    head = {"name": question.name} if question.name else {}
    match question:
        case Predicate() if ours:
            sides = {"true_description": question.true, "false_description": question.false}
            told = {key: value for key, value in sides.items() if value is not None}
            return {"type": "predicate", **head, "instructions": question.instructions, **told}
        case Predicate():
            lines = [f"{side}: {text}" for side, text in (("True", question.true), ("False", question.false)) if text]
            return {"type": "predicate", **head, "instructions": "\n".join([question.instructions, *lines])}
        case Choice():
            rows = [_row("value", option) for option in question.options]
            return {"type": "choice", **head, "instructions": question.instructions, "choices": rows}
        case Score():
            rows = [_row("label", option) for option in question.options]
            return {"type": "score", **head, "instructions": question.instructions, "levels": rows}
        case _:
            assert_never(question)


def _row(key: str, option: Option) -> dict[str, Any]:
    return {key: option.value} | ({"description": option.description} if option.description is not None else {})


def decode_response(payload: Mapping[str, Any], request: DecisionRequest, card: ModelCard) -> Decisions:
    """The answers by their order. Raises BadAnswer when they are none."""
    answers = payload.get("answers")
    if not isinstance(answers, list) or len(answers) != len(request.questions):
        raise shared.bad(card)
    usage = payload.get("usage")
    provider, model, warnings = shared.who(payload, card)
    return Decisions(
        provider,
        model,
        tuple(_verdict(question, answer, card) for question, answer in zip(request.questions, answers, strict=True)),
        read_usage(usage) if isinstance(usage, Mapping) else None,
        warnings,
    )


def _verdict(question: Question, answer: Any, card: ModelCard) -> Verdict:
    if not isinstance(answer, Mapping):
        raise shared.bad(card)
    if answer.get("type") == "refusal":
        return shared.refusal(question, answer.get("reason"))
    return Verdict(question, _probabilities(question, answer, card), shared.is_calibrated(answer))


def _probabilities(question: Question, answer: Mapping[str, Any], card: ModelCard) -> tuple[float, ...]:
    if isinstance(question, Predicate):
        true = answer.get("probability")
        if not isinstance(true, int | float) or not shared.is_probability(true):
            raise shared.bad(card)
        return (float(true), 1.0 - true)
    rows = answer.get("probabilities")
    rows = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    key = _level if isinstance(question, Score) else _value
    found = {key(row): row.get("probability") for row in rows}
    wanted = (
        range(len(question.options)) if isinstance(question, Score) else [_marked(o.value) for o in question.options]
    )
    return shared.distribution((found.get(place) for place in wanted), card)


def _level(row: Mapping[str, Any]) -> Any:
    level = row.get("value")
    return level if isinstance(level, int) else None


def _value(row: Mapping[str, Any]) -> Any:
    value = row.get("value")
    return _marked(value) if isinstance(value, str | bool) else None


def _marked(value: str | bool) -> tuple[type, str | bool]:
    """A string and a boolean with the same text are two values."""
    return type(value), value
