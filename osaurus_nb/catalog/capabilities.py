"""What is known of models beyond what their providers say: a dated table, read when it is first needed. Pure.

Where the provider says something, that holds. At a host of the table its rows count; anywhere else in the cloud only
what is in the model itself, as that it sees or thinks, for how long a prompt may be depends on who serves it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from osaurus_nb.models import LOCAL_CLASSES, ModelCard

#: The letters of the table. In upper case: it is said that the model cannot.
_LETTERS = {
    "t": "tools",
    "v": "vision",
    "a": "audio",
    "d": "documents",
    "j": "json_schema",
    "r": "reasoning",
    "e": "embeddings",
}
#: What is in a model, whoever serves it.
_INTRINSIC = frozenset({"vision", "audio", "reasoning", "embeddings"})
#: Hosts of vendors, whose rows say what their models are; the rest of the hosts serve the models of others.
_VENDORS = (
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.x.ai",
    "api.mistral.ai",
    "api.deepseek.com",
    "api.minimax.io",
    "api.moonshot.ai",
    "api.z.ai",
    "api.cohere.com",
    "api.voyageai.com",
)
_EMBEDS = re.compile(r"embed|(?:^|[-_/.:])(?:bge|gte|e5)(?:$|[-_/.:])", re.IGNORECASE)
_NO_CHAT = re.compile(
    r"rerank|moderation|whisper|transcribe|(?:^|[-_/])(?:tts|dall-e|imagen|veo|sora|gpt-image|flux)(?:$|[-_/.:\d])",
    re.IGNORECASE,
)


class _Known(NamedTuple):
    context: int | None
    output: int | None
    can: Mapping[str, bool]


def talks(card: ModelCard) -> bool:
    """May this model be chosen to chat without being named? Embedders, rerankers and the like may not."""
    if card.capabilities.embeddings is not None:
        return not card.capabilities.embeddings and not _NO_CHAT.search(card.id)
    return not (_EMBEDS.search(card.id) or _NO_CHAT.search(card.id))


def enriched(card: ModelCard, host: str) -> ModelCard:
    """The card with what the table knows where the provider said nothing. What nobody knows stays None."""
    if card.endpoint in LOCAL_CLASSES:
        return card
    known = _at(card.id.lower(), host.lower().rstrip("."))
    if known is None:
        return card
    said = card.capabilities
    filled = {name: yes for name, yes in known.can.items() if getattr(said, name) is None}
    return replace(
        card,
        context_length=card.context_length or known.context,
        max_output_tokens=card.max_output_tokens or known.output,
        capabilities=replace(said, **filled) if filled else said,
    )


def date() -> str:
    """When the table was made, e.g. 2026-11-21."""
    return str(_table()["date"])


def _at(id: str, host: str) -> _Known | None:
    hosts = _table()["hosts"]
    row = hosts.get(host, {}).get(id)
    if row is not None:
        return _known(row)
    bare = id.rpartition("/")[2].partition(":")[0]
    found = next((_known(hosts[vendor][bare]) for vendor in _VENDORS if bare in hosts.get(vendor, ())), None)
    if found is None:
        return None
    return _Known(None, None, {name: yes for name, yes in found.can.items() if name in _INTRINSIC})


def _known(row: list[Any]) -> _Known:
    context, output, letters = row
    can = {_LETTERS[letter.lower()]: letter.islower() for letter in letters if letter.lower() in _LETTERS}
    return _Known(context or None, output or None, can)


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads((files(__package__) / "capabilities.json").read_bytes())
    return table
