"""`GET` of how the server does: well or not for anybody, the details for those with a key."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated

from osaurus_nb_server.handlers.base import ApiHandler


class HealthHandler(ApiHandler):
    scope = None

    @allow_unauthenticated
    async def get(self) -> None:
        details = await self._details() if self._may_see_details() else {}
        await self.finish(json.dumps({"status": "ok", **details}))

    def _may_see_details(self) -> bool:
        return self.key.opens("status") if self.key is not None else self.current_user is not None

    async def _workers(self) -> list[dict[str, Any]]:
        """The models in memory, and how often this server had to start one anew."""
        running = await self.service.workers()
        ours = await (await self.service.backend()).workers() if running else ()
        again = {each.model: each.restarts for each in ours}
        return [{**asdict(each), "restarts": again.get(each.model, 0)} for each in running]

    async def _details(self) -> dict[str, Any]:
        sources = await self.service.sources()
        return {
            "models": sum(source.models for source in sources),
            "providers": [asdict(source) for source in sources],
            "workers": await self._workers(),
            "active": len(self.service.active),
            "waiting": self.service.admission.waiting,
            "refused": self.service.admission.refused,
            "answered": self.service.answered,
            "uptime": round(self.service.uptime, 3),
            "versions": {
                "osaurus-nb": version("osaurus-nb"),
                "jupyter-server": version("jupyter-server"),
                "python": platform.python_version(),
            },
        }
