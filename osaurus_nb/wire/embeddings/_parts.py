"""One request as several where a provider takes fewer texts at once, and their answers as one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from osaurus_nb.embeddings import EmbeddingRequest, Embeddings


def parts(request: EmbeddingRequest, size: int) -> Iterator[EmbeddingRequest]:
    """The request in pieces of at most so many texts, in order."""
    if len(request.inputs) <= size:
        yield request
        return
    for at in range(0, len(request.inputs), size):
        yield replace(request, inputs=request.inputs[at : at + size])


def joined(answers: Sequence[Embeddings]) -> Embeddings:
    """The answers to all pieces as one. Tokens count only where every piece was counted."""
    first, *others = answers
    usage, cost = first.usage, first.cost
    for answer in others:
        cost = cost + answer.cost if cost is not None and answer.cost is not None else cost or answer.cost
        usage = usage + answer.usage if usage is not None and answer.usage is not None else None
    return replace(
        first,
        vectors=tuple(vector for answer in answers for vector in answer.vectors),
        usage=usage,
        cost=cost,
        warnings=tuple(dict.fromkeys(warning for answer in answers for warning in answer.warnings)),
    )
