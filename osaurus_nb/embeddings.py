"""Texts as points in space: what is asked and what comes back. Values only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from osaurus_nb.events import Warned
from osaurus_nb.messages import Opaque
from osaurus_nb.models import Usage
from osaurus_nb.spending import Cost


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts for one model. `dimensions` asks for shorter vectors; a model that has none such refuses.

    `truncate` says whether a text that is longer than the model reads may be cut; None leaves it to the provider.
    """

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    truncate: bool | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    provider_metadata: Opaque | None = None

    def __repr__(self) -> str:
        return f"EmbeddingRequest({self.model!r}, {len(self.inputs)} texts)"


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector for each text, in the order asked. A sequence of them, so that `numpy.array(answer)` is a matrix."""

    provider: str
    model: str
    vectors: tuple[Sequence[float], ...]
    usage: Usage | None = None
    warnings: tuple[Warned, ...] = ()
    #: None where nobody meters.
    cost: Cost | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, at: int) -> Sequence[float]:
        return self.vectors[at]

    def __iter__(self) -> Iterator[Sequence[float]]:
        return iter(self.vectors)

    def __repr__(self) -> str:
        width = len(self.vectors[0]) if self.vectors else 0
        return f"Embeddings({self.provider}/{self.model}, {len(self.vectors)} x {width})"
