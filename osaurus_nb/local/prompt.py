"""From a request to the tokens that the model reads. Refuses what this model, or this engine yet, cannot serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jinja2

from osaurus_nb.errors import ContextTooLong, RequestError, Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.local.loading import Loaded
from osaurus_nb.local.templates import to_template, tools_to_template
from osaurus_nb.local.text_stream import State
from osaurus_nb.request import ChatRequest

#: Settings that change nothing in an answer.
_HARMLESS = frozenset({"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"})
#: For callers who name no limit.
DEFAULT_MAX_TOKENS = 4096


@dataclass(frozen=True, slots=True, repr=False)
class Prompt:
    """What the model reads, how much it may say, and in which state its answer begins."""

    tokens: list[int]
    max_tokens: int
    state: State
    tools: list[dict[str, Any]]
    warnings: tuple[Warned, ...]


def read(request: ChatRequest, loaded: Loaded) -> Prompt:
    """The prompt of `request`. Raises RequestError, Unsupported or ContextTooLong."""
    _refuse_unserved(request, loaded)
    tools = tools_to_template(request.tools) if request.tool_choice != "none" else []
    text, tokens = _render(request, loaded, tools)
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
        state=_state(text, loaded),
        tools=tools,
        warnings=tuple(_warnings(request, loaded, left)),
    )


def _refuse_unserved(request: ChatRequest, loaded: Loaded) -> None:
    shape = request.response_format
    if shape is not None and shape.kind != "text":
        raise Unsupported(f"Local models cannot yet be held to {shape.kind}.", param="response_format")
    if request.tools and request.tool_choice != "none" and not loaded.marks.tool_start:
        raise Unsupported(f"{loaded.name!r} has no tool calls.", param="tools")
    if request.tool_choice not in (None, "auto", "none"):
        raise Unsupported("Local models cannot yet be forced to call a tool.", param="tool_choice")


def _render(request: ChatRequest, loaded: Loaded, tools: list[dict[str, Any]]) -> tuple[str, list[int]]:
    if not loaded.tokenizer.has_chat_template:
        raise Unsupported(f"{loaded.name!r} has no chat template: it is not made for chats.", param="messages")
    chat = to_template(request.messages)
    # An answer that the caller began is carried on, not followed by a new one.
    begun = request.messages[-1].role == "assistant" and not request.messages[-1].tool_calls
    options: dict[str, Any] = {"add_generation_prompt": not begun, "continue_final_message": begun}
    if request.reasoning_effort is not None:
        options["enable_thinking"] = request.reasoning_effort != "none"
    try:
        text: str = loaded.tokenizer.apply_chat_template(chat, tools=tools or None, tokenize=False, **options)
        tokens: list[int] = loaded.tokenizer.encode(text, add_special_tokens=False)
    except (jinja2.TemplateError, ValueError, TypeError, KeyError) as fault:
        raise RequestError(_complaint(fault, loaded), param="messages") from None
    return text, tokens


def _complaint(fault: Exception, loaded: Loaded) -> str:
    """The template's own words, if they are its own: anything else may quote the prompt."""
    words, source = str(fault), loaded.tokenizer.chat_template
    own = f": {words}" if words and isinstance(source, str) and words in source else ""
    return f"The chat template of {loaded.name!r} does not take these messages{own}."


def _state(text: str, loaded: Loaded) -> State:
    """Templates may open the model's thinking already; then the answer begins inside it."""
    start, end = loaded.marks.think_start, loaded.marks.think_end
    return "reasoning" if start and end and text.rfind(start) > text.rfind(end) else "text"


def _warnings(request: ChatRequest, loaded: Loaded, left: int) -> list[Warned]:
    warnings = []
    if (request.sampling.max_output_tokens or 0) > left:
        words = f"The answer is limited to the {left} tokens that the window has left."
        warnings.append(Warned("limited_by_context", words, "max_output_tokens"))
    if request.reasoning_effort not in (None, "none") and not loaded.marks.think_start:
        warnings.append(Warned("ignored", f"{loaded.name!r} does not think apart.", "reasoning_effort"))
    for name in sorted(request.extra.keys() - _HARMLESS):
        warnings.append(Warned("ignored", "Local models do not know this setting.", name))
    return warnings
