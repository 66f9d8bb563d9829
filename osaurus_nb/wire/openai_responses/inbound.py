"""A caller's Responses body becomes a ChatRequest, or a Turn where the server keeps state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Unsupported, Warned
from osaurus_nb.messages import Message, Opaque, Text
from osaurus_nb.wire._inbound import noticed, validate
from osaurus_nb.wire._opaque import AS_SENT, keep, unseal
from osaurus_nb.wire.openai_responses import _schema as schema
from osaurus_nb.wire.openai_responses import items as wire_items
from osaurus_nb.wire.openai_responses._names import DIALECT

#: Gives the stored item of this id, or None.
Resolve = Callable[[str], Mapping[str, Any] | None]

LOGPROBS = "message.output_text.logprobs"
#: Keys with the same meaning in Chat Completions.
_SHARED = ("store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "previous_response_id")
#: What only the vendor's own service can do.
_VENDOR = ("background", "conversation", "prompt", "moderation")


@dataclass(frozen=True, slots=True)
class Turn:
    """One request with its state apart: `request` is what this body alone asks, `input` what it adds."""

    request: ask.ChatRequest
    input: tuple[schema.Item, ...]

    @property
    def previous_response_id(self) -> str | None:
        found = self.request.extra.get("previous_response_id")
        return found if isinstance(found, str) else None

    def items(self, *, id: str) -> list[dict[str, Any]]:
        """The input as items to be stored and listed; one without an id gets one made of `id`."""
        return [_listed(item, f"item_{id}_{at}") for at, item in enumerate(self.input)]

    def after(self, stored: Iterable[Mapping[str, Any]]) -> ask.ChatRequest:
        """The question with stored items before its input. Instructions are this body's alone."""
        head = self.request.messages[:1] if is_instructions(self.request.messages) else ()
        spoken = wire_items.messages([*wire_items.parse(stored), *self.input])
        extra = {key: value for key, value in self.request.extra.items() if key != "previous_response_id"}
        return replace(self.request, messages=(*head, *spoken), extra=extra)


def decode_request(body: bytes) -> ask.ChatRequest:
    """Read a request body. Raises RequestError that names the field at fault, never its value.

    `previous_response_id` is left in `extra`: whoever keeps responses continues them, see `decode_turn`.
    """
    return decode_turn(body).request


def decode_turn(body: bytes, *, resolve: Resolve | None = None) -> Turn:
    """Read a request body for a server that keeps responses; `resolve` finds what an item_reference means."""
    parsed = validate(schema.ResponsesBody, body)
    _refuse_vendor(parsed)
    given = _input(parsed, resolve)
    spoken = wire_items.messages(given)
    if parsed.instructions is not None:
        marked = Text(parsed.instructions, keep(DIALECT, {AS_SENT: "instructions"}))
        spoken = (Message("system", (marked,)), *spoken)
    return Turn(_request(parsed, spoken), tuple(given))


def is_instructions(messages: Sequence[Message]) -> bool:
    """Does this conversation begin with what a body of ours called its instructions?"""
    return bool(messages) and any(
        (part.provider_metadata or {}).get(DIALECT) == {AS_SENT: "instructions"} for part in messages[0].parts
    )


def _refuse_vendor(body: schema.ResponsesBody) -> None:
    for name in _VENDOR:
        if getattr(body, name):
            raise Unsupported(f"'{name}' is not supported here: only the vendor's own service has it.", param=name)
    if body.n not in (None, 1):
        raise Unsupported("'n' is not supported: this dialect gives one answer.", param="n")


def _input(body: schema.ResponsesBody, resolve: Resolve | None) -> list[schema.Item]:
    if isinstance(body.input, str):
        return [schema.MessageItem(role="user", content=body.input)]
    if not body.input and body.previous_response_id is None:
        raise RequestError("'input' is required.", param="input")
    return [_resolved(item, at, resolve) for at, item in enumerate(body.input or ())]


def _resolved(item: schema.Item, at: int, resolve: Resolve | None) -> schema.Item:
    if not isinstance(item, schema.ReferenceItem) or resolve is None:
        return item
    stored = resolve(item.id)
    if stored is None:
        raise RequestError(f"'input[{at}]' refers to an item that is not stored here.", param=f"input[{at}]")
    return wire_items.parse([stored])[0]


def _listed(item: schema.Item, id: str) -> dict[str, Any]:
    body = item.model_dump(by_alias=True, exclude_unset=True)
    body |= {"type": item.type, "id": body.get("id") or id}
    if isinstance(item, schema.MessageItem) and isinstance(item.content, str):
        kind = {"type": "output_text", "annotations": []} if item.role == "assistant" else {"type": "input_text"}
        body["content"] = [{**kind, "text": item.content}]
    return body if isinstance(item, schema.ReasoningItem | schema.CompactionItem) else {"status": "completed", **body}


