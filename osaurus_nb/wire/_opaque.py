"""What belongs to one dialect alone: kept, given back to that dialect, and never dropped in silence. Pure.

Metadata is a mapping from the name of a dialect to what only it understands. Below that name, `as_sent` holds what a
neutral field says too, in the dialect's own words: leaving it out for another dialect loses nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from osaurus_nb.events import Warned
from osaurus_nb.messages import Opaque, Part, ToolResult
from osaurus_nb.request import ChatRequest

AS_SENT = "as_sent"
_SEAL = "osaurus1."


def own(metadata: Opaque | None, dialect: str) -> dict[str, Any]:
    """What this dialect itself attached, and may have back."""
    found = metadata.get(dialect) if metadata else None
    return dict(found) if isinstance(found, Mapping) else {}


def keep(dialect: str, fields: Mapping[str, Any]) -> Opaque | None:
    """These fields as metadata of the dialect, without nulls; None when nothing is left."""
    known = {key: value for key, value in fields.items() if value is not None}
    return {dialect: known} if known else None


def dropped(request: ChatRequest, dialect: str) -> tuple[Warned, ...]:
    """A warning for each place of a request that holds state of another dialect."""
    places = {
        "messages": (part.provider_metadata for message in request.messages for part in _flat(message.parts)),
        "tools": (tool.provider_metadata for tool in request.tools),
        "provider_metadata": iter((request.provider_metadata,)),
    }
    return tuple(
        Warned("opaque_state_dropped", f"What only {', '.join(names)} understands was left out of '{place}'.", place)
        for place, parts in places.items()
        if (names := sorted({name for metadata in parts for name in _foreign(metadata, dialect)}))
    )


def seal(metadata: Opaque) -> str:
    """State of other dialects as one word, for a dialect that carries a signature and gives it back."""
    return _SEAL + base64.urlsafe_b64encode(json.dumps(metadata, separators=(",", ":")).encode()).decode()


def unseal(word: str) -> Opaque | None:
    """What `seal` put in; None when the word is not ours."""
    if not word.startswith(_SEAL):
        return None
    try:
        metadata = json.loads(base64.urlsafe_b64decode(word.removeprefix(_SEAL)))
    except (ValueError, RecursionError):
        return None
    return metadata if isinstance(metadata, dict) and all(map(_is_state, metadata.values())) else None


def _is_state(fields: Any) -> bool:
    """A stranger may write seals too, so that what would be sent word for word has no place in one."""
    return isinstance(fields, dict) and AS_SENT not in fields


def _flat(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        if isinstance(part, ToolResult):
            yield from part.parts


def _foreign(metadata: Opaque | None, dialect: str) -> Iterator[str]:
    for name, fields in (metadata or {}).items():
        if name != dialect and isinstance(fields, Mapping) and any(key != AS_SENT for key in fields):
            yield name
