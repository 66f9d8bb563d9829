"""A caller's Chat Completions body becomes a ChatRequest."""

from __future__ import annotations

from collections.abc import Iterator

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Warned
from osaurus_nb.messages import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.wire._inbound import base64_bytes, data_url, noticed, unread, validate
from osaurus_nb.wire.openai_chat import _schema as schema


def decode_request(body: bytes) -> ask.ChatRequest:
    """Read a request body. Raises RequestError that names the field at fault, never its value."""
    parsed = validate(schema.ChatBody, body)
    return ask.ChatRequest(
        model=parsed.model,
        messages=tuple(_message(message, at) for at, message in enumerate(parsed.messages)),
        tools=tuple(_tool(tool.function) for tool in parsed.tools or ()),
        tool_choice=_tool_choice(parsed.tool_choice),
        parallel_tool_calls=parsed.parallel_tool_calls,
        response_format=_response_format(parsed.response_format),
        sampling=_sampling(parsed),
        reasoning_effort=parsed.effort(parsed.reasoning_effort),
        route=parsed.routed,
        delivery=_delivery(parsed),
        extra=parsed.unknown(),
        warnings=noticed(_noticed(parsed), strict=parsed.routed.strict_params),
    )


def _noticed(body: schema.ChatBody) -> Iterator[Warned]:
    """What is read and has no effect, each kind once."""
    if body.stream_options is not None:
        if not body.stream:
            said = "'stream_options' means something only with 'stream'."
            yield Warned("parameter_ignored", said, "stream_options")
        yield from unread(body.stream_options, "stream_options")
    found = {warning.param: warning for warning in (*_in_messages(body), *_in_tools(body))}
    yield from found.values()


def _in_messages(body: schema.ChatBody) -> Iterator[Warned]:
    for message in body.messages:
        if isinstance(message.content, list):
            for part in message.content:
                yield from unread(part, "messages.content")
        for call in message.tool_calls or ():
            yield from unread(call, "messages.tool_calls")


def _in_tools(body: schema.ChatBody) -> Iterator[Warned]:
    for tool in body.tools or ():
        yield from (*unread(tool, "tools"), *unread(tool.function, "tools.function"))
    if body.response_format is not None:
        yield from unread(body.response_format, "response_format")


def _message(body: schema.MessageBody, at: int) -> Message:
    if body.role == "tool":
        if body.tool_call_id is None:
            raise RequestError(f"'messages[{at}].tool_call_id' is required.", param=f"messages[{at}].tool_call_id")
        texts = tuple(part for part in _content(body, at) if isinstance(part, Text | Media))
        return Message("tool", (ToolResult(body.tool_call_id, texts),), name=body.name, extra=body.unknown())
    thinking = (Reasoning(body.reasoning_content),) if body.reasoning_content is not None else ()
    calls = tuple(ToolCall(c.id, c.function.name, c.function.arguments) for c in body.tool_calls or ())
    if body.content is None and not calls and body.role != "assistant":
        raise RequestError(f"'messages[{at}].content' is required.", param=f"messages[{at}].content")
    return Message(body.role, (*thinking, *_content(body, at), *calls), name=body.name, extra=body.unknown())


def _content(body: schema.MessageBody, at: int) -> tuple[Part, ...]:
    if body.content is None:
        return ()
    if isinstance(body.content, str):
        return (Text(body.content),)
    return tuple(_part(part, f"messages[{at}].content[{i}]") for i, part in enumerate(body.content))


def _part(part: schema.ContentPart, where: str) -> Part:
    match part:
        case schema.TextPart():
            return Text(part.text)
        case schema.RefusalPart():
            return Text(part.refusal)
        case schema.ImagePart(image_url=image):
            return _from_url(image.url, image.detail, where)
        case schema.AudioPart(input_audio=audio):
            return Media("audio", f"audio/{audio.format}", data=base64_bytes(audio.data, f"{where}.input_audio.data"))
        case schema.FilePart(file=file):
            return _file(file, where)


def _from_url(url: str, detail: str | None, where: str) -> Media:
    if url.startswith("data:"):
        media_type, data = data_url(url, f"{where}.image_url.url")
        return Media("image", media_type, data=data, detail=detail)
    if url.startswith(("http://", "https://")):
        return Media("image", url=url, detail=detail)
    field = f"{where}.image_url.url"
    raise RequestError(f"'{field}' must be a data: URL or an http(s) URL.", param=field)


def _file(file: schema.FileData, where: str) -> Media:
    field = f"{where}.file.file_data"
    if file.file_data is None:
        raise RequestError(f"'{field}' is required: uploaded file ids belong to one provider.", param=field)
    media_type, data = data_url(file.file_data, field)
    return Media("document", media_type, data=data, filename=file.filename)


def _tool(spec: schema.FunctionSpec) -> ask.Tool:
    parameters = spec.parameters if spec.parameters is not None else {"type": "object", "properties": {}}
    return ask.Tool(spec.name, spec.description or "", parameters, spec.strict)


def _tool_choice(choice: str | schema.NamedChoice | None) -> ask.ToolChoice | None:
    match choice:
        case schema.NamedChoice(function=function):
            return ask.NamedTool(function.name)
        case "auto" | "none" | "required" | None:
            return choice
        case _:  # the schema lets no other word through
            raise AssertionError(choice)


def _response_format(body: schema.ResponseFormatBody | None) -> ask.ResponseFormat | None:
    if body is None:
        return None
    if body.type != "json_schema":
        return ask.ResponseFormat(body.type)
    if body.json_schema is None:
        raise RequestError("'response_format.json_schema' is required.", param="response_format.json_schema")
    spec = body.json_schema
    return ask.ResponseFormat("json_schema", spec.name, spec.schema_, spec.strict, spec.description)


def _sampling(body: schema.ChatBody) -> ask.Sampling:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return ask.Sampling(
        max_output_tokens=body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        stop=stop,
        seed=body.seed,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        repetition_penalty=body.repetition_penalty,
        logit_bias=body.logit_bias,
        logprobs=bool(body.logprobs),
        top_logprobs=body.top_logprobs,
        n=body.n or 1,
    )


def _delivery(body: schema.ChatBody) -> ask.Delivery:
    wants_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return ask.Delivery(bool(body.stream), wants_usage)
