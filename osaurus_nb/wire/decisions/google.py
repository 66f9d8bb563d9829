"""Google's decisions: questions by name about one input of texts and media. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, assert_never

from pydantic import Discriminator, Field, Tag

from osaurus_nb.decisions import Choice, DecisionRequest, Decisions, Option, Predicate, Question, Score, Verdict
from osaurus_nb.errors import RequestError
from osaurus_nb.messages import Media, Text
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire._inbound import Open, base64_bytes, by_type, validate
from osaurus_nb.wire._opaque import AS_SENT, keep, own
from osaurus_nb.wire.decisions import _maps as maps
from osaurus_nb.wire.decisions import _shared as shared

NAME = "google_decisions"


class TextBlock(shared.Closed):
    type: Literal["text"]
    text: str
    annotations: list[dict[str, Any]] | None = None


class MediaBlock(Open):
    type: Literal["image", "document", "audio", "video"]
    data: str | None = None
    uri: str | None = None
    mime_type: str | None = None
    resolution: str | None = None


Block = Annotated[
    Annotated[TextBlock, Tag("$text")]
    | Annotated[MediaBlock, Tag("$image")]
    | Annotated[MediaBlock, Tag("$document")]
    | Annotated[MediaBlock, Tag("$audio")]
    | Annotated[MediaBlock, Tag("$video")],
    by_type("a block of type text, image, document, audio or video"),
]


def _input_tag(value: Any) -> str | None:
    return next((tag for kind, tag in ((str, "$text"), (dict, "$one"), (list, "$list")) if type(value) is kind), None)


_INPUT = Discriminator(
    _input_tag, custom_error_type="content_type", custom_error_message="must be a string, a block or an array of blocks"
)
Input = Annotated[
    Annotated[str, Tag("$text")] | Annotated[Block, Tag("$one")] | Annotated[list[Block], Tag("$list")],
    _INPUT,
]
Instructions = Annotated[
    Annotated[str, Tag("$text")] | Annotated[TextBlock, Tag("$one")] | Annotated[list[TextBlock], Tag("$list")],
    _INPUT,
]


class Sides(shared.Closed):
    true_description: str | None = None
    false_description: str | None = None


class NoulBody(shared.Closed):
    type: Literal["noul"]
    instructions: Instructions
    criteria: Sides | None = None


class ChoiceBody(shared.Closed):
    type: Literal["choice"]
    instructions: Instructions
    criteria: Annotated[dict[str, str | None], shared.FEW_OPTIONS]


class ScoreBody(shared.Closed):
    type: Literal["score"]
    instructions: Instructions
    criteria: Annotated[list[str], shared.FEW_OPTIONS]


QuestionBody = Annotated[
    Annotated[NoulBody, Tag("$noul")] | Annotated[ChoiceBody, Tag("$choice")] | Annotated[ScoreBody, Tag("$score")],
    by_type("a question of type noul, choice or score"),
]


class DecisionBody(Open):
    model: str = Field(min_length=1)
    input: Input
    questions: Annotated[dict[str, QuestionBody], shared.FEW_QUESTIONS]
    stream: bool | None = None


def decode_request(body: bytes) -> DecisionRequest:
    """Read a request body. Raises RequestError that names the field at fault, never its value."""
    parsed = validate(DecisionBody, body)
    shared.not_streamed(parsed.stream)
    given = parsed.input
    blocks = [given] if isinstance(given, TextBlock | MediaBlock) else given
    as_sent = None
    if not isinstance(blocks, str):
        as_sent = {"input": [block.model_dump(exclude_unset=True) for block in blocks]}
    return DecisionRequest(
        model=parsed.model.removeprefix("models/"),
        subject=_subject(blocks),
        questions=tuple(_question(name, question) for name, question in parsed.questions.items()),
        extra=parsed.unknown(),
        provider_metadata=keep(NAME, {AS_SENT: as_sent}),
    )


def _subject(blocks: str | Sequence[TextBlock | MediaBlock]) -> tuple[Text | Media, ...]:
    if isinstance(blocks, str):
        return (Text(blocks),)
    return tuple(
        Text(block.text) if isinstance(block, TextBlock) else _media(block, f"input[{at}]")
        for at, block in enumerate(blocks)
    )


def _media(block: MediaBlock, where: str) -> Media:
    if block.data is not None:
        data = base64_bytes(block.data.translate(_URL_SAFE), f"{where}.data")
        return Media(block.type, block.mime_type, data=data, detail=block.resolution)
    if block.uri is None or not block.uri.startswith(("http://", "https://")):
        said = "'data' in base64 or an http(s) 'uri' is required: other storage belongs to one provider"
        raise RequestError(f"'{where}': {said}.", param=f"{where}.uri")
    return Media(block.type, block.mime_type, url=block.uri, detail=block.resolution)


_URL_SAFE = str.maketrans("-_", "+/")  # the vendor's SDK writes the URL-safe alphabet


def _question(name: str, body: NoulBody | ChoiceBody | ScoreBody) -> Question:
    where = f"questions.{name}"
    asked = maps.named(name), shared.told(_instructions(body.instructions), f"{where}.instructions")
    match body:
        case NoulBody(criteria=sides):
            return Predicate(*asked, *_told(sides))
        case ChoiceBody(criteria=criteria):
            return Choice(*asked, tuple(Option(value, meaning or None) for value, meaning in criteria.items()))
        case ScoreBody(criteria=levels):
            shared.unique(levels, where + ".criteria[{}]", "level")
            return Score(*asked, tuple(Option(level) for level in levels))
        case _:
            assert_never(body)


def _told(sides: Sides | None) -> tuple[str | None, str | None]:
    """What true and false mean; an empty text means nothing."""
    return (sides.true_description or None, sides.false_description or None) if sides else (None, None)


def _instructions(given: str | TextBlock | list[TextBlock]) -> str:
    if isinstance(given, str):
        return given
    return "\n".join(block.text for block in ([given] if isinstance(given, TextBlock) else given))


def encode_response(decisions: Decisions) -> dict[str, Any]:
    body: dict[str, Any] = {
        "answers": maps.answers(decisions, _sure),
        "usage": _write_usage(decisions.usage),
        **shared.about(decisions),
    }
    reasons = [verdict.refused for verdict in decisions.verdicts if verdict.refused is not None]
    if len(reasons) == len(decisions.verdicts) > 0:
        body["prompt_feedback"] = {"block_reason": "other", "block_reason_message": reasons[0]}
    return body


def _sure(verdict: Verdict) -> float:
    """The vendor's measure: the probability of the winning outcome."""
    return verdict.confidence


