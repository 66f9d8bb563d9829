"""`/osaurus/admin`: the desks of the administration over HTTP, for keys with the scope `admin` and Jupyter's users.

Answers hold no secret, except that of a new access key, once; nothing here may be cached.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_server.auth.decorator import allow_unauthenticated

from osaurus_nb.errors import RequestError
from osaurus_nb.gateway.keys import Scope
from osaurus_nb_server.dialects import OPENAI_CHAT
from osaurus_nb_server.handlers.base import ApiHandler
from osaurus_nb_server.service import Service

if TYPE_CHECKING:  # they are loaded with the first request
    from osaurus_nb_server.administration import Administration


class AdminHandler(ApiHandler):
    """Errors are OpenAI's, whoever asks: `param` is the field at fault."""

    scope: ClassVar[Scope | None] = "admin"

    def initialize(self, service: Service) -> None:  # type: ignore[override]
        super().initialize(service, OPENAI_CHAT)
        self.admin: Administration

    async def prepare(self) -> None:  # type: ignore[override]  # as in the base
        await super().prepare()
        if self.request.method != "OPTIONS":
            self.admin = await self.service.administration()

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    def taken(self) -> bytes:
        """The body, which is forgotten by this."""
        body, self.body = bytes(self.body), bytearray()
        return body

    async def answer(self, body: Mapping[str, Any], status: int = HTTPStatus.OK) -> None:
        self.set_status(status)
        await self.finish(json.dumps(body))


class VaultHandler(AdminHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.answer(await self.admin.vault.status())


class UnlockHandler(AdminHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self) -> None:
        await self.answer(await self.admin.vault.unlock(self.taken()))


class IdentityHandler(AdminHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.answer(await self.admin.identity.show())


class AccessKeysHandler(AdminHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.answer(await self.admin.identity.keys())

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self) -> None:
        await self.answer(await self.admin.identity.issue(self.taken()), HTTPStatus.CREATED)

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def delete(self) -> None:
        """All up to a counter: `?up_to=7`."""
        text = self.get_query_argument("up_to", "")
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise RequestError("Say which: DELETE …/keys/ID, or ?up_to=COUNTER for all up to one.", param="up_to")
        await self.answer(await self.admin.identity.revoke_up_to(int(text)))


class AccessKeyHandler(AdminHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def delete(self, id: str) -> None:
        await self.answer(await self.admin.identity.revoke(id))


#: Paths below `/osaurus/admin`, beside those of the providers.
PATHS: dict[str, type[AdminHandler]] = {
    "/vault": VaultHandler,
    "/vault/unlock": UnlockHandler,
    "/identity": IdentityHandler,
    "/identity/keys": AccessKeysHandler,
    "/identity/keys/(.+)": AccessKeyHandler,
}
