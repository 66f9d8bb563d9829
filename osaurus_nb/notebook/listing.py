"""Which models can be named, for completion: asked in the background, never waited for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

from osaurus_nb._portal import portal
from osaurus_nb.models import ModelCard

#: Seconds after which the list is asked for again.
_STALE = 30.0
#: Seconds that a Tab may take.
_PATIENCE = 0.2


class Listing:
    """The last list of models that arrived."""

    def __init__(self, fetch: Callable[[], Coroutine[Any, Any, Sequence[ModelCard]]]) -> None:
        self._fetch = fetch
        self._names: tuple[str, ...] = ()
        self._asked = 0.0
        self._coming: Future[Sequence[ModelCard]] | None = None

    def names(self, *, patience: float = _PATIENCE) -> Sequence[str]:
        """What is known now, after a short wait for news. A source that fails changes nothing."""
        if self._coming is None and (not self._names or time.monotonic() - self._asked > _STALE):
            self._asked = time.monotonic()
            self._coming = portal().call_soon(self._fetch())
        if self._coming is not None:
            self._take(self._coming, patience)
        return self._names

    def keep(self, cards: Sequence[ModelCard]) -> None:
        """Somebody else asked."""
        self._names, self._asked = tuple(card.name for card in cards), time.monotonic()

    def forget(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
        self._names, self._coming = (), None

    def _take(self, coming: Future[Sequence[ModelCard]], patience: float) -> None:
        try:
            failed = coming.exception(patience) is not None
        except TimeoutError:
            return
        self._coming = None
        if not failed:
            self.keep(coming.result())
