"""The HTTP side: thin handlers over one service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from osaurus_nb_server.dialect import Dialect
from osaurus_nb_server.dialects import GENERATE, OLLAMA, REFUSED
from osaurus_nb_server.handlers import admin, admin_ledger, admin_providers
from osaurus_nb_server.handlers.base import ApiHandler, NotFoundHandler, RefusedHandler, RootHandler
from osaurus_nb_server.handlers.generate import GenerateHandler
from osaurus_nb_server.handlers.health import HealthHandler
from osaurus_nb_server.handlers.metrics import MetricsHandler
from osaurus_nb_server.handlers.models import ModelHandler, ModelsHandler, RunningHandler, ShowHandler, VersionHandler
from osaurus_nb_server.handlers.operate import OperationHandler
from osaurus_nb_server.handlers.responses import RESPONSES
from osaurus_nb_server.operations import OPERATIONS
from osaurus_nb_server.service import MOUNT, Service

_ADMIN = admin_providers.PATHS | admin_ledger.PATHS | admin.PATHS

Route = tuple[str, type[ApiHandler], dict[str, Any]]


def routes(service: Service) -> Sequence[Route]:
    """Every path of ours, below the server's base URL. The last one catches what no other takes."""
    shared = {"service": service}
    ollama = {**shared, "dialect": OLLAMA}
    return [
        (rf"{MOUNT}/?", RootHandler, shared),
        (rf"{MOUNT}/health", HealthHandler, shared),
        (rf"{MOUNT}/metrics", MetricsHandler, shared),
        *((MOUNT + path, GenerateHandler, {**shared, "dialect": dialect}) for path, dialect in GENERATE.items()),
        *((MOUNT + path, OperationHandler, {**shared, "operation": row}) for path, row in OPERATIONS.items()),
        *((MOUNT + path, handler, shared) for path, handler in RESPONSES.items()),
        *((f"{MOUNT}/admin{path}", handler, shared) for path, handler in _ADMIN.items()),
        (rf"{MOUNT}/usage", admin_ledger.UsageHandler, shared),
        (rf"{MOUNT}/v1(?:beta)?/models", ModelsHandler, shared),
        (rf"{MOUNT}/v1(?:beta)?/models/(.+)", ModelHandler, shared),
        (rf"{MOUNT}/api/tags", ModelsHandler, ollama),
        (rf"{MOUNT}/api/show", ShowHandler, ollama),
        (rf"{MOUNT}/api/ps", RunningHandler, ollama),
        (rf"{MOUNT}/api/version", VersionHandler, ollama),
        *((MOUNT + path, RefusedHandler, _refusal(shared, *row)) for path, row in REFUSED.items()),
        (rf"{MOUNT}/api/.*", NotFoundHandler, ollama),
        (rf"{MOUNT}/.*", NotFoundHandler, shared),
    ]


def _refusal(shared: dict[str, Any], dialect: Dialect, instead: str) -> dict[str, Any]:
    return {**shared, "dialect": dialect, "instead": instead}


__all__ = ["Route", "routes"]
