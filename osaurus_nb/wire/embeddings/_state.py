"""What a request holds beside texts and dimensions: each dialect takes its own words, and is told of the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.events import Warned
from osaurus_nb.models import Usage
from osaurus_nb.wire._opaque import AS_SENT, own
from osaurus_nb.wire._osaurus import paid, price


def as_sent(request: EmbeddingRequest, dialect: str) -> Mapping[str, Any]:
    """How the caller said what our own fields say."""
    sent: Mapping[str, Any] = own(request.provider_metadata, dialect).get(AS_SENT) or {}
    return sent


def lost(request: EmbeddingRequest, name: str, dialect: str | None = None) -> Iterator[Warned]:
    """A warning for each knob of another dialect, where the model `name` is asked in this one; None: in none at all."""
    for other in request.provider_metadata or {}:
        if other == dialect:
            continue
        for key in own(request.provider_metadata, other):
            if key != AS_SENT:
                yield Warned("parameter_dropped", f"'{name}' takes no '{key}' for embeddings.", key)


def ours(answer: Embeddings) -> dict[str, Any]:
    """What the key `osaurus` of an answer says: who gave it, with which warnings."""
    warnings = [{"code": row.code, "message": row.message, "param": row.param} for row in answer.warnings]
    estimated = {"estimated": True} if answer.usage is not None and answer.usage.estimated else {}
    told = {"warnings": warnings} if warnings else {}
    cost = {"cost": paid(answer.cost)} if answer.cost is not None else {}
    return {"provider": answer.provider, "model": answer.model, **estimated, **told, **cost}


def told(answer: Embeddings, payload: Mapping[str, Any], *, before: Iterable[Warned] = ()) -> Embeddings:
    """The answer with what a server of ours says under that key."""
    said = payload.get("osaurus")
    said = said if isinstance(said, Mapping) else {}
    rows = [row for row in said.get("warnings") or () if isinstance(row, Mapping)]
    warnings = (Warned(str(row.get("code")), str(row.get("message")), row.get("param")) for row in rows)
    provider, model = said.get("provider") or answer.provider, said.get("model") or answer.model
    answer = replace(answer, provider=str(provider), model=str(model), cost=price(payload))
    return replace(answer, warnings=(*before, *warnings))


def counted(tokens: Any, *marked: Any) -> Usage | None:
    """Tokens of the texts, if that is what this is; an estimate where the answer or a part of it says so."""
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
        return None
    return Usage(tokens, estimated=any(isinstance(part, Mapping) and part.get("estimated") is True for part in marked))
