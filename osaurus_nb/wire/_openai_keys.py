"""Keys of OpenAI's dialects that others refuse or pass over in silence: knobs are told of, features refused. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned

_KEYS = frozenset(
    {
        "metadata",
        "prediction",
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
#: What changes an answer, and what no other vendor knows under this name.
_FEATURES = ("audio", "function_call", "functions", "web_search_options")


def without(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that go along: those that nobody knows."""
    return {key: value for key, value in without_features(extra).items() if key not in _KEYS}


def without_features(extra: Mapping[str, Any]) -> dict[str, Any]:
    """All keys but those that `refuse` lets pass because they ask for nothing."""
    return {key: value for key, value in extra.items() if key not in (*_FEATURES, "modalities")}


def dropped(extra: Mapping[str, Any], vendor: str) -> Iterator[Warned]:
    """A warning for each key that `without` leaves out. Raises Unsupported for what would change the answer."""
    refuse(extra, vendor)
    for key in sorted(_KEYS & extra.keys()):
        if extra[key] is not None:
            yield Warned("parameter_dropped", f"{vendor} has no '{key}'.", key)


def refuse(extra: Mapping[str, Any], vendor: str) -> None:
    """Raises Unsupported for what only Chat Completions can be asked."""
    for key in _FEATURES:
        if extra.get(key) not in (None, []):
            raise Unsupported(f"'{key}' belongs to Chat Completions; {vendor} cannot carry it.", param=key)
    if extra.get("modalities") not in (None, ["text"]):
        raise Unsupported(f"Of {vendor} only text is asked here.", param="modalities")
