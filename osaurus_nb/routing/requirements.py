"""What a question needs of a model, by what is really in it, and what its caller and its profile demand. Pure.

It looks at parts and options, never at words: a picture that is sent needs eyes, one that is mentioned does not. What a
caller demands is added to what a profile demands; neither takes anything away from the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from osaurus_nb.messages import Media, Part, ToolCall, ToolResult
from osaurus_nb.request import ChatRequest, Effort
from osaurus_nb.routes import Mode, Profile, Requirements
from osaurus_nb.routing.tokens import estimate

#: Tokens that are kept free for an answer whose length nobody limited.
USUAL_ANSWER = 1_024
#: What a "long context" is, in tokens.
LONG_CONTEXT = 100_000


@dataclass(frozen=True, slots=True)
class Needs:
    """All that must hold, and what is merely wished. Equal ones have equal answers, so they carry no exact size.

    Every list of `allow_providers` and `allow_models` has to admit a model. `strict`: what is not known of a model
    counts as missing. `wishes_json`: JSON without a schema, which most can write, so that nobody is refused for it.
    """

    mode: Mode = "balanced"
    effort: Effort | None = None
    tools: bool = False
    json: bool = False
    wishes_json: bool = False
    vision: bool = False
    audio: bool = False
    documents: bool = False
    reasoning: bool = False
    strict: bool = False
    quality: float = 0.0
    min_context: int | None = None
    min_params_b: float | None = None
    max_price: float | None = None
    allow_providers: tuple[tuple[str, ...], ...] = ()
    deny_providers: tuple[str, ...] = ()
    allow_models: tuple[tuple[str, ...], ...] = ()
    deny_models: tuple[str, ...] = ()

    @property
    def local(self) -> bool:
        return self.mode == "local-strict"

    @property
    def off(self) -> bool:
        """It must not think."""
        return self.effort == "none"


@dataclass(frozen=True, slots=True)
class Size:
    """Tokens of the prompt, by estimate, and those that are kept free for the answer."""

    prompt: int
    answer: int

    @property
    def total(self) -> int:
        return self.prompt + self.answer

    def rounded(self) -> Size:
        """Both a little larger, so that questions of about the same size are the same."""
        return Size(_rounded(self.prompt), _rounded(self.answer))


def needs(request: ChatRequest, profile: Profile) -> Needs:
    """What this question needs under this profile."""
    given, held = request.route.requirements, profile.requirements
    kinds = {part.kind for part in _parts(request) if isinstance(part, Media)}
    both = (given, held)
    return Needs(
        mode=mode(request, profile),
        effort=request.reasoning_effort or _effort(profile.effort),
        tools=given.tools or held.tools or _calls(request),
        json=given.json or held.json or _shape(request) == "json_schema",
        wishes_json=_shape(request) == "json_object",
        vision=given.vision or held.vision or not kinds.isdisjoint(("image", "video")),
        audio=given.audio or held.audio or "audio" in kinds,
        documents=given.documents or held.documents or "document" in kinds,
        reasoning=given.reasoning or held.reasoning,
        strict=request.route.strict_params,
        quality=profile.quality,
        min_context=max((_window(each) for each in both), default=0) or None,
        min_params_b=max((each.min_params_b or 0.0 for each in both), default=0.0) or None,
        max_price=min((each.max_price for each in both if each.max_price is not None), default=None),
        allow_providers=_lists(each.allow_providers for each in both),
        deny_providers=_union(each.deny_providers for each in both),
        allow_models=_lists(each.allow_models for each in both),
        deny_models=_union(each.deny_models for each in both),
    )


def mode(request: ChatRequest, profile: Profile) -> Mode:
    """The caller's before the profile's; but what either wants kept local stays local."""
    if "local-strict" in (request.route.mode, profile.mode):
        return "local-strict"
    return request.route.mode or profile.mode


def size(request: ChatRequest) -> Size:
    """How many tokens it takes to hold the question and its answer."""
    return Size(estimate(request).input_tokens, request.sampling.max_output_tokens or USUAL_ANSWER)


def told(needed: Needs, tokens: Size) -> Mapping[str, str | int | float | bool]:
    """The same by name, for who wants to read it. What demands nothing is left out."""
    found: dict[str, str | int | float | bool] = {"tokens": tokens.prompt, "answer_tokens": tokens.answer}
    for name in ("tools", "json", "vision", "audio", "documents", "reasoning", "strict"):
        if getattr(needed, name):
            found[name] = True
    if needed.wishes_json:
        found["json"] = "wished"
    if needed.off:
        found["reasoning"] = "off"
    for name in ("quality", "min_context", "min_params_b", "max_price"):
        value = getattr(needed, name)
        if value or (value is not None and name == "max_price"):
            found[name] = value
    for name in ("allow_providers", "allow_models"):
        if lists := getattr(needed, name):
            found[name] = " and ".join(", ".join(each) for each in lists)
    for name in ("deny_providers", "deny_models"):
        if names := getattr(needed, name):
            found[name] = ", ".join(names)
    return found


def contradictions(needed: Needs) -> Sequence[str]:
    """Demands that nobody could ever meet, each as a sentence."""
    found = []
    if needed.reasoning and needed.off:
        found.append("It must reason, and its reasoning is switched off.")
    for kind, lists, denied in (
        ("provider", needed.allow_providers, needed.deny_providers),
        ("model", needed.allow_models, needed.deny_models),
    ):
        for allowed in lists:
            if all(matches(each, denied) for each in allowed):
                found.append(f"Each {kind} that is allowed ({', '.join(allowed)}) is denied too.")
        if len(lists) > 1 and not any("*" in each or "?" in each for names in lists for each in names):
            shared = set(lists[0]).intersection(*lists[1:])
            if not shared:
                both = " and ".join(f"({', '.join(names)})" for names in lists)
                found.append(f"The two lists of allowed {kind}s, {both}, have none in common.")
    return found


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Is it named by one of these ids or globs? The case does not count."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def _parts(request: ChatRequest) -> Iterable[Part]:
    for message in request.messages:
        for part in message.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.parts


def _calls(request: ChatRequest) -> bool:
    """Tools may be called, or were: a model that cannot would lose them without a word."""
    if request.tools and request.tool_choice != "none":
        return True
    return in_turn(request)


def in_turn(request: ChatRequest) -> bool:
    """Were tools called in this conversation?"""
    return any(isinstance(part, ToolCall | ToolResult) for message in request.messages for part in message.parts)


def _shape(request: ChatRequest) -> str:
    return request.response_format.kind if request.response_format is not None else "text"


def _window(demanded: Requirements) -> int:
    return max(demanded.min_context or 0, LONG_CONTEXT if demanded.long_context else 0)


#: What people call efforts, beside their names.
_EFFORTS: Mapping[str, Effort] = {
    "off": "none",
    "none": "none",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}


def _effort(name: str | None) -> Effort | None:
    return _EFFORTS.get(name) if name is not None else None


def _lists(lists: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(dict.fromkeys(names for names in lists if names))


def _union(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in lists for name in names))


def _rounded(tokens: int) -> int:
    """Up to the next of eight steps between two powers of two."""
    step = max(1, 1 << max(0, tokens.bit_length() - 4))
    return -(-tokens // step) * step
