"""System One's decisions, as Ollama and others serve them: questions by name about one state. Pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, assert_never

from pydantic import Field, Tag

from osaurus_nb.decisions import Choice, DecisionRequest, Decisions, Option, Predicate, Question, Score, Verdict
from osaurus_nb.errors import Unsupported
from osaurus_nb.messages import Media, Text, sniff
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire._inbound import Open, base64_bytes, by_type, validate
from osaurus_nb.wire._opaque import AS_SENT, keep, own
from osaurus_nb.wire.decisions import _maps as maps
from osaurus_nb.wire.decisions import _shared as shared

NAME = "systemone"


class Sides(shared.Closed):
    true: str | None = None
    false: str | None = None


class NoulBody(shared.Closed):
    type: Literal["noul"]
    instructions: shared.TextOrJson
    criteria: Sides | None = None


class ChoiceBody(shared.Closed):
    type: Literal["choice"]
    instructions: shared.TextOrJson
    criteria: Annotated[dict[str, str | None], shared.FEW_OPTIONS]


class ScoreBody(shared.Closed):
    type: Literal["score"]
    instructions: shared.TextOrJson
    criteria: Annotated[list[str], shared.FEW_OPTIONS]


QuestionBody = Annotated[
    Annotated[NoulBody, Tag("$noul")] | Annotated[ChoiceBody, Tag("$choice")] | Annotated[ScoreBody, Tag("$score")],
    by_type("a question of type noul, choice or score"),
]


class SystemOneBody(Open):
    model: str = Field(min_length=1)
    state: shared.TextOrJson
    questions: Annotated[dict[str, QuestionBody], shared.FEW_QUESTIONS]
    images: list[str] | None = None
    keep_alive: float | str | None = None
    stream: bool | None = None
    # Pictures in the middle of a state, which one server knows.
    assets: dict[str, Any] | None = None


def decode_request(body: bytes) -> DecisionRequest:
    """Read a request body. Raises RequestError that names the field at fault, never its value."""
    parsed = validate(SystemOneBody, body)
    shared.not_streamed(parsed.stream)
    if parsed.assets:
        raise Unsupported("'assets' is not supported here: send pictures as 'images', in base64.", param="assets")
    as_sent = {"state": parsed.state} if not isinstance(parsed.state, str) else None
    return DecisionRequest(
        model=parsed.model,
        subject=(Text(shared.as_text(parsed.state)), *_images(parsed.images or ())),
        questions=tuple(_question(name, question) for name, question in parsed.questions.items()),
        extra=parsed.unknown(),
        provider_metadata=keep(NAME, {"keep_alive": parsed.keep_alive, AS_SENT: as_sent}),
    )


def _images(given: Sequence[str]) -> list[Media]:
    pictures = [base64_bytes(picture, f"images[{at}]") for at, picture in enumerate(given)]
    return [Media("image", sniff(data) or "image/png", data=data) for data in pictures]


def _question(name: str, body: NoulBody | ChoiceBody | ScoreBody) -> Question:
    asked = maps.named(name), shared.told(shared.as_text(body.instructions), f"questions.{name}.instructions")
    match body:
        case NoulBody(criteria=sides):
            return Predicate(*asked, sides.true if sides else None, sides.false if sides else None)
        case ChoiceBody(criteria=criteria):
            return Choice(*asked, tuple(Option(value, description) for value, description in criteria.items()))
        case ScoreBody(criteria=levels):
            shared.unique(levels, f"questions.{name}.criteria[{{}}]", "level")
            return Score(*asked, tuple(Option(level) for level in levels))
        case _:
            assert_never(body)


def encode_response(decisions: Decisions) -> dict[str, Any]:
    usage = decisions.usage or Usage(estimated=True)
    counts = {"input_tokens": usage.total_input, "output_tokens": usage.total_output}
    return {
        "model": decisions.model,
        "answers": maps.answers(decisions, certainty),
        "usage": counts | ({"estimated": True} if usage.estimated else {}),
        **shared.about(decisions),
    }


def certainty(verdict: Verdict) -> float | None:
    """1 when one option has it all, 0 when all are alike: what is left of the greatest entropy, as in Ollama's docs.

    A noul is its own measure and has none.
    """
    if isinstance(verdict.question, Predicate):
        return None
    if not verdict.calibrated:
        return 0.0
    entropy = -math.fsum(p * math.log(p) for p in verdict.probabilities if p > 0)
    return min(max(1 - entropy / math.log(len(verdict.probabilities)), 0.0), 1.0)


# The client's side.


def encode_request(request: DecisionRequest, card: ModelCard) -> Encoded:
    """The body to send."""
    mine = own(request.provider_metadata, NAME)
    texts = [part.text for part in request.subject if isinstance(part, Text)]
    sent = own(mine, AS_SENT).get("state")
    images = [_base64(part) for part in request.subject if isinstance(part, Media)]
    names = shared.keys(request.questions)
    body: dict[str, Any] = {
        **request.extra,
        "model": card.id,
        "state": sent if sent is not None else "\n".join(texts),
        "questions": {name: _asked(question) for name, question in zip(names, request.questions, strict=True)},
        **({"images": images} if images else {}),
        **({"keep_alive": mine["keep_alive"]} if "keep_alive" in mine else {}),
    }
    return Encoded(body, tuple(shared.dropped(request, NAME)))


def _base64(media: Media) -> str:
    if media.kind != "image" or media.data is None:
        raise Unsupported("System One takes pictures by their bytes, and nothing else beside text.", param="input")
    return base64.b64encode(media.data).decode()


def _asked(question: Question) -> dict[str, Any]:
    told = question.instructions
    match question:
        case Predicate(true=true, false=false):
            sides = {side: text for side, text in (("true", true), ("false", false)) if text is not None}
            return {"type": "noul", "instructions": told} | ({"criteria": sides} if sides else {})
        case Choice(options=options):
            meanings = (option.description for option in options)
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
    """The answers by their names. Raises BadAnswer when they are none."""
    provider, model, warnings = shared.who(payload, card)
    refused = own(payload, "osaurus").get("refused")
    verdicts = maps.verdicts(payload.get("answers"), request.questions, card, refused)
    return Decisions(provider, model, verdicts, _usage(payload.get("usage")), warnings)


def _usage(body: Any) -> Usage | None:
    if not isinstance(body, Mapping):
        return None
    given, made = (body.get(f"{name}_tokens") for name in ("input", "output"))
    return Usage(
        given if isinstance(given, int) and given > 0 else 0,
        made if isinstance(made, int) and made > 0 else 0,
        estimated=bool(body.get("estimated")),
    )
