"""The Jupyter server extension: an OpenAI-compatible endpoint at `/osaurus/v1` on every Jupyter server."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from osaurus_nb_server.app import OsaurusServer  # noqa: PLC0415 - the metadata needs no Jupyter

    return [{"module": "osaurus_nb_server.app", "app": OsaurusServer}]
