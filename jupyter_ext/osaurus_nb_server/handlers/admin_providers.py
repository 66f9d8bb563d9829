"""`/osaurus/admin/providers`: set up, changed, tried, given their secrets, and watched."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import allow_unauthenticated

from osaurus_nb_server.handlers.admin import AdminHandler
from osaurus_nb_server.handlers.admin_events import EventsHandler

if TYPE_CHECKING:  # it comes with the administration
    from osaurus_nb.providers.keys import Which


class PresetsHandler(AdminHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.answer(self.admin.providers.presets())


class ProvidersHandler(AdminHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.answer(await self.admin.providers.list())

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self) -> None:
        await self.answer(await self.admin.providers.add(self.taken()), HTTPStatus.CREATED)


class ReorderHandler(AdminHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self) -> None:
        await self.answer(await self.admin.providers.reorder(self.taken()))


class ProviderHandler(AdminHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self, name: str) -> None:
        await self.answer(await self.admin.providers.get(name))

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def patch(self, name: str) -> None:
        await self.answer(await self.admin.providers.edit(name, self.taken()))

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def delete(self, name: str) -> None:
        await self.answer(await self.admin.providers.remove(name))


class ActHandler(AdminHandler):
    """What needs nothing but the provider's name. The path says which."""

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self, name: str, act: str) -> None:
        providers = self.admin.providers
        if act in ("enable", "disable"):
            await self.answer(await providers.enable(name, on=act == "enable"))
        else:
            acts = {"test": providers.test, "connect": providers.connect, "disconnect": providers.disconnect}
            await self.answer(await acts[act](name))


class KeyHandler(AdminHandler):
    """A provider's key, with `?number=2` one that is asked with where those before it fail. None can be read back."""

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def put(self, name: str) -> None:
        await self.answer(await self.admin.keys.keep(name, self._which(), self.taken()))

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def delete(self, name: str) -> None:
        await self.answer(await self.admin.keys.forget_key(name, self._which()))

    def _which(self) -> Which:
        return self.admin.keys.which(self.get_query_argument("number", "1"))


class HeaderHandler(AdminHandler):
    """The value of one of its secret headers."""

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def put(self, name: str, title: str) -> None:
        await self.answer(await self.admin.keys.keep(name, self.admin.keys.header(title), self.taken()))

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def delete(self, name: str, title: str) -> None:
        await self.answer(await self.admin.keys.forget_header(name, self.admin.keys.header(title)))


_ONE = "/providers/([^/]+)"
#: Paths below `/osaurus/admin`, the more particular first.
PATHS: dict[str, type[AdminHandler]] = {
    "/presets": PresetsHandler,
    "/providers": ProvidersHandler,
    "/providers/events": EventsHandler,
    "/providers/reorder": ReorderHandler,
    _ONE: ProviderHandler,
    f"{_ONE}/(enable|disable|test|connect|disconnect)": ActHandler,
    f"{_ONE}/key": KeyHandler,
    f"{_ONE}/headers/([^/]+)": HeaderHandler,
}
