"""A provider's generateContent stream, or its body in one piece, becomes our events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.errors import BadAnswer
from osaurus_nb.messages import Opaque
from osaurus_nb.models import Capabilities, ModelCard, Usage
from osaurus_nb.wire import _errors
from osaurus_nb.wire._liberal import as_count, as_rows
from osaurus_nb.wire._payloads import bad
from osaurus_nb.wire._reading import Reading, Relay
from osaurus_nb.wire.google_generate import _signatures as signatures
from osaurus_nb.wire.google_generate._names import NAME, bare
from osaurus_nb.wire.google_generate._stream import Chunks

_FILTERED = (
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
    "ESCALATION",
)
_REASONS: Mapping[str, ev.FinishReason] = MappingProxyType(
    {
        "STOP": "stop",
        "MAX_TOKENS": "length",
        "CONTINUATION": "length",
        **dict.fromkeys(_FILTERED, "content_filter"),
    }
)
#: What is no answer, with what to do about it.
_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "MALFORMED_FUNCTION_CALL": "broke off: it could not write a call of its tools",
        "UNEXPECTED_TOOL_CALL": "broke off: it called a tool that it was not given",
        "TOO_MANY_TOOL_CALLS": "broke off: it called too many tools",
        "MALFORMED_RESPONSE": "broke off: it could not write its answer",
        "MISSING_THOUGHT_SIGNATURE": "misses a signature on a call; keep what its answers attach to their calls",
        "PUP_LIMITED_DISABLED": "has limited or disabled this account",
        "OTHER": "broke off and did not say why",
    }
)


def event_decoder(card: ModelCard, relay: Relay | None = None) -> Reading:
    return Reading(Chunks(card), _Meaning(card), relay)


class _Meaning:
    """What the chunks of one answer say. There is no end mark: the finish of each candidate is one, read at the end."""

    def __init__(self, card: ModelCard) -> None:
        self.done = False
        self._card = card
        self._started = False
        self._blocked = False
        self._candidates: dict[int, _Candidate] = {}
        self._usage: Usage | None = None

    def take(self, payload: Mapping[str, Any]) -> Iterator[ev.Event]:
        if payload.get("error"):
            raise _errors.in_band(payload, provider=self._card.provider, model=self._card.id)
        id = payload.get("responseId")
        if not self._started:
            self._started = True
            model = str(payload.get("modelVersion") or self._card.id)
            yield ev.Started(self._card.provider, bare(model), id if isinstance(id, str) else None)
        feedback = payload.get("promptFeedback")
        self._blocked |= isinstance(feedback, dict) and bool(feedback.get("blockReason"))
        for candidate in as_rows(payload.get("candidates")):
            yield from self._candidate(candidate, id)
        if isinstance(payload.get("usageMetadata"), dict):
            self._usage = read_usage(payload["usageMetadata"])

    def _candidate(self, body: Mapping[str, Any], id: Any) -> Iterator[ev.Event]:
        at = body.get("index")
        at = at if isinstance(at, int) else 0
        state = self._candidates.setdefault(at, _Candidate(at, self._card, id))
        content = body.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        tokens = _logprobs(body.get("logprobsResult"))
        for part in as_rows(parts):
            yield from state.part(part, tokens)
            tokens = () if isinstance(part.get("text"), str) and not part.get("thought") else tokens
        reason = body.get("finishReason")
        if isinstance(reason, str) and reason in _FAULTS:
            raise bad(self._card, _FAULTS[reason])
        if isinstance(reason, str) and reason != "FINISH_REASON_UNSPECIFIED":
            state.reason = _REASONS.get(reason, "unknown")  # some servers repeat it on every chunk

    def end(self, *, marked: bool) -> Iterator[ev.Event]:
        if self._blocked and not self._candidates:
            self._candidates[0] = _Candidate(0, self._card, None)
            self._candidates[0].reason = "content_filter"
        if not self._candidates:
            raise bad(self._card, "sent no answer")
        if any(state.reason is None for state in self._candidates.values()):
            raise bad(self._card, "ended without saying that it had finished")
        for state in self._candidates.values():
            yield from state.end()
        if self._usage is not None:
            yield ev.UsageReported(self._usage)
        for state in self._candidates.values():
            yield ev.Finished(state.finish_reason, state.at)


class _Candidate:
    """Which part of one candidate is being written."""

    def __init__(self, at: int, card: ModelCard, response_id: Any) -> None:
        self.at = at
        self.reason: ev.FinishReason | None = None
        self._card = card
        self._prefix = f"call_{response_id}" if isinstance(response_id, str) else "call"
        self._next = 0
        self._open: tuple[bool, int] | None = None  # is it thought, and its index
        self._called = False

    @property
    def finish_reason(self) -> ev.FinishReason:
        """The dialect says STOP after a call too; what was sent is what counts."""
        return "tool_calls" if self._called and self.reason == "stop" else self.reason or "unknown"

    def part(self, part: Mapping[str, Any], tokens: tuple[ev.TokenLogprob, ...]) -> Iterator[ev.Event]:
        signature = part.get(signatures.KEY) or part.get("thought_signature")
        metadata: Opaque | None = None
        if isinstance(signature, str):
            metadata = {NAME: {signatures.KEY: signature, signatures.MODEL: self._card.name}}
        call, text = part.get("functionCall"), part.get("text")
        if isinstance(call, dict):
            yield from self._call(call, metadata)
        elif isinstance(text, str) or (metadata and part.keys() <= _BARE):
            yield from self._say(str(text or ""), bool(part.get("thought")), metadata, tokens)
        elif kinds := sorted(part.keys() - _BARE):
            yield ev.Warned("output_dropped", f"A part with {', '.join(kinds)} has no place in an answer.")

    def end(self) -> Iterator[ev.Event]:
        if self._open is not None:
            yield ev.PartEnded(self._open[1], self.at)
            self._open = None

    def _say(
        self, text: str, thought: bool, metadata: Opaque | None, tokens: tuple[ev.TokenLogprob, ...]
    ) -> Iterator[ev.Event]:
        """A signed part is a part of its own: it must go back as it came."""
        if not text and not metadata:
            return
        if self._open is None or self._open[0] != thought or metadata:
            yield from self.end()
            self._open = (thought, self._take())
        index = self._open[1]
        yield ev.ReasoningDelta(text, index, self.at) if thought else ev.TextDelta(text, index, self.at, tokens)
        if metadata:
            yield ev.PartEnded(index, self.at, metadata)
            self._open = None

    def _call(self, call: Mapping[str, Any], metadata: Opaque | None) -> Iterator[ev.Event]:
        """Calls come whole, so each ends where it starts."""
        yield from self.end()
        index, self._called = self._take(), True
        id = call.get("id")
        name, args = str(call.get("name") or ""), call.get("args")
        yield ev.ToolCallStarted(str(id) if id else f"{self._prefix}_{self.at}_{index}", name, index, self.at)
        yield ev.ToolCallDelta(json.dumps(args if isinstance(args, dict) else {}, ensure_ascii=False), index, self.at)
        yield ev.PartEnded(index, self.at, metadata)

    def _take(self) -> int:
        self._next += 1
        return self._next - 1


#: Keys that a part of nothing but a signature has.
_BARE = frozenset({signatures.KEY, "thought_signature", "thought", "text"})


def _logprobs(body: Any) -> tuple[ev.TokenLogprob, ...]:
    if not isinstance(body, dict):
        return ()
    tops = [_scored(row.get("candidates")) for row in as_rows(body.get("topCandidates"))]
    return tuple(
        ev.TokenLogprob(token, logprob, tops[at] if at < len(tops) else ())
        for at, (token, logprob) in enumerate(_scored(body.get("chosenCandidates")))
    )


def _scored(rows: Any) -> tuple[tuple[str, float], ...]:
    return tuple(
        (row["token"], row["logProbability"])
        for row in as_rows(rows)
        if isinstance(row.get("token"), str) and isinstance(row.get("logProbability"), int | float)
    )


def read_usage(body: Mapping[str, Any]) -> Usage:
    """The vendor's counts as disjoint classes. What does not add up is kept and marked absurd."""
    prompt = as_count(body.get("promptTokenCount")) + as_count(body.get("toolUsePromptTokenCount"))
    read, thinking = as_count(body.get("cachedContentTokenCount")), as_count(body.get("thoughtsTokenCount"))
    output, total = as_count(body.get("candidatesTokenCount")), as_count(body.get("totalTokenCount"))
    fresh = prompt - read
    return Usage(
        input_tokens=max(fresh, 0),
        output_tokens=output,
        cache_read_input_tokens=read,
        reasoning_output_tokens=thinking,
        absurd=fresh < 0 or total not in (0, prompt + output + thinking),
    )


def decode_models(payload: Mapping[str, Any], provider: str) -> Sequence[ModelCard]:
    """The cards in a `GET /models` body. A row that is none is left out; the rest of the list stays."""
    rows = payload.get("models") if isinstance(payload, Mapping) else None
    if not isinstance(rows, list):
        raise BadAnswer(f"{provider} sent no list of models.", provider=provider)
    return [_card(row, provider) for row in rows if isinstance(row, dict) and isinstance(row.get("name"), str)]


def _card(row: Mapping[str, Any], provider: str) -> ModelCard:
    methods, thinking = row.get("supportedGenerationMethods"), row.get("thinking")
    embeds = None
    if isinstance(methods, list):
        embeds = "generateContent" not in methods and any("embed" in str(method).lower() for method in methods)
    return ModelCard(
        id=bare(row["name"]),
        provider=provider,
        context_length=as_count(row.get("inputTokenLimit")) or None,
        max_output_tokens=as_count(row.get("outputTokenLimit")) or None,
        capabilities=Capabilities(reasoning=thinking if isinstance(thinking, bool) else None, embeddings=embeds),
    )
