"""Keys of OpenAI's dialects that only tune or label, and that other vendors refuse or pass over in silence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from osaurus_nb.events import Warned

_KEYS = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "user",
        "verbosity",
    }
)


def without(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that go along: those that nobody knows."""
    return {key: value for key, value in extra.items() if key not in _KEYS}


def dropped(extra: Mapping[str, Any], vendor: str) -> Iterator[Warned]:
    """A warning for each key that `without` leaves out."""
    for key in sorted(_KEYS & extra.keys()):
        if extra[key] is not None:
            yield Warned("parameter_dropped", f"{vendor} has no '{key}'.", key)
