"""What the user set, read once from the environment into one value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from osaurus_nb.config.paths import Paths
from osaurus_nb.ports import Timeouts

#: The model that `osaurus-nb pull` fetches: it answers when nobody names one.
EMBEDDED_MODEL = "smollm2-135m-instruct"
ROUTER_URL = "https://router.osaurus.ai"
_NO = ("off", "0", "false", "no")


@dataclass(frozen=True, slots=True)
class Settings:
    """`url` and `key` are there when a Jupyter server of ours started this process: connected mode."""

    paths: Paths
    model: str = EMBEDDED_MODEL
    url: str | None = None
    key: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    #: Is the hosted Router one of the sources, once there is an identity? And where it is.
    router: bool = True
    router_url: str = ROUTER_URL
    #: May servers of models on this machine that are not set up be looked for, to be offered?
    offers: bool = True
    #: Is nobody asked but this machine and its networks, whoever wants it?
    local_only: bool = False

    def __repr__(self) -> str:
        mode = "connected" if self.url else "embedded"
        return f"Settings({mode}, model={self.model!r})"

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        url, key = env.get("OSAURUS_URL") or None, env.get("OSAURUS_KEY") or None
        return cls(
            paths=Paths.from_env(env),
            model=env.get("OSAURUS_MODEL") or EMBEDDED_MODEL,
            url=url.rstrip("/") if url and key else None,
            key=key if url else None,
            router=_on(env, "OSAURUS_ROUTER"),
            router_url=env.get("OSAURUS_ROUTER_URL") or ROUTER_URL,
            offers=_on(env, "OSAURUS_OFFERS"),
            local_only=only_home(env),
        )


def only_home(env: Mapping[str, str] = os.environ) -> bool:
    """Is OSAURUS_LOCAL_ONLY set? Whatever it is set to but an explicit no means yes: it is there to be safe."""
    return env.get("OSAURUS_LOCAL_ONLY", "").strip().lower() not in ("", *_NO)


def _on(env: Mapping[str, str], name: str) -> bool:
    """A switch that is on unless it was turned off."""
    return env.get(name, "on").lower() not in _NO
