"""Lets `asyncio.run` work inside a running loop, for code that is not ours and needs it. Opt-in, never on import."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from types import ModuleType

from osaurus_nb.errors import ConfigError

_INSTALL = "Install nest-asyncio2, or `await` the asynchronous call instead."


def allow_nested_loop() -> None:
    """Patch this process's asyncio so that a running loop can be entered again.

    osaurus itself never needs this. The price: widgets stand still during the nested run, and tasks get slower.
    Raises ConfigError where the patch would break the process: on uvloop, or with nest-asyncio 1.x on Python 3.14+.
    """
    loop = _running_loop()
    if loop is not None and type(loop).__module__.split(".")[0] == "uvloop":
        raise ConfigError("uvloop cannot be entered again. `await` the asynchronous call instead.")
    _patch().apply()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _patch() -> ModuleType:
    found = _module("nest_asyncio2") or _module("nest_asyncio")
    if found is None:
        raise ConfigError(f"Nothing here can patch asyncio. {_INSTALL}")
    if found.__name__ == "nest_asyncio" and sys.version_info >= (3, 14):
        raise ConfigError(f"nest-asyncio 1.x breaks asyncio on Python 3.14 and newer. {_INSTALL}")
    return found


def _module(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None
