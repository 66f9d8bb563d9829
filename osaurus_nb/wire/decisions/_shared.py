"""What the dialects of decisions share: limits, checks, the reading of numbers, and our own key. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Tag
from pydantic_core import PydanticCustomError

from osaurus_nb.decisions import DecisionRequest, Decisions, Question, Verdict
from osaurus_nb.errors import BadAnswer, RequestError, Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.wire._opaque import AS_SENT
from osaurus_nb.wire._osaurus import paid

#: The vendors' own limits; the widest of them counts for all.
MAX_QUESTIONS = 400
MIN_OPTIONS = 2
MAX_OPTIONS = 255


def _within(low: int, high: int, what: str) -> AfterValidator:
    def check(value: Sized) -> Sized:
        if not low <= len(value) <= high:
            raise PydanticCustomError(
                "count", "must have {low} to {high} {what}", {"low": low, "high": high, "what": what}
            )
        return value

    return AfterValidator(check)


#: The number of options that a question may have, and of questions that may be asked at once.
FEW_OPTIONS = _within(MIN_OPTIONS, MAX_OPTIONS, "options")
FEW_QUESTIONS = _within(1, MAX_QUESTIONS, "questions")


class Closed(BaseModel):
    """A part of a question. A key that we do not know might change what is asked, so it is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _json_tag(value: Any) -> str | None:
    return next(
        (tag for kind, tag in ((str, "$text"), (dict, "$object"), (list, "$list")) if type(value) is kind), None
    )


#: Text, or JSON that is shown to the model as text.
TextOrJson = Annotated[
    Annotated[str, Tag("$text")] | Annotated[dict[str, Any], Tag("$object")] | Annotated[list[Any], Tag("$list")],
    Discriminator(_json_tag, custom_error_type="content_type", custom_error_message="must be text or JSON"),
]


def as_text(value: str | dict[str, Any] | list[Any]) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def not_streamed(stream: Any) -> None:
    if stream:
        raise Unsupported("Decisions come in one piece: leave 'stream' out.", param="stream")


def unique(values: Iterable[Hashable], field: str, what: str) -> None:
    """Refuses a value that stands twice. `field` names the place of value `{}`."""
    seen: set[Hashable] = set()
    for at, value in enumerate(values):
        marked = (type(value), value)  # a string and a boolean are never the same
        if marked in seen:
            where = field.format(at)
            raise RequestError(f"'{where}': each {what} must be unique.", param=where)
        seen.add(marked)


def told(text: str, field: str) -> str:
    """Instructions that say something."""
    if not text.strip():
        raise RequestError(f"'{field}' must not be empty.", param=field)
    return text


def keys(questions: Sequence[Question]) -> list[str]:
    """A key for each question of a dialect that has them in a map: its name, else its place."""
    taken = {question.name for question in questions}
    made = iter(key for number in range(1, len(questions) * 2 + 1) if (key := f"question_{number}") not in taken)
    return [question.name or next(made) for question in questions]


def dropped(request: DecisionRequest, dialect: str) -> Iterator[Warned]:
    """A warning for each knob of another dialect."""
    for name, fields in (request.provider_metadata or {}).items():
        if name != dialect and isinstance(fields, Mapping):
            for key in sorted(set(fields) - {AS_SENT}):
                yield Warned("parameter_dropped", f"The model's provider has no '{key}'.", key)


def distribution(values: Iterable[Any], card: ModelCard) -> tuple[float, ...]:
    """Probabilities as a provider wrote them, rounded as they may be, scaled to sum to 1."""
    numbers = tuple(values)
    if not all(is_probability(number) for number in numbers) or not (total := math.fsum(numbers)):
        raise bad(card)
    return tuple(number / total for number in numbers)


def is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def refusal(question: Question, reason: Any = None) -> Verdict:
    why = reason if isinstance(reason, str) and reason else "the model gave no answer"
    return Verdict(question, (), refused=why)


def is_calibrated(answer: Mapping[str, Any]) -> bool:
    """Ours alone says so; a vendor's own endpoint always is."""
    return answer.get("calibrated") is not False


def mark(verdict: Verdict) -> dict[str, Any]:
    """What an answer says beside the dialect's own keys: that nothing is known of how sure the model was."""
    return {} if verdict.calibrated else {"calibrated": False}


def about(decisions: Decisions) -> dict[str, Any]:
    """Our own key: who decided, with which warnings, and why a question has no answer."""
    refused = {v.question.name: v.refused for v in decisions.verdicts if v.refused is not None}
    fields: dict[str, Any] = {
        "provider": decisions.provider,
        "model": decisions.model,
        "warnings": [{"code": w.code, "message": w.message, "param": w.param} for w in decisions.warnings] or None,
        "refused": refused or None,
        "cost": paid(decisions.cost) if decisions.cost is not None else None,
    }
    return {"osaurus": {key: value for key, value in fields.items() if value is not None}}


def who(payload: Mapping[str, Any], card: ModelCard) -> tuple[str, str, tuple[Warned, ...]]:
    """Provider, model and warnings: a gateway of our own names those behind it."""
    said = payload.get("osaurus")
    said = said if isinstance(said, Mapping) else {}
    rows = said.get("warnings")
    warnings = tuple(
        Warned(str(row.get("code")), str(row.get("message")), row.get("param"))
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, Mapping)
    )
    model = said.get("model") or payload.get("model") or card.id
    return str(said.get("provider") or card.provider), str(model), warnings


def bad(card: ModelCard) -> BadAnswer:
    return BadAnswer(
        f"'{card.provider}' answered, but not with decisions that we can read.", provider=card.provider, model=card.id
    )
