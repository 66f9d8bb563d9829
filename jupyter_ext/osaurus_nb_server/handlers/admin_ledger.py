"""`/osaurus/admin/ledger`: what was spent, and the caps. `/osaurus/usage`: the same to the one who spent it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from jupyter_server.auth.decorator import allow_unauthenticated

from osaurus_nb.errors import RequestError
from osaurus_nb.gateway.keys import Scope, is_access_key, is_well_formed
from osaurus_nb_server.handlers.admin import AdminHandler
from osaurus_nb_server.recall import spender

if TYPE_CHECKING:  # it comes with the administration
    from osaurus_nb_server.administration.ledger import LedgerDesk
    from osaurus_nb_server.administration.ledger_files import File, LedgerFiles


class _LedgerHandler(AdminHandler):
    @property
    def ledger(self) -> LedgerDesk:
        return self.admin.ledger

    def said(self) -> dict[str, str]:
        """The parameters of the address, without the credential that may be among them. Raises RequestError."""
        said = {}
        for name, values in self.request.query_arguments.items():
            if len(values) > 1:
                raise RequestError(f"'{name}' stands here twice.", param=name)
            said[name] = values[0].decode(errors="replace")
        said.pop("token", None)
        if is_well_formed(said.get("key", "")) or is_access_key(said.get("key")):
            del said["key"]
        return said


class EntriesHandler(_LedgerHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.answer(await self.ledger.entries(self.said()))


class TotalsHandler(_LedgerHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.answer(await self.ledger.totals(self.said()))


class BudgetsHandler(_LedgerHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.answer(await self.ledger.budgets(self.said()))


class BudgetHandler(_LedgerHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def put(self, kind: str, id: str | None = None) -> None:
        await self.answer(await self.ledger.cap(kind, id, self.taken()))

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def delete(self, kind: str, id: str | None = None) -> None:
        await self.answer(await self.ledger.uncap(kind, id))


class VoidHandler(_LedgerHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self, step: str) -> None:
        await self.answer(await self.ledger.void(step))


class StatusHandler(_LedgerHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.answer(await self.ledger.status())


class _FileHandler(_LedgerHandler):
    async def save(self, make: Callable[[LedgerFiles], Awaitable[File]]) -> None:
        if unknown := next(iter(self.said()), None):
            raise RequestError("A file of the ledger takes no parameters.", param=unknown)
        file = await make(self.admin.ledger_files)
        self.set_header("Content-Disposition", f'attachment; filename="{file.name}"')
        await self.finish(file.data, set_content_type=file.type)


class ExportHandler(_FileHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.save(lambda files: files.export())


class DiagnosticsHandler(_FileHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.save(lambda files: files.diagnostics())


class ReconcileHandler(_LedgerHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self) -> None:
        await self.answer(await self.admin.reconciling.reconcile(self.taken()))


class EncryptHandler(_LedgerHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self) -> None:
        await self.answer(await self.admin.ledger_care.encrypt())


class CheckHandler(_LedgerHandler):
    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def post(self) -> None:
        await self.answer(await self.admin.ledger_care.check())


class UsageHandler(_LedgerHandler):
    """For a key without the scope `admin`: what it spent itself."""

    scope: ClassVar[Scope | None] = "status"

    @allow_unauthenticated  # to Jupyter; `prepare` lets nobody in without a key or a login
    async def get(self) -> None:
        await self.answer(await self.ledger.usage(spender(self.owner), self.said()))


#: Paths below `/osaurus/admin`.
PATHS: dict[str, type[AdminHandler]] = {
    "/ledger": EntriesHandler,
    "/ledger/totals": TotalsHandler,
    "/ledger/budgets": BudgetsHandler,
    "/ledger/budgets/([^/]+)": BudgetHandler,
    "/ledger/budgets/([^/]+)/(.+)": BudgetHandler,
    "/ledger/steps/([^/]+)/void": VoidHandler,
    "/ledger/status": StatusHandler,
    "/ledger/export": ExportHandler,
    "/ledger/diagnostics": DiagnosticsHandler,
    "/ledger/reconcile": ReconcileHandler,
    "/ledger/encrypt": EncryptHandler,
    "/ledger/check": CheckHandler,
}
