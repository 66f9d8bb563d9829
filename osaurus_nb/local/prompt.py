"""From a request to the tokens that the model reads. Refuses what this model cannot serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jinja2

from osaurus_nb.errors import ContextTooLong, RequestError, Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.local.answer import ToolParser
from osaurus_nb.local.loading import Loaded
from osaurus_nb.local.templates import to_template, tools_to_template
from osaurus_nb.local.text_stream import Marks, State
from osaurus_nb.local.told_tools import CALL_END, CALL_START, in_words, read_call
from osaurus_nb.models import LOCAL, TokenCount
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire._opaque import dropped

#: Settings that change nothing in an answer.
HARMLESS = frozenset({"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"})
#: For callers who name no limit.
DEFAULT_MAX_TOKENS = 4096


@dataclass(frozen=True, slots=True, repr=False)
class Prompt:
    """What the model reads, how much it may say, and how its answer is read."""

    tokens: list[int]
    max_tokens: int
    state: State
    marks: Marks
    #: Reads a call; None where no tools are offered.
    parse: ToolParser | None
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Rendered:
    """A prompt in words and in tokens, and the tools that it tells of."""

    words: str
    tokens: list[int]
    tools: list[dict[str, Any]]


def read(request: ChatRequest, loaded: Loaded) -> Prompt:
    """The prompt of `request`. Raises RequestError, Unsupported or ContextTooLong."""
    text = render(request, loaded)
    tokens = text.tokens
    left = loaded.context - len(tokens)
    if left < 1:
        raise ContextTooLong(
            f"The prompt has {len(tokens)} tokens and the window of {loaded.name!r} holds {loaded.context}, "
            "answer included. Shorten the chat or choose a model with a larger window.",
            param="messages",
        )
    wanted = request.sampling.max_output_tokens
    return Prompt(
        tokens=tokens,
        max_tokens=min(left, wanted or DEFAULT_MAX_TOKENS),
        state="text" if is_raw(request) else _state(text.words, loaded),
        marks=_marks(request, loaded, text),
        parse=_parser(loaded, text.tools),
        warnings=tuple(_warnings(request, loaded, left)),
    )


def count(request: ChatRequest, loaded: Loaded) -> TokenCount:
    """How many tokens the prompt of `request` has, whether they fit or not. Safe on any thread."""
    return TokenCount(len(render(request, loaded).tokens))


def is_raw(request: ChatRequest) -> bool:
    """Is the text to be carried on as it stands, without a template?

    Callers of plain completions say so by `provider_metadata={"osaurus": {"raw_prompt": True}}`.
    """
    ours = (request.provider_metadata or {}).get("osaurus")
    return isinstance(ours, Mapping) and ours.get("raw_prompt") is True


def begun_by_caller(request: ChatRequest) -> str:
    """The words of an answer that is carried on, not followed by a new one: the chat ends in the assistant's turn."""
    last = request.messages[-1]
    return last.text if last.role == "assistant" and not last.tool_calls else ""


def render(request: ChatRequest, loaded: Loaded, *, answering: bool = False) -> Rendered:
    """The words and tokens of a prompt. `answering` closes thoughts that the template has opened."""
    # Tokenizers and templates are made for one thread at a time; counting comes from another than the engine's.
    with loaded.reading:
        return _render_raw(request, loaded) if is_raw(request) else _render_chat(request, loaded, answering)


def _render_raw(request: ChatRequest, loaded: Loaded) -> Rendered:
    """The text of the one message, with the special tokens that this tokenizer puts around any text."""
    if len(request.messages) != 1 or request.messages[0].role != "user":
        raise RequestError("A raw prompt is exactly one message of the user.", param="messages")
    if request.tools and request.tool_choice != "none":
        raise Unsupported("A raw prompt has no place for tools.", param="tools")
    (turn,) = to_template(request.messages)
    try:
        tokens: list[int] = loaded.tokenizer.encode(turn["content"])
    except (ValueError, TypeError) as fault:
        raise RequestError(f"The prompt is no text that can be read: {type(fault).__name__}.", param="prompt") from None
    if not tokens:
        if (begin := loaded.tokenizer.bos_token_id) is None:
            raise RequestError("The prompt is empty, and this model has no token to begin with.", param="prompt")
        tokens = [begin]
    return Rendered(turn["content"], tokens, [])