def _write_usage(usage: Usage | None) -> dict[str, Any]:
    usage = usage or Usage(estimated=True)
    counts: dict[str, Any] = {
        "total_input_tokens": usage.total_input,
        "total_cached_tokens": usage.cache_read_input_tokens,
        "total_output_tokens": usage.output_tokens,
        "total_thought_tokens": usage.reasoning_output_tokens,
        "total_tokens": usage.total,
    }
    return counts | ({"estimated": True} if usage.estimated else {})


# The client's side.


def encode_request(request: DecisionRequest, card: ModelCard) -> Encoded:
    """The body to send."""
    sent = own(own(request.provider_metadata, NAME), AS_SENT).get("input")
    names = shared.keys(request.questions)
    body: dict[str, Any] = {
        **request.extra,
        "model": f"models/{card.id.removeprefix('models/')}",
        "input": sent if sent is not None else _input(request.subject),
        "questions": {name: _asked(question) for name, question in zip(names, request.questions, strict=True)},
    }
    return Encoded(body, tuple(shared.dropped(request, NAME)))


def _input(subject: Sequence[Text | Media]) -> str | list[dict[str, Any]]:
    if len(subject) == 1 and isinstance(subject[0], Text):
        return subject[0].text
    return [_block(part) for part in subject]


def _block(part: Text | Media) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    held = {"uri": part.url} if part.data is None else {"data": base64.b64encode(part.data).decode()}
    fields = {"mime_type": part.media_type, "resolution": part.detail if part.kind == "image" else None}
    return {"type": part.kind, **held, **{key: value for key, value in fields.items() if value is not None}}


def _asked(question: Question) -> dict[str, Any]:
    told = question.instructions
    match question:
        case Predicate(true=true, false=false):
            sides = {"true_description": true, "false_description": false}
            known = {key: text for key, text in sides.items() if text is not None}
            return {"type": "noul", "instructions": told} | ({"criteria": known} if known else {})
        case Choice(options=options):
            meanings = (option.description or "" for option in options)  # the vendor's SDK has no null here
            return {
                "type": "choice",
                "instructions": told,
                "criteria": dict(zip(maps.options(options), meanings, strict=True)),
            }
        case Score(options=options):
            return {"type": "score", "instructions": told, "criteria": [maps.level(option) for option in options]}
        case _:
            assert_never(question)


def decode_response(payload: Mapping[str, Any], request: DecisionRequest, card: ModelCard) -> Decisions:
    """The answers by their names. A blocked input refuses every question. Raises BadAnswer for anything else."""
    provider, model, warnings = shared.who(payload, card)
    usage = _read_usage(payload.get("usage"))
    if (blocked := own(payload, "prompt_feedback")).get("block_reason"):
        said = blocked.get("block_reason_message") or f"the input was blocked: {blocked['block_reason']}"
        refused = tuple(shared.refusal(question, said) for question in request.questions)
        return Decisions(provider, model, refused, usage, warnings)
    reasons = own(payload, "osaurus").get("refused")
    verdicts = maps.verdicts(payload.get("answers"), request.questions, card, reasons)
    return Decisions(provider, model, verdicts, usage, warnings)


def _read_usage(body: Any) -> Usage | None:
    """Totals as disjoint classes: the cached part is inside the input, thoughts stand beside the output."""
    if not isinstance(body, Mapping):
        return None
    given, cached, tools, made, thought = (
        value if isinstance(value := body.get(f"total_{name}_tokens"), int) and value > 0 else 0
        for name in ("input", "cached", "tool_use", "output", "thought")
    )
    return Usage(
        input_tokens=max(given + tools - cached, 0),
        output_tokens=made,
        cache_read_input_tokens=cached,
        reasoning_output_tokens=thought,
        estimated=bool(body.get("estimated")),
        absurd=cached > given + tools,
    )
