"""What belongs to one dialect alone: kept, given back to that dialect, and never dropped in silence. Pure.

Metadata is a mapping from the name of a dialect to what only it understands. Below that name, `as_sent` holds what a
neutral field says too, in the dialect's own words: leaving it out for another dialect loses nothing. Below `osaurus` is
what no dialect may pass over: see `is_raw`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Warned
from osaurus_nb.messages import Opaque, Part, ToolResult
from osaurus_nb.models import LOCAL
from osaurus_nb.request import ChatRequest

AS_SENT = "as_sent"
#: The name under which stands what our own engine understands.
OURS = "osaurus"
#: Who has a place for a raw prompt.
_TAKE_RAW = frozenset({"ollama", LOCAL})
_SEAL = "osaurus1."
#: In the bytes of a body that holds sealed state.
SEAL = _SEAL.encode()


def own(metadata: Opaque | None, dialect: str) -> dict[str, Any]:
    """What this dialect itself attached, and may have back."""
    found = metadata.get(dialect) if metadata else None
    return dict(found) if isinstance(found, Mapping) else {}


def keep(dialect: str, fields: Mapping[str, Any]) -> Opaque | None:
    """These fields as metadata of the dialect, without nulls; None when nothing is left."""
    known = {key: value for key, value in fields.items() if value is not None}
    return {dialect: known} if known else None


def is_raw(request: ChatRequest) -> bool:
    """Shall the text of the one message reach the model as it is, without a template around it?"""
    return own(request.provider_metadata, OURS).get("raw_prompt") is True


def raw(*, or_chat: bool = False) -> Opaque:
    """The metadata that asks for it; with `or_chat` a message of the user will do where there are only chats."""
    return {OURS: {"raw_prompt": True} | ({"or_chat": True} if or_chat else {})}


def refuse_raw(request: ChatRequest, vendor: str) -> None:
    """For a dialect that has messages only. Raises Unsupported."""
    if is_raw(request) and not _or_chat(request):
        said = f"{vendor} takes messages and no raw prompt; a model of this machine or an Ollama provider takes one."
        raise Unsupported(said, param="prompt")


def dropped(request: ChatRequest, dialect: str) -> tuple[Warned, ...]:
    """A warning for each place of a request that holds state of another dialect, and for a prompt made a message."""
    places = {
        "messages": (part.provider_metadata for message in request.messages for part in _flat(message.parts)),
        "tools": (tool.provider_metadata for tool in request.tools),
        "provider_metadata": iter((request.provider_metadata,)),
    }
    lost = (
        Warned("opaque_state_dropped", f"What only {', '.join(names)} understands was left out of '{place}'.", place)
        for place, parts in places.items()
        if (names := sorted({name for metadata in parts for name in _foreign(metadata, dialect)}))
    )
    return (*_as_chat(request, dialect), *lost)


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


def _or_chat(request: ChatRequest) -> bool:
    return own(request.provider_metadata, OURS).get("or_chat") is True


def _as_chat(request: ChatRequest, dialect: str) -> Iterator[Warned]:
    if _or_chat(request) and dialect not in _TAKE_RAW:
        said = "This provider is only asked in chats: the prompt was sent as a message of the user."
        yield Warned("raw_prompt_as_chat", said, "prompt")


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
        if name not in (dialect, OURS) and isinstance(fields, Mapping) and any(key != AS_SENT for key in fields):
            yield name
