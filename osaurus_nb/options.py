"""What a caller may say beside the prompt, and the request that it makes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict, cast, get_args

from osaurus_nb.caps import Amount
from osaurus_nb.decisions import (
    Choice,
    DecisionRequest,
    Option,
    Options,
    Predicate,
    Question,
    Score,
    choice,
    predicate,
)
from osaurus_nb.embeddings import EmbeddingRequest
from osaurus_nb.errors import RequestError
from osaurus_nb.messages import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult, system, user
from osaurus_nb.models import ROUTER, ModelCard
from osaurus_nb.request import ChatRequest, Effort, ResponseFormat, RouteOptions, Sampling, Tool, ToolChoice
from osaurus_nb.routes import NO_REQUIREMENTS, Mode, Requirements, Resume
from osaurus_nb.tools import Function, Toolbox
from osaurus_nb.wire import _routing

#: What can be asked: a text, one turn's parts (texts and media), or whole turns.
Prompt = str | Message | Sequence["str | Part | Message"]

#: What can be decided about: a text, texts and media, or anything JSON, which is shown to the model as text.
Subject = str | Media | Mapping[str, Any] | Sequence["str | Text | Media"]
#: A question under its name: a text is answered by yes or no; options alone, or behind a text, by one of them.
Asked = str | Options | tuple[str, Options] | Question
#: The vendors' own limits.
_MAX_QUESTIONS, _MAX_OPTIONS = 400, 255


class ChatOptions(TypedDict, total=False):
    """Everything beside the prompt. A field left out means the model's own default.

    `profile` names a way to choose the model, e.g. "frontier", and `mode` how candidates are weighed; `requirements`
    are what a model must be able to do, e.g. `{"vision": True, "min_context": 100_000}`. With `private` nobody but
    this machine and its networks hears of the question. `turn` is your own name for a conversation that shall stay
    with its model; `resume="marked"` lets another model go on, visibly, where one broke off. `explain` has the answer
    say why.

    `fallbacks` are models that may answer instead, in order, if the named one fails before its first word;
    `deadline` is for the whole answer, in seconds; `max_cost`, e.g. "$0.05", is the most that it may cost, tool rounds
    included; `extra` goes to the provider as it is.
    """

    model: str | None
    system: str | None
    tools: Sequence[Function | Tool]
    tool_choice: ToolChoice
    max_rounds: int
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    stop: str | Sequence[str]
    seed: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    repetition_penalty: float | None
    logprobs: bool
    top_logprobs: int | None
    response_format: ResponseFormat
    reasoning_effort: Effort
    fallbacks: Sequence[str]
    deadline: float | None
    max_cost: Amount | None
    profile: str | None
    mode: Mode | None
    private: bool
    requirements: Requirements | Mapping[str, Any] | None
    turn: str | None
    resume: Resume
    explain: bool
    extra: dict[str, Any]


_KNOWN = frozenset(ChatOptions.__annotations__)
_SAMPLING = frozenset(Sampling.__dataclass_fields__) & _KNOWN - {"stop"}


def request(prompt: Prompt, options: ChatOptions, *, model: str, toolbox: Toolbox) -> ChatRequest:
    """The neutral request. Raises RequestError for an option or a prompt that is none."""
    if unknown := set(options) - _KNOWN:
        known = ", ".join(sorted(_KNOWN))
        raise RequestError(f"Unknown option '{min(unknown)}'. Known: {known}.", param=min(unknown))
    route = _route(options)
    if route.profile is not None:
        model = route.profile if "/" in route.profile else f"{ROUTER}/{route.profile}"
    return ChatRequest(
        model=options.get("model") or model,
        messages=messages(prompt, options.get("system")),
        tools=toolbox.tools,
        tool_choice=options.get("tool_choice"),
        response_format=options.get("response_format"),
        sampling=_sampling(options),
        reasoning_effort=options.get("reasoning_effort"),
        route=route,
        extra=options.get("extra", {}),
    )


def _route(options: ChatOptions) -> RouteOptions:
    """Raises RequestError that names the option and what it could be; profiles are known to whoever answers."""
    mode, profile, turn = options.get("mode"), options.get("profile"), options.get("turn")
    wanted = options.get("requirements") or NO_REQUIREMENTS
    return RouteOptions(
        mode="local-strict" if options.get("private") else _routing.mode(mode, "mode") if mode is not None else None,
        profile=_routing.name(profile, "profile") if profile is not None else None,
        requirements=wanted if isinstance(wanted, Requirements) else _routing.wanted(wanted),
        resume=cast(Resume, _routing.word(options.get("resume", "off"), "resume", get_args(Resume))),
        turn=_routing.name(turn, "turn") if turn is not None else None,
        explain=bool(options.get("explain")),
        fallbacks=tuple(options.get("fallbacks", ())),
        deadline=options.get("deadline"),
    )


def embedding(
    texts: str | Sequence[str], *, model: str, dimensions: int | None, extra: Mapping[str, Any] | None
) -> EmbeddingRequest:
    """The neutral request for vectors. Raises RequestError for what has none."""
    inputs = (texts,) if isinstance(texts, str) else tuple(texts)
    if not inputs:
        raise RequestError("There is no text to embed.", param="texts")
    for at, text in enumerate(inputs):
        if not isinstance(text, str) or not text:
            said = "is empty" if isinstance(text, str) else f"is no text but of type '{type(text).__name__}'"
            raise RequestError(f"texts[{at}] {said}.", param=f"texts[{at}]")
    if dimensions is not None and dimensions < 1:
        raise RequestError("'dimensions' must be 1 or more.", param="dimensions")
    return EmbeddingRequest(model, inputs, dimensions, extra=dict(extra or {}))


def no_embedder(cards: Sequence[ModelCard]) -> RequestError:
    """Nobody was named to make vectors: the error that names those who can."""
    able = [f"'{card.name}'" for card in cards if card.capabilities.embeddings]
    known = f"one of {', '.join(able[:5])}" if able else "e.g. 'all-minilm-l6-v2' after `osaurus-nb pull` of it"
    return RequestError(f"Say which model shall embed, {known}.", param="model")


def messages(prompt: Prompt, system_text: str | None = None) -> tuple[Message, ...]:
    """The turns that a prompt means, behind the system prompt if there is one."""
    turns = _turns(prompt)
    if not any(turn.parts for turn in turns):
        raise RequestError("The prompt is empty; ask something.", param="messages")
    return (system(system_text), *turns) if system_text else turns


def _turns(prompt: Prompt) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        return (user(prompt),) if prompt else ()
    if isinstance(prompt, Message):
        return (prompt,)
    items = list(prompt)
    if items and all(isinstance(item, Message) for item in items):
        return tuple(item for item in items if isinstance(item, Message))
    parts = [item for item in items if isinstance(item, str | Text | Media | Reasoning | ToolCall | ToolResult)]
    if len(parts) < len(items):
        raise RequestError("A prompt is a text, parts (texts and media), or whole messages, not a mixture.")
    return (user(*parts),)


def _sampling(options: ChatOptions) -> Sampling:
    stop = options.get("stop", ())
    chosen: dict[str, Any] = {key: value for key, value in options.items() if key in _SAMPLING}
    return Sampling(
        max_output_tokens=options.get("max_tokens"), stop=(stop,) if isinstance(stop, str) else tuple(stop), **chosen
    )


def decision(
    subject: Subject, questions: Mapping[str, Asked], *, model: str, extra: Mapping[str, Any]
) -> DecisionRequest:
    """The neutral request. Raises RequestError that names the question at fault."""
    if not 1 <= len(questions) <= _MAX_QUESTIONS:
        raise RequestError(f"Ask 1 to {_MAX_QUESTIONS} questions at a time.", param="questions")
    asked = tuple(_question(name, question) for name, question in questions.items())
    return DecisionRequest(model, _subject(subject), asked, extra)


def _subject(given: Subject) -> tuple[Text | Media, ...]:
    if isinstance(given, Mapping):
        return (Text(json.dumps(given, ensure_ascii=False)),)
    parts = [given] if isinstance(given, str | Media) else list(given)
    made = [Text(part) if isinstance(part, str) else part for part in parts]
    if not all(isinstance(part, Text | Media) for part in made):
        raise RequestError("A subject is a text, texts and media, or a mapping that is JSON.", param="subject")
    return tuple(made)


def _question(name: str, asked: Asked) -> Question:
    question = _made(name, asked)
    values = [(type(option.value), option.value) for option in question.options]
    if not name or not question.instructions.strip():
        raise RequestError("A question needs a name and a text.", param="questions")
    if not 2 <= len(values) <= _MAX_OPTIONS or len(set(values)) < len(values):
        said = f"'{name}' needs 2 to {_MAX_OPTIONS} options, each of them once."
        raise RequestError(said, param=f"questions.{name}")
    return replace(question, name=name)


def _made(name: str, asked: Asked) -> Question:
    match asked:
        case Predicate() | Choice() | Score():
            return asked
        case str():
            return predicate(asked)
        case (str() as told, options) if not isinstance(options, str | Option):
            return choice(told, options)
        case _:
            return choice(name.replace("_", " "), cast(Options, asked))  # a pair was taken above