def _render_chat(request: ChatRequest, loaded: Loaded, answering: bool) -> Rendered:
    tools = tools_to_template(request.tools) if request.tool_choice != "none" else []
    if not loaded.tokenizer.has_chat_template:
        raise Unsupported(f"{loaded.name!r} has no chat template: it is not made for chats.", param="messages")
    chat = to_template(request.messages)
    begun = bool(begun_by_caller(request))
    options: dict[str, Any] = {"add_generation_prompt": not begun, "continue_final_message": begun}
    if tools and not loaded.told:
        options["tools"] = tools
    if request.reasoning_effort is not None:
        options["enable_thinking"] = request.reasoning_effort != "none"
    try:
        if loaded.told:
            chat = in_words(chat, tools, request.tool_choice)
        text: str = loaded.tokenizer.apply_chat_template(chat, tokenize=False, **options)
        if answering and _state(text, loaded) == "reasoning":
            text += f"{loaded.marks.think_end}\n\n"
        tokens: list[int] = loaded.tokenizer.encode(text, add_special_tokens=False)
    except (jinja2.TemplateError, ValueError, TypeError, KeyError, RecursionError) as fault:
        raise RequestError(_complaint(fault, loaded), param="messages") from None
    return Rendered(text, tokens, tools)


def _complaint(fault: Exception, loaded: Loaded) -> str:
    """The template's own words, if they are its own: anything else may quote the prompt."""
    words, source = str(fault), loaded.tokenizer.chat_template
    own = f": {words}" if words and isinstance(source, str) and words in source else ""
    return f"The chat template of {loaded.name!r} does not take these messages{own}."


def _state(text: str, loaded: Loaded) -> State:
    """Templates may open the model's thinking already; then the answer begins inside it."""
    start, end = loaded.marks.think_start, loaded.marks.think_end
    return "reasoning" if start and end and text.rfind(start) > text.rfind(end) else "text"


def _marks(request: ChatRequest, loaded: Loaded, text: Rendered) -> Marks:
    """Where thoughts, calls and the answer end. A raw prompt is carried on as text and nothing else."""
    stops = request.sampling.stop
    if is_raw(request):
        return Marks(stops=stops)
    marks = replace(loaded.marks, stops=stops)
    if not text.tools:
        return replace(marks, tool_start=None, tool_end=None)
    return replace(marks, tool_start=CALL_START, tool_end=CALL_END) if loaded.told else marks


def _parser(loaded: Loaded, tools: list[dict[str, Any]]) -> ToolParser | None:
    if not tools:
        return None
    return read_call if loaded.told else partial(loaded.tokenizer.tool_parser, tools=tools)


def _warnings(request: ChatRequest, loaded: Loaded, left: int) -> list[Warned]:
    warnings = []
    if (request.sampling.max_output_tokens or 0) > left:
        words = f"The answer is limited to the {left} tokens that the window has left."
        warnings.append(Warned("limited_by_context", words, "max_output_tokens"))
    thinks = loaded.marks.think_start and not is_raw(request)
    if request.reasoning_effort not in (None, "none") and not thinks:
        warnings.append(Warned("ignored", f"{loaded.name!r} does not think apart.", "reasoning_effort"))
    if request.tools and request.tool_choice != "none" and loaded.told:
        words = f"{loaded.name!r} was not trained to call tools: it is told of them in words."
        warnings.append(Warned("untrained_tools", words, "tools"))
    for name in sorted(request.extra.keys() - HARMLESS):
        warnings.append(Warned("ignored", "Local models do not know this setting.", name))
    return [*warnings, *dropped(request, LOCAL)]
