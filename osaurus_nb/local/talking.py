"""The work of a language model: answers, and decisions between their steps."""

from __future__ import annotations

from osaurus_nb.decisions import DecisionRequest
from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Event
from osaurus_nb.local.batch import Batch
from osaurus_nb.local.deciding import Deliberation
from osaurus_nb.local.loading import Loaded
from osaurus_nb.local.work import Key, Parcel, Request
from osaurus_nb.request import ChatRequest

#: Tokens of a question's prompt that are read between two tokens of an answer, so that it does not stop.
_BETWEEN = 64


class Talking:
    """One language model at work."""

    def __init__(self, loaded: Loaded, *, slots: int, cache_bytes: int, kv_tokens: int = 0) -> None:
        self._loaded = loaded
        self._slots = slots
        self._batch = Batch(loaded, slots=slots, cache_bytes=cache_bytes, kv_tokens=kv_tokens)
        self._deliberation = Deliberation(loaded, self._batch.prompts)

    @property
    def running(self) -> int:
        return self._batch.running + self._deliberation.running

    @property
    def answered(self) -> int:
        return self._batch.answered + self._deliberation.answered

    @property
    def cache_bytes(self) -> int:
        return self._batch.prompts.nbytes

    def room_for(self, request: Request) -> bool:
        if not isinstance(request, ChatRequest):
            return self.running < self._slots
        crowded = self._deliberation.running and self.running + request.sampling.n > self._slots
        return not crowded and self._batch.room_for(request)

    def admit(self, key: Key, request: Request) -> tuple[Event, ...]:
        match request:
            case ChatRequest():
                return self._batch.admit(key, request)
            case DecisionRequest():
                return self._deliberation.admit(key, request)
        raise Unsupported(f"{self._loaded.name!r} makes no embeddings.", param="model")

    def cancel(self, key: Key) -> bool:
        return self._batch.cancel(key) or self._deliberation.cancel(key)

    def step(self) -> list[Parcel]:
        speaking = self._batch.running > 0
        parcels = self._batch.step() if speaking else []
        if self._deliberation.running:
            step = self._loaded.prefill_step
            parcels += self._deliberation.step(piece=min(_BETWEEN, step) if speaking else step)
        return parcels

    def close(self) -> None:
        self._batch.close()
