"""Providers, presets and states as plain JSON: names and origins of secrets, never a value. Opens nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from osaurus_nb.config.providers import Preset, Provider
from osaurus_nb.config.providers.headers import is_secret, looks_like_key
from osaurus_nb.config.providers.presets import recognise
from osaurus_nb.models import SourceStatus, Tested
from osaurus_nb.secrets import API_KEY, Secrets, SecretsStatus, header
from osaurus_nb.secrets.values import numbered


def of_provider(provider: Provider, secrets: Secrets, status: SourceStatus | None) -> dict[str, Any]:
    preset = recognise(provider.host, provider.port)
    return {
        "object": "provider",
        "id": provider.id,
        "slug": provider.slug,
        "name": provider.name,
        "preset": preset.name if preset is not None else None,
        "url": provider.url,
        "protocol": provider.protocol,
        "host": provider.host,
        "port": provider.port,
        "base_path": provider.base_path,
        "format": provider.format,
        "enabled": provider.enabled,
        "auto_connect": provider.auto_connect,
        "timeout": provider.timeout,
        "models": list(provider.models),
        "key": _key(provider, preset, secrets),
        **_headers(provider, secrets),
        "unsupported": provider.unsupported,
        "exposed": provider.exposed,
        "status": of_status(status) if status is not None else None,
    }


def of_preset(preset: Preset) -> dict[str, Any]:
    fields = ("name", "title", "protocol", "host", "port", "base_path", "format", "auth", "key_style", "key_url")
    more = ("key_variables", "models", "address", "note")
    return {"object": "preset"} | {name: getattr(preset, name) for name in (*fields, *more)}


def of_status(status: SourceStatus) -> dict[str, Any]:
    return asdict(status)


def of_test(tested: Tested) -> dict[str, Any]:
    return {"object": "provider.test", **asdict(tested)}


def of_vault(status: SecretsStatus) -> dict[str, Any]:
    return {"object": "vault", **asdict(status), "lasting": status.lasting}


def listed(rows: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(rows), **more}


def _key(provider: Provider, preset: Preset | None, secrets: Secrets) -> dict[str, Any]:
    """Further keys are those that are asked with where the first is of no use."""
    numbers = secrets.further(provider.id, API_KEY)
    return {
        "needed": provider.needs_key,
        "origin": secrets.origin(provider.id, API_KEY),
        "further": [{"number": n, "origin": secrets.origin(provider.id, numbered(API_KEY, n))} for n in numbers],
        "env": provider.key_env,
        "variables": provider.key_variables,
        "header": provider.key_header,
        "url": preset.key_url if preset is not None else "",
    }


def _headers(provider: Provider, secrets: Secrets) -> dict[str, Any]:
    """A hand-written file may hold a secret where only open headers belong: then its name alone is told."""
    hidden = [name for name, value in provider.headers.items() if is_secret(name) or looks_like_key(value)]
    secret = [
        {"name": name, "origin": secrets.origin(provider.id, header(name)), "env": provider.header_env.get(name)}
        for name in provider.secret_headers
    ]
    return {
        "headers": {name: value for name, value in provider.headers.items() if name not in hidden},
        "hidden_headers": hidden,
        "secret_headers": secret,
    }
