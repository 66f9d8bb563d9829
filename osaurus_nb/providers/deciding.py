"""A provider's own endpoint for decisions, where it has one. Remembers where there is none; knows no chat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from osaurus_nb.decisions import DecisionRequest, Decisions
from osaurus_nb.errors import BadAnswer, ProviderError, Unsupported
from osaurus_nb.models import ModelCard
from osaurus_nb.ports import Timeouts
from osaurus_nb.wire import Encoded, decisions

#: Sends a body to a path below the provider's base URL and gives the JSON object that came back.
Ask = Callable[[str, Encoded, ModelCard, Timeouts], Awaitable[Mapping[str, Any]]]

_COMPATIBLE = (("openai", "/decisions"), ("systemone", "/systemone"))
#: Where each kind of provider may have one: dialect and path, the likeliest first.
_WAYS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "openai": _COMPATIBLE,
        "openResponses": _COMPATIBLE,
        "gemini": (("google", "/decisions"),),
        "ollama": (("systemone", "/v1/systemone"),),
    }
)
#: There is no such path, or not for this model.
_ABSENT = frozenset({404, 405, 501})
#: Not this way: for some providers it is how they say that only another model decides.
_DECLINED = frozenset({400, 403, 422})


class OwnEndpoint:
    """Asks a provider of this format where it may have an endpoint of its own."""

    def __init__(self, format: str, ask: Ask) -> None:
        self._ways = _WAYS.get(format, ())
        self._ask = ask
        self._absent: set[tuple[str, str]] = set()

    async def decide(self, request: DecisionRequest, card: ModelCard, timeouts: Timeouts) -> Decisions | None:
        """The provider's own verdicts; None where it has no way to give any."""
        for dialect, path in self._ways:
            if (card.id, path) not in self._absent:
                answer = await self._try(dialect, path, request, card, timeouts)
                if answer is not None:
                    return answer
        return None

    async def _try(
        self, dialect: str, path: str, request: DecisionRequest, card: ModelCard, timeouts: Timeouts
    ) -> Decisions | None:
        codec = decisions.load(dialect)
        try:
            encoded = codec.encode_request(request, card)
            payload = await self._ask(path, encoded, card, timeouts)
            answer = codec.decode_response(payload, request, card)
        except Unsupported:  # this dialect cannot carry it; a chat may
            return None
        except ProviderError as error:
            # Some servers answer any path with a 200 that says no, or with a page (seen 2026-11).
            if isinstance(error, BadAnswer) or error.upstream_status in _ABSENT:
                self._absent.add((card.id, path))
            elif error.upstream_status not in _DECLINED:
                raise
            return None
        return replace(answer, warnings=(*encoded.warnings, *answer.warnings))
