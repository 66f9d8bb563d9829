"""A caller's completions body becomes a ChatRequest whose one message is the raw prompt."""

from __future__ import annotations

from osaurus_nb import request as ask
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import user
from osaurus_nb.wire import _opaque
from osaurus_nb.wire._inbound import validate
from osaurus_nb.wire.openai_completions import _schema as schema

#: The name under which the dialect keeps what only it understands.
NAME = "openai_completions"
ECHO = "echo"
#: What the dialect means where nothing is said of the length: a raw prompt has no natural end.
MAX_TOKENS = 16
#: Keys of a chat, which this path would otherwise hand on unread.
_CHATS = ("messages", "tools", "tool_choice", "functions", "function_call", "response_format")


def decode_request(body: bytes) -> ask.ChatRequest:
    """Read a request body. Raises RequestError that names the field at fault, never its value."""
    parsed = validate(schema.CompletionBody, body)
    _refuse(parsed)
    echo = _opaque.keep(NAME, {_opaque.AS_SENT: {ECHO: True}}) if parsed.echo else None
    return ask.ChatRequest(
        model=parsed.model,
        messages=(user(_prompt(parsed.prompt)),),
        sampling=_sampling(parsed),
        reasoning_effort=parsed.effort(None),
        route=parsed.routed,
        delivery=_delivery(parsed),
        extra=parsed.unknown(),
        provider_metadata={**_opaque.raw(or_chat=True), **(echo or {})},
    )


def echoes(request: ask.ChatRequest) -> bool:
    """Shall the prompt be repeated before the answer?"""
    sent = _opaque.own(request.provider_metadata, NAME).get(_opaque.AS_SENT) or {}
    return sent.get(ECHO) is True


def _prompt(prompt: schema.Prompt) -> str:
    texts = [prompt] if isinstance(prompt, str) else prompt
    if not all(isinstance(text, str) for text in texts):
        said = "Prompts of token ids are not taken: each model here has tokens of its own. Send the text."
        raise Unsupported(said, param="prompt")
    if len(texts) > 1:
        raise Unsupported("Several prompts in one request are not taken; send each by itself.", param="prompt")
    if not texts or not texts[0]:
        raise RequestError("'prompt' is empty.", param="prompt")
    return texts[0]


def _refuse(body: schema.CompletionBody) -> None:
    """What would change the answer and cannot be done."""
    if body.suffix:
        raise Unsupported("'suffix' is not supported: no model here is asked to fill a gap.", param="suffix")
    if body.best_of is not None and body.best_of != (body.n or 1):
        said = "'best_of' is not supported: answers are not ranked here. Ask for 'n' and choose yourself."
        raise Unsupported(said, param="best_of")
    if body.echo and body.logprobs is not None:
        said = "'echo' with 'logprobs' is not supported: the prompt's own tokens are not scored."
        raise Unsupported(said, param="echo")
    unknown = body.unknown()
    for name in _CHATS:
        if unknown.get(name):
            raise Unsupported(f"'{name}' belongs to a chat; ask at /v1/chat/completions.", param=name)


def _sampling(body: schema.CompletionBody) -> ask.Sampling:
    return ask.Sampling(
        max_output_tokens=body.max_tokens or MAX_TOKENS,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        seed=body.seed,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        repetition_penalty=body.repetition_penalty,
        logit_bias=body.logit_bias,
        logprobs=body.logprobs is not None,
        top_logprobs=body.logprobs or None,
        n=body.n or 1,
    )


def _delivery(body: schema.CompletionBody) -> ask.Delivery:
    wants_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return ask.Delivery(bool(body.stream), wants_usage)
