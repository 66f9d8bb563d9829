"""Gemini's embedContent and batchEmbedContents. Pure: no I/O, no clock, no settings.

Each text of a batch may have words of its own (what it is for, its title): they are kept as columns, one entry a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import _errors, _openai_keys
from osaurus_nb.wire._codec import Encoded
from osaurus_nb.wire._inbound import Open, validate
from osaurus_nb.wire._opaque import AS_SENT, keep, own
from osaurus_nb.wire.embeddings._state import as_sent, counted, lost, ours
from osaurus_nb.wire.embeddings._vectors import bad, checked
from osaurus_nb.wire.google_generate import encode_embedding, encode_embeddings
from osaurus_nb.wire.google_generate._names import NAME, bare
from osaurus_nb.wire.google_generate._schema import Content
from osaurus_nb.wire.google_generate.outbound import address, resource

#: So many texts go into one batch, at the vendor and here.
MAX_TEXTS = 100
#: Keys that belong to each text, also where a caller of another dialect says them once for all.
_OF_EACH = ("taskType", "title", "embedContentConfig")
_DIMENSIONS = "outputDimensionality"
#: What fields of ours say.
_OURS: Mapping[str, Any] = {
    "model": True,
    "content": True,
    "output_dimensionality": True,
    "embed_content_config": {"output_dimensionality"},
}


class _Camel(Open):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class _Config(_Camel):
    output_dimensionality: int | None = Field(default=None, ge=1)
    task_type: str | None = None
    title: str | None = None


class _One(_Camel):
    """One text; a null means the same as a missing key."""

    model: str | None = None
    content: Content
    task_type: str | None = None
    title: str | None = None
    output_dimensionality: int | None = Field(default=None, ge=1)
    embed_content_config: _Config | None = None

    @property
    def dimensions(self) -> int | None:
        config = self.embed_content_config
        return self.output_dimensionality or (config.output_dimensionality if config else None)


class _Batch(_Camel):
    requests: list[_One] = Field(min_length=1)


def decode_request(body: bytes, *, model: str, batch: bool = True) -> EmbeddingRequest:
    """Read a request body. Raises RequestError that names the field at fault, never its value.

    The address says which model is asked, and whether for one text or for a batch.
    """
    parsed = validate(_Batch, body) if batch else None
    rows = parsed.requests if parsed else [validate(_One, body)]
    if len(rows) > MAX_TEXTS:
        raise RequestError(f"'requests' holds {len(rows)} texts; {MAX_TEXTS} may come at once.", param="requests")
    fields = [f"requests[{at}]." if batch else "" for at in range(len(rows))]
    for row, field in zip(rows, fields, strict=True):
        _check(row, field, model, rows[0].dimensions)
    contents = [row.content.model_dump(by_alias=True, exclude_none=True) for row in rows]
    return EmbeddingRequest(
        model=bare(model),
        inputs=tuple(_text(row.content, f"{field}content") for row, field in zip(rows, fields, strict=True)),
        dimensions=rows[0].dimensions,
        extra=parsed.unknown() if parsed else {},
        provider_metadata=keep(NAME, {**_columns(rows), AS_SENT: {"batch": batch, "contents": contents}}),
    )


def encode_response(answer: Embeddings, request: EmbeddingRequest, *, seconds: float = 0) -> dict[str, Any]:
    """The body for a caller: one vector where it asked for one, else a list."""
    batch = as_sent(request, NAME).get("batch", True)
    body = encode_embeddings(answer.vectors) if batch else encode_embedding(answer.vectors[0])
    if answer.usage is not None:
        tokens = answer.usage.total_input
        body["usageMetadata"] = {"promptTokenCount": tokens, "totalTokenCount": tokens}
    return body | {"osaurus": ours(answer)}


def endpoint(card: ModelCard) -> str:
    return address(card, "batchEmbedContents")


def encode_request(request: EmbeddingRequest, card: ModelCard) -> Encoded:
    """A batch, also of one. Words for each text that come from elsewhere are said of every text."""
    extra = _openai_keys.without(request.extra)
    shared = {key: extra.pop(key) for key in _OF_EACH if key in extra}
    if request.dimensions is not None:
        shared[_DIMENSIONS] = request.dimensions
    columns = own(request.provider_metadata, NAME)
    contents = (columns.pop(AS_SENT, None) or {}).get("contents") or [_content(text) for text in request.inputs]
    name = resource(card)
    rows = [{**shared, **_entry(columns, at), "model": name, "content": content} for at, content in enumerate(contents)]
    told = [*_openai_keys.dropped(request.extra, "Google"), *lost(request, card.name, NAME)]
    if request.truncate is False:
        told.append(Warned("parameter_dropped", "Google has no 'truncate': it may cut a text.", "truncate"))
    return Encoded({**extra, "requests": rows}, tuple(told))


def decode_response(payload: Mapping[str, Any], card: ModelCard, request: EmbeddingRequest) -> Embeddings:
    """The vectors of a batch, or the one of a server that knows no other answer."""
    rows = payload.get("embeddings")
    if rows is None and "embedding" in payload:
        rows = [payload["embedding"]]
    if payload.get("error") and not rows:
        raise _errors.in_band(payload, provider=card.provider, model=card.id)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise bad("sent no list of vectors", card)
    usage = payload.get("usageMetadata")
    tokens = usage.get("promptTokenCount") if isinstance(usage, dict) else None
    return Embeddings(
        provider=card.provider,
        model=card.id,
        vectors=checked((row.get("values") for row in rows), card, request),
        usage=counted(tokens, payload.get("osaurus")),
    )


def _check(row: _One, field: str, model: str, dimensions: int | None) -> None:
    if row.model is not None and bare(row.model) != bare(model):
        said = f"'{field}model' is another model than the one in the address."
        raise RequestError(said, param=f"{field}model")
    if row.dimensions != dimensions:
        name = f"{field}{_DIMENSIONS}"
        raise Unsupported(f"'{name}' must be the same for every text of a batch.", param=name)


def _text(content: Content, field: str) -> str:
    """All parts of a content have one vector."""
    for at, part in enumerate(content.parts or ()):
        if strange := sorted(part.model_dump(by_alias=True, exclude_none=True).keys() - {"text"}):
            name = f"{field}.parts[{at}].{strange[0]}"
            raise Unsupported(f"'{name}': only text has a vector here.", param=name)
    text = "".join(part.text or "" for part in content.parts or ())
    if not text:
        raise RequestError(f"'{field}' holds no text.", param=field)
    return text


def _content(text: str) -> dict[str, Any]:
    return {"parts": [{"text": text}]}


def _columns(rows: Sequence[_One]) -> dict[str, list[Any]]:
    """What is said of texts beside what our own fields say, by its key."""
    said = [row.model_dump(by_alias=True, exclude_none=True, exclude=_OURS) for row in rows]
    keys = dict.fromkeys(key for row in said for key, value in row.items() if value != {})
    return {key: [row.get(key) for row in said] for key in keys}


def _entry(columns: Mapping[str, Any], at: int) -> dict[str, Any]:
    found = {key: column[at] for key, column in columns.items() if isinstance(column, list) and at < len(column)}
    return {key: value for key, value in found.items() if value is not None}
