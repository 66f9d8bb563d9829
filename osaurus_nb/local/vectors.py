"""Texts under way to their vectors, some at each step. Knows no threads and no sockets: see `engine`.

Requests take turns, so that a long list does not keep a short one waiting. A text that is longer than the model
reads is an error, unless the caller has asked for `truncate`: then it is cut, with a warning.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import mlx.core as mx
import numpy as np

from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import ContextTooLong, RequestError, Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.local.bert import pad
from osaurus_nb.local.encoder import Encoder
from osaurus_nb.local.work import Key, Parcel, Request
from osaurus_nb.models import LOCAL, Usage
from osaurus_nb.wire.embeddings import lost

#: Settings that change no vector.
_HARMLESS = frozenset({"user", "keep_alive"})


@dataclass(slots=True)
class _Job:
    """One request: its texts as ids, those still to read (longest last), and the vectors found."""

    key: Key
    texts: list[list[int]]
    left: list[int]
    vectors: list[array[float]]
    warnings: tuple[Warned, ...]


@dataclass(slots=True)
class Vectors:
    """The work of an embedding model."""

    encoder: Encoder
    slots: int
    answered: int = 0
    cache_bytes: int = 0
    _jobs: list[_Job] = field(default_factory=list)

    @property
    def running(self) -> int:
        return len(self._jobs)

    def room_for(self, request: Request) -> bool:
        return self.running < self.slots

    def admit(self, key: Key, request: Request) -> tuple[()]:
        """Take a request in. Raises RequestError for one that cannot be served."""
        if not isinstance(request, EmbeddingRequest):
            raise Unsupported(f"{self.encoder.name!r} makes embeddings and nothing else.", param="model")
        _refuse_unserved(request, self.encoder)
        texts = _read(request, self.encoder)
        warnings = (*_cut(texts, request, self.encoder), *_ignored(request, self.encoder))
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        self._jobs.append(_Job(key, texts, order, [array("f")] * len(texts), warnings))
        return ()

    def cancel(self, key: Key) -> bool:
        """Drop a request before its next texts are read."""
        left = [job for job in self._jobs if job.key != key]
        known, self._jobs = len(left) < len(self._jobs), left
        return known

    def step(self) -> list[Parcel]:
        """Read some texts of the request whose turn it is; its vectors, when they were the last ones."""
        job = self._jobs.pop(0)
        self._read_some(job)
        if job.left:
            self._jobs.append(job)
            return []
        self.answered += 1
        if not self._jobs:
            mx.clear_cache()
        usage = Usage(input_tokens=sum(map(len, job.texts)))
        return [(job.key, Embeddings(LOCAL, self.encoder.name, tuple(job.vectors), usage, job.warnings))]

    def close(self) -> None:
        self._jobs.clear()

    def _read_some(self, job: _Job) -> None:
        """The longest texts first: of like lengths, as many as a step may hold when they are padded."""
        count = max(1, self.encoder.step // len(job.texts[job.left[-1]]))
        chosen, job.left = job.left[-count:], job.left[:-count]
        found = self.encoder.model(*pad([job.texts[at] for at in chosen])).astype(mx.float32)
        mx.eval(found)
        for at, vector in zip(chosen, np.asarray(found), strict=True):
            job.vectors[at] = array("f", vector.tobytes())


def _refuse_unserved(request: EmbeddingRequest, encoder: Encoder) -> None:
    if not request.inputs:
        raise RequestError("There is no text to embed.", param="input")
    if request.dimensions not in (None, encoder.model.width):
        raise Unsupported(
            f"The vectors of {encoder.name!r} have {encoder.model.width} dimensions and cannot be shortened.",
            param="dimensions",
        )


def _read(request: EmbeddingRequest, encoder: Encoder) -> list[list[int]]:
    try:
        return [list(found.ids) for found in encoder.tokenizer.encode_batch(list(request.inputs))]
    except (TypeError, ValueError) as fault:
        words = f"A text cannot be read: {type(fault).__name__}. Is it Unicode?"
        raise RequestError(words, param="input") from None


def _cut(texts: list[list[int]], request: EmbeddingRequest, encoder: Encoder) -> Iterator[Warned]:
    """Make long texts fit, if the caller wants it so; the closing token stays."""
    long = [at for at, text in enumerate(texts) if len(text) > encoder.context]
    if not long:
        return
    if not (request.truncate or request.extra.get("truncate") is True):
        raise ContextTooLong(
            f"Text {long[0]} has {len(texts[long[0]])} tokens and {encoder.name!r} reads {encoder.context}. "
            'Split it, or set "truncate" to true to have the rest left out.',
            param="input",
        )
    for at in long:
        texts[at] = [*texts[at][: encoder.context - 1], texts[at][-1]]
    yield Warned("truncated", f"Only the first {encoder.context} tokens were read of {_named(long)}.", "input")


def _named(places: Sequence[int]) -> str:
    shown = ", ".join(map(str, places[:10]))
    return f"text {shown}" if len(places) == 1 else f"texts {shown}{' and others' if len(places) > 10 else ''}"


def _ignored(request: EmbeddingRequest, encoder: Encoder) -> Iterator[Warned]:
    for name in sorted(request.extra.keys() - _HARMLESS - {"truncate"}):
        yield Warned("ignored", "Local models do not know this setting.", name)
    yield from (warned for warned in lost(request, encoder.name) if warned.param not in _HARMLESS)
