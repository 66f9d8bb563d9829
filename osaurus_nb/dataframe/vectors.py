"""`osaurus.embed` and `osaurus.search`: a vector for each row, and the rows nearest to a text. Errors are data."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from heapq import nlargest
from operator import mul
from typing import Any, overload

from osaurus_nb._portal import portal
from osaurus_nb.caps import Amount, Budget
from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.dataframe.rows import Rows, missing
from osaurus_nb.errors import OsaurusError, RequestError
from osaurus_nb.models import Usage
from osaurus_nb.spending import Cost

#: Texts in one call, and calls at once.
_BATCH, _AT_ONCE = 64, 4

Vector = Sequence[float]


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that was found: its number, its text and how near it is, from -1 to 1."""

    at: int
    score: float
    text: str = field(repr=False)


class Embedded(Sequence["Vector | None"]):
    """One vector for each row, None where there is an error."""

    def __init__(self, texts: Sequence[Any], model: str) -> None:
        self.texts = texts
        self.model = model
        self.vectors: list[Vector | None] = [None] * len(texts)
        self.errors: dict[int, OsaurusError] = {}
        self.usage = Usage()
        self.cost: Cost | None = None

    @overload
    def __getitem__(self, at: int) -> Vector | None: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Vector | None]: ...
    def __getitem__(self, at: int | slice) -> Vector | Sequence[Vector | None] | None:
        return self.vectors[at]

    def __len__(self) -> int:
        return len(self.vectors)

    def __iter__(self) -> Iterator[Vector | None]:
        return iter(self.vectors)

    def __repr__(self) -> str:
        return f"<Embedded {len(self):,} rows by {self.model}, {len(self.errors):,} without a vector>"

    def nearest(self, vector: Vector, count: int) -> list[Hit]:
        """By the cosine, the nearest first; a row without a vector is not among them."""
        length = math.hypot(*vector) or 1.0
        scored = ((_dot(vector, known) / length, at) for at, known in enumerate(self._units()) if known is not None)
        return [Hit(at, score, str(self.texts[at])) for score, at in nlargest(count, scored)]

    def _units(self) -> Iterator[Vector | None]:
        for vector in self.vectors:
            length = math.hypot(*vector) if vector is not None else 0.0
            yield [each / length for each in vector] if vector is not None and length else None


def embed(
    data: Any, *, model: str, column: str | None = None, max_cost: Amount | None = None, client: Client | None = None
) -> Embedded:
    """A vector for each text of a list or a series, or of a frame's `column`, by the named model, in batches.

    `max_cost` holds for all of them together. What fails is in `errors`, batch by batch, by the rows' numbers.
    """
    rows = Rows(data)
    if rows.kind == "frame" and column not in rows.columns:
        raise RequestError(f"Say which column: {', '.join(rows.columns)}.", param="column")
    texts = list(rows.values() if rows.kind != "frame" else (row[column] for row in rows.values({str(column)})))
    found = Embedded(texts, model)
    with ExitStack() as stack:
        if max_cost is not None:
            stack.enter_context(Budget(max_cost))
        asking = client if client is not None else stack.enter_context(Client())
        portal().run(_fill(found, asking.twin))
    return found


def search(query: str, among: Embedded, *, count: int = 10, client: Client | None = None) -> list[Hit]:
    """The rows of `osaurus.embed` whose meaning is nearest to a text, by the same model's vector of it."""
    with ExitStack() as stack:
        asking = client if client is not None else stack.enter_context(Client())
        return among.nearest(asking.embed(query, model=among.model)[0], count)


async def _fill(found: Embedded, client: AsyncClient) -> None:
    todo = []
    for at, text in enumerate(found.texts):
        if missing(text) or not str(text):
            found.errors[at] = RequestError("This row has no text.", param="data")
        else:
            todo.append(at)
    batches = iter([todo[at : at + _BATCH] for at in range(0, len(todo), _BATCH)])

    async def work() -> None:
        for batch in batches:
            await _embed(found, client, batch)

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))


async def _embed(found: Embedded, client: AsyncClient, batch: Sequence[int]) -> None:
    try:
        answer = await client.embed([str(found.texts[at]) for at in batch], model=found.model)
    except OsaurusError as error:
        found.errors |= dict.fromkeys(batch, error)
        return
    for at, vector in zip(batch, answer.vectors, strict=True):
        found.vectors[at] = vector
    found.usage += answer.usage or Usage()
    if answer.cost is not None:
        found.cost = answer.cost if found.cost is None else found.cost + answer.cost


def _dot(one: Vector, other: Vector) -> float:
    if len(one) != len(other):
        raise RequestError("These vectors are of two models: they do not compare.", param="model")
    return math.fsum(map(mul, one, other))