def _request(body: schema.ResponsesBody, messages: tuple[Message, ...]) -> ask.ChatRequest:
    tools, choice = _tools(body)
    return ask.ChatRequest(
        model=body.model,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=_response_format(body.text),
        sampling=_sampling(body),
        reasoning_effort=body.effort(body.reasoning.effort if body.reasoning else None),
        route=body.routed,
        delivery=ask.Delivery(bool(body.stream), include_usage=True),
        extra=_extra(body),
        provider_metadata=_own(body),
        warnings=noticed(_noticed(body), strict=body.routed.strict_params),
    )


def _noticed(body: schema.ResponsesBody) -> Iterator[Warned]:
    """What is read and has no effect, or not all of it."""
    options = {key: value for key, value in (body.stream_options or {}).items() if value}
    if options:
        said = "Nothing in 'stream_options' changes a stream of ours."
        yield Warned("parameter_ignored", said, "stream_options")
    items = body.input if isinstance(body.input, list) else ()
    if any(isinstance(item, schema.CompactionItem) and not unseal(item.encrypted_content) for item in items):
        said = "A compaction of another server's is only for its maker to read: another provider does not know it."
        yield Warned("foreign_compaction", said)


def _tools(body: schema.ResponsesBody) -> tuple[tuple[ask.Tool, ...], ask.ToolChoice | None]:
    tools = tuple(_tool(tool, f"tools[{at}].type") for at, tool in enumerate(body.tools or ()))
    match body.tool_choice:
        case schema.NamedChoice(name=name):
            return tools, ask.NamedTool(name)
        case schema.AllowedChoice() as allowed:
            return _allowed(tools, allowed), allowed.mode
        case schema.OtherChoice():
            raise Unsupported(
                "'tool_choice.type' names a tool that only its own provider runs.", param="tool_choice.type"
            )
        case "auto" | "none" | "required" | None as word:
            return tools, word
        case _:  # the schema lets no other word through
            raise AssertionError


def _tool(tool: schema.ToolBody, field: str) -> ask.Tool:
    if isinstance(tool, schema.OtherTool):
        raise Unsupported(f"'{field}' names a tool that only its own provider runs; send functions.", param=field)
    parameters = tool.parameters if tool.parameters is not None else {"type": "object", "properties": {}}
    return ask.Tool(tool.name, tool.description or "", parameters, tool.strict)


def _allowed(tools: tuple[ask.Tool, ...], choice: schema.AllowedChoice) -> tuple[ask.Tool, ...]:
    """Offering only these is the same to the model as forbidding the others."""
    names = {tool.name for tool in choice.tools}
    if unknown := names - {tool.name for tool in tools}:
        raise RequestError(f"'tool_choice.tools' has {len(unknown)} not in 'tools'.", param="tool_choice.tools")
    return tuple(tool for tool in tools if tool.name in names)


def _response_format(text: schema.TextBody | None) -> ask.ResponseFormat | None:
    match text.format if text else None:
        case schema.SchemaFormat() as spec:
            return ask.ResponseFormat("json_schema", spec.name, spec.schema_, spec.strict, spec.description)
        case schema.PlainFormat(type=kind):
            return ask.ResponseFormat(kind)
        case _:
            return None


def _sampling(body: schema.ResponsesBody) -> ask.Sampling:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    logprobs = LOGPROBS in (body.include or ()) or bool(body.top_logprobs)
    return ask.Sampling(
        max_output_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        stop=stop,
        seed=body.seed,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        repetition_penalty=body.repetition_penalty,
        logprobs=logprobs,
        top_logprobs=body.top_logprobs if logprobs else None,
    )


def _extra(body: schema.ResponsesBody) -> dict[str, Any]:
    shared = {name: getattr(body, name) for name in _SHARED}
    shared["verbosity"] = body.text.verbosity if body.text else None
    return {**body.unknown(), **{name: value for name, value in shared.items() if value is not None}}


def _own(body: schema.ResponsesBody) -> Opaque | None:
    """What no other dialect has. The knobs below AS_SENT tune only what the vendor's service adds to an answer."""
    reasoning = body.reasoning.unknown() if body.reasoning else {}
    summary = {key: reasoning.pop(key) for key in ("summary", "generate_summary") if reasoning.get(key)}
    as_sent = {"include": body.include, "max_tool_calls": body.max_tool_calls, "reasoning": summary}
    fields = {
        AS_SENT: {key: value for key, value in as_sent.items() if value} or None,
        "reasoning": {key: value for key, value in reasoning.items() if value is not None} or None,
        "truncation": "auto" if body.truncation == "auto" else None,
    }
    return keep(DIALECT, fields)
