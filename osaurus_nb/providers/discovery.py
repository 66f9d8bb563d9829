"""Which models a provider has: its list, page by page, and the ids that the user added by hand.

A bad row never loses the list. Where there is no list, the ids added by hand are one; a refused key stays an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from pydantic_core import from_json

from osaurus_nb.config.providers import Provider
from osaurus_nb.errors import BadAnswer, ProviderError
from osaurus_nb.models import ModelCard
from osaurus_nb.providers.diagnosis import NO_LIST
from osaurus_nb.providers.faults import is_page
from osaurus_nb.wire import WireFormat

#: More pages than any provider has; one that goes on after them is going in circles.
MAX_PAGES = 50

#: The body behind a path below the provider's base URL.
Ask = Callable[[str], Awaitable[bytes]]


class _Pages(NamedTuple):
    """Where a page names the next one, by which parameter that is asked for, and what says that there is one."""

    token: str
    parameter: str
    more: str | None = None


_PAGES: Mapping[str, _Pages] = {
    "anthropic": _Pages("last_id", "after_id", more="has_more"),
    "gemini": _Pages("nextPageToken", "pageToken"),
}


async def discover(settings: Provider, codec: WireFormat, ask: Ask) -> list[ModelCard]:
    """The cards of every model that can be named there."""
    added = [id for given in settings.models if (id := given.strip())]
    if not settings.lists_models:
        return _merged((), added, settings.slug)
    try:
        listed = await _all_pages(settings, codec, ask)
    except ProviderError as error:
        if not added or not (error.upstream_status in NO_LIST or error.reason in ("shape", "page")):
            raise
        listed = []
    return _merged(listed, added, settings.slug)


def read_object(body: bytes, provider: str, did: str) -> Mapping[str, Any]:
    """The JSON object in a body. Raises BadAnswer that tells a web page from other things."""
    try:
        payload = from_json(body)
    except ValueError:
        payload = None
    if isinstance(payload, dict):
        return payload
    error = BadAnswer(f"'{provider}' {did} in no JSON we know.", provider=provider)
    error.reason = "page" if is_page(body) else "shape"
    raise error


async def _all_pages(settings: Provider, codec: WireFormat, ask: Ask) -> list[ModelCard]:
    first = path = codec.models_path()
    cards, seen = list[ModelCard](), {first}
    for _ in range(MAX_PAGES):
        payload = read_object(await ask(path), settings.slug, "listed its models")
        cards += _cards(payload, codec, settings.slug)
        following = _next(payload, first, settings.format)
        if following is None or following in seen:
            break
        seen.add(following)
        path = following
    return cards


def _cards(payload: Mapping[str, Any], codec: WireFormat, provider: str) -> Sequence[ModelCard]:
    try:
        return codec.decode_models(payload, provider)
    except BadAnswer as error:
        error.reason = "shape"
        raise


def _next(payload: Mapping[str, Any], first: str, format: str) -> str | None:
    pages = _PAGES.get(format)
    if pages is None or (pages.more is not None and not payload.get(pages.more)):
        return None
    token = payload.get(pages.token)
    if not isinstance(token, str) or not token:
        return None
    return f"{first}{'&' if '?' in first else '?'}{pages.parameter}={quote(token, safe='')}"


def _merged(listed: Iterable[ModelCard], added: Sequence[str], provider: str) -> list[ModelCard]:
    """Each model once; the provider's own spelling of an id wins."""
    cards: dict[str, ModelCard] = {}
    for card in listed:
        if card.id.strip():
            cards.setdefault(card.id, card)
    spelt = {id.lower() for id in cards}
    for id in added:
        if id.lower() not in spelt:
            spelt.add(id.lower())
            cards[id] = ModelCard(id, provider)
    return list(cards.values())
