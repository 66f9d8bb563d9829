"""Stop sequences for a dialect that has none: the answer is cut on our side, and nothing more of it is read. Pure."""

from __future__ import annotations

from osaurus_nb import events as ev
from osaurus_nb.wire._codec import EventDecoder


class Cutting:
    """An EventDecoder that ends the answer before the first stop sequence in what it shows.

    Words that may be the beginning of one wait for what follows. What the provider would have reported of its usage
    comes too late for an answer that was cut.
    """

    def __init__(self, decoder: EventDecoder, stops: tuple[str, ...]) -> None:
        self._decoder = decoder
        self._stops = stops
        self._open: ev.TextDelta | None = None  # words that wait
        self._cut = False

    @property
    def done(self) -> bool:
        return self._cut or self._decoder.done

    def feed(self, data: bytes) -> list[ev.Event]:
        return self._through(self._decoder.feed(data))

    def close(self) -> list[ev.Event]:
        return [] if self._cut else self._through(self._decoder.close())

    def _through(self, events: list[ev.Event]) -> list[ev.Event]:
        passed: list[ev.Event] = []
        for event in events:
            if isinstance(event, ev.TextDelta):
                passed += self._text(event)
            else:
                passed += self._released(event)
            if self._cut:
                break
        return passed

    def _released(self, event: ev.Event) -> list[ev.Event]:
        """Nothing can follow words but words: what waits was no stop sequence."""
        waiting, self._open = self._open, None
        return [waiting, event] if waiting is not None else [event]

    def _text(self, event: ev.TextDelta) -> list[ev.Event]:
        waiting, self._open = self._open, None
        text = (waiting.text if waiting is not None else "") + event.text
        logprobs = (*(waiting.logprobs if waiting is not None else ()), *event.logprobs)
        found = min(((text.find(stop), stop) for stop in self._stops if stop in text), default=None)
        if found is not None:
            return self._end(event, text[: found[0]], found[1])
        held = self._begun(text)
        shown, rest = text[: len(text) - held], text[len(text) - held :]
        if held:
            # Scores of words that are split in two go with the second half.
            self._open = ev.TextDelta(rest, event.index, event.choice, logprobs)
            logprobs = ()
        return [ev.TextDelta(shown, event.index, event.choice, logprobs)] if shown else []

    def _end(self, event: ev.TextDelta, shown: str, stop: str) -> list[ev.Event]:
        self._cut = True
        words: list[ev.Event] = [ev.TextDelta(shown, event.index, event.choice)] if shown else []
        return [*words, ev.PartEnded(event.index, event.choice), ev.Finished("stop", event.choice, stop)]

    def _begun(self, text: str) -> int:
        """How many characters at the end may be the beginning of a stop sequence."""
        longest = max(map(len, self._stops)) - 1
        tails = (text[-size:] for size in range(min(longest, len(text)), 0, -1))
        return next((len(tail) for tail in tails if any(stop.startswith(tail) for stop in self._stops)), 0)
