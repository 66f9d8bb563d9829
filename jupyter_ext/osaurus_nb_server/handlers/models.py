"""`GET` of the models that can be named here, and of one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from jupyter_server.auth.decorator import allow_unauthenticated

from osaurus_nb.catalog import names
from osaurus_nb.models import ModelCard
from osaurus_nb_server.handlers.base import ApiHandler


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


def _find(name: str, cards: Sequence[ModelCard]) -> ModelCard:
    """The listed model of this name. A provider may answer to ids that it does not list; those are not shown."""
    listed: dict[str, list[ModelCard]] = {}
    for card in cards:
        listed.setdefault(card.provider, []).append(card)
    card = names.resolve(name, listed)
    if card not in listed.get(card.provider, ()):
        raise names.not_found(name, [card.name for card in cards])
    return card
