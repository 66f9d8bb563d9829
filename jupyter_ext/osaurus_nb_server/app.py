"""The extension as Jupyter sees it: its settings, its paths, its start and its end. Loads nothing heavy."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from traitlets import Any as AnyTrait
from traitlets import Bool, Float, Int

from osaurus_nb.config.environment import environment
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb_server.handlers import routes
from osaurus_nb_server.hidden_keys import HiddenKeys
from osaurus_nb_server.kernel_access import KEY_LIFE, KernelAccess, reachable_url
from osaurus_nb_server.service import MAX_ACTIVE, MAX_BODY, MAX_WAITING, RESPONSE_TTL, Service

#: Seconds between looks at the providers' file.
_LOOK_APART = 1.0


class OsaurusServer(ExtensionApp):
    """An OpenAI-compatible endpoint at `/osaurus/v1`, in front of local and remote models."""

    name = "osaurus_nb_server"
    extension_url = "/"
    load_other_extensions = True

    max_body = Int(MAX_BODY, help="Largest request body in bytes.").tag(config=True)
    ping_after = Float(15.0, help="Seconds of silence in a stream before a comment is sent.").tag(config=True)
    response_ttl = Float(
        RESPONSE_TTL, help="Seconds that a response is kept for `previous_response_id`; 0 keeps none."
    ).tag(config=True)
    max_active = Int(MAX_ACTIVE, help="Requests for work that are under way at once; more wait.").tag(config=True)
    max_waiting = Int(
        MAX_WAITING, help="Requests that may wait for their turn; more are told when to come again (503, Retry-After)."
    ).tag(config=True)
    kernel_access = Bool(
        True, help="Let kernels use this server's models by OSAURUS_URL and OSAURUS_KEY in their environment."
    ).tag(config=True)
    hide_keys = Bool(
        True,
        help="Keep the variables that hold keys of configured providers, and OSAURUS_VAULT_KEY, from kernels "
        "and terminals where those use this server's models: it alone reads them. A notebook, or another extension, "
        "that reads such a variable itself no longer finds it. To let it, name another variable for the provider, or "
        "set this to False.",
    ).tag(config=True)
    make_backend = AnyTrait(
        None, allow_none=True, help="A function that returns what answers, instead of the configured models."
    ).tag(config=True)

    service: Service
    _renewal: asyncio.TimerHandle | None = None
    _hidden_keys: HiddenKeys | None = None
    _look: asyncio.TimerHandle | None = None

    def initialize_settings(self) -> None:
        self.service = Service(
            self.make_backend,
            max_body=self.max_body,
            ping_after=self.ping_after,
            response_ttl=self.response_ttl,
            max_active=self.max_active,
            max_waiting=self.max_waiting,
        )
        self._kernel_access = KernelAccess(self.service.keys)
        self.settings["osaurus_service"] = self.service

    def initialize_handlers(self) -> None:
        self.handlers.extend(routes(self.service))

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Runs when the port is bound and no request was taken yet, so no kernel is older than its key."""
        url = reachable_url(serverapp)
        if self.kernel_access and url is not None:
            if self.hide_keys:
                self._hidden_keys = HiddenKeys(ProviderFile(Paths.from_env()), environment())
                self._hide_keys(self._hidden_keys)
            self._connect_kernels(url)

    def _hide_keys(self, keys: HiddenKeys) -> None:
        """Again and again: a provider may be set up any time, by any process."""
        self._look = asyncio.get_running_loop().call_later(_LOOK_APART, self._hide_keys, keys)
        changed = dict(keys.look())
        manager = self.serverapp.kernel_manager if self.serverapp is not None and changed else None
        update = getattr(manager, "update_env", None)  # managers of remote kernels have none
        if manager is not None and update is not None:
            for id in manager.list_kernel_ids():  # else a session's kernel starts again with what it had at first
                update(kernel_id=id, env=changed)

    def _connect_kernels(self, url: str) -> None:
        """Again at half a key's life, so that no kernel ever starts with one that is about to expire."""
        self._kernel_access.grant(url)
        again = KEY_LIFE.total_seconds() / 2
        self._renewal = asyncio.get_running_loop().call_later(again, self._connect_kernels, url)

    def current_activity(self) -> Any:
        """Answers under way keep the server from its idle shutdown."""
        return len(self.service.active) or None

    async def stop_extension(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        self._kernel_access.withdraw()
        if self._look is not None:
            self._look.cancel()
        if self._hidden_keys is not None:
            self._hidden_keys.restore()
        await self.service.aclose()


def main(argv: list[str] | None = None) -> None:
    """`jupyter osaurus`: the endpoint by itself."""
    from osaurus_nb_server.standalone import serve  # noqa: PLC0415 - its server class is for the command alone

    serve(argv)
