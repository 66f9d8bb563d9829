"""Which models can be named here, one of them, and those that are loaded."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, cast

from jupyter_server.auth.decorator import allow_unauthenticated

from osaurus_nb.catalog import names
from osaurus_nb.models import LOCAL, ModelCard
from osaurus_nb_server.dialect import Address, Codec
from osaurus_nb_server.handlers.base import ApiHandler
from osaurus_nb_server.handlers.work import WorkHandler


class Listing(Codec, Protocol):
    """A codec that tells more of models than the two lists."""

    def decode_show(self, body: bytes, /) -> str: ...

    def encode_running(self, running: Iterable[tuple[ModelCard, int]], /) -> dict[str, Any]: ...

    def encode_version(self) -> dict[str, Any]: ...


class ModelsHandler(ApiHandler):
    scope = "models"

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        cards = await (await self.service.backend()).models()
        await self.finish(json.dumps(self.codec.encode_models(cards)))


class ModelHandler(ApiHandler):
    """One model by any name that a request may use. Ids hold slashes and colons."""

    scope = "models"

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self, name: str) -> None:
        cards = await (await self.service.backend()).models()
        await self.finish(json.dumps(self.codec.encode_model(_find(name, cards))))


class ShowHandler(WorkHandler):
    """One model, asked for by `POST`."""

    scope = "models"

    async def work(self, address: Address) -> None:
        name = cast(Listing, self.codec).decode_show(bytes(self.body))
        cards = await (await self.service.backend()).models()
        await self.finish(json.dumps(self.codec.encode_model(_find(name, cards))))


class RunningHandler(ApiHandler):
    """`GET` of the models that are in the memory of this machine."""

    scope = "models"

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        now = time.time()
        ends = {worker.model: int(now + worker.leaves_in) for worker in await self.service.workers()}
        cards = await (await self.service.backend()).models()
        loaded = [(card, ends[card.id]) for card in cards if card.provider == LOCAL and card.id in ends]
        await self.finish(json.dumps(cast(Listing, self.codec).encode_running(loaded)))


class VersionHandler(ApiHandler):
    """`GET` of the version of the dialect that is spoken here."""

    scope = "models"

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.finish(json.dumps(cast(Listing, self.codec).encode_version()))


def _find(name: str, cards: Sequence[ModelCard]) -> ModelCard:
    """The listed model of this name. A provider may answer to ids that it does not list; those are not shown."""
    card = names.find(name, cards)
    if card not in cards:
        raise names.not_found(name, [card.name for card in cards])
    return card
