"""Our events become text completions, streamed or whole. Thinking has no place in them: that it came is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.errors import OsaurusError
from osaurus_nb.messages import Reasoning
from osaurus_nb.models import Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.wire._osaurus import Route
from osaurus_nb.wire._sse import DONE, frame
from osaurus_nb.wire.openai_chat.encode import encode_error, write_usage
from osaurus_nb.wire.openai_completions.inbound import echoes

_THOUGHT = ev.Warned("reasoning_left_out", "The model thought before it wrote; a text completion does not show that.")


def event_encoder(request: ChatRequest, *, id: str, created: int) -> CompletionEncoder:
    return CompletionEncoder(request, id=id, created=created)


class CompletionEncoder:
    """Writes one answer. The key `osaurus` on the first and last chunk says who really answered, and how."""

    def __init__(self, request: ChatRequest, *, id: str, created: int) -> None:
        self._include_usage = request.delivery.include_usage
        self._prompt = request.messages[0].text if echoes(request) else ""
        self._frame: dict[str, Any] = {
            "id": f"cmpl-{id}",
            "object": "text_completion",
            "created": created,
            "model": request.model,
        }
        self._written: dict[int, int] = {}
        self._thought = False
        self._usage: Usage | None = None
        self._route = Route(id, explained=request.route.explain)

    def encode(self, event: ev.Event) -> bytes:
        match event:
            case ev.TextDelta():
                return self._text(event)
            case ev.ReasoningDelta():
                self._note_thinking()
            case ev.Finished():
                return self._open(event.choice) + self._chunk(event.choice, "", event.finish_reason, self._route.last())
            case ev.Failed():
                return self._failed(event.error)
            case ev.UsageReported():
                self._usage = event.usage
            case ev.ToolCallStarted() | ev.ToolCallDelta() | ev.PartEnded() | ev.Relayed():
                pass
            case _:  # what is told of the route
                self._route.note(event)
                if isinstance(event, ev.Substituted):
                    self._frame["model"] = event.answering
        return b""

    def close(self) -> bytes:
        if not (self._include_usage and self._usage):
            return DONE
        return frame({**self._frame, "choices": [], "usage": write_usage(self._usage)}) + DONE

    def body(self, answer: ev.Answer) -> dict[str, Any]:
        self._route.take(answer)
        if any(isinstance(part, Reasoning) for choice in answer.choices for part in choice.message.parts):
            self._note_thinking()
        if answer.asked is not None:
            self._frame["model"] = answer.model
        return {
            **self._frame,
            "choices": [self._whole(at, choice) for at, choice in enumerate(answer.choices)],
            "usage": write_usage(answer.usage or Usage(estimated=True)),
            "osaurus": {**self._route.first(), **(self._route.last() or {})},
        }

    def _whole(self, at: int, choice: ev.Choice) -> dict[str, Any]:
        return _choice(at, self._prompt + choice.message.text, choice.finish_reason, _logprobs(choice.logprobs, 0))

    def _text(self, event: ev.TextDelta) -> bytes:
        head = self._open(event.choice)
        logprobs = _logprobs(event.logprobs, self._written[event.choice])
        self._written[event.choice] += len(event.text)
        return head + self._chunk(event.choice, event.text, logprobs=logprobs)

    def _open(self, choice: int) -> bytes:
        """What comes before the first word of a choice: who answers, and the prompt if it is wanted again."""
        if choice in self._written:
            return b""
        extension = self._route.first() if not self._written else None
        self._written[choice] = len(self._prompt)
        return self._chunk(choice, self._prompt, extension=extension) if self._prompt or extension else b""

    def _note_thinking(self) -> None:
        if not self._thought:
            self._thought = True
            self._route.note(_THOUGHT)

    def _failed(self, error: OsaurusError) -> bytes:
        return frame({**self._frame, "choices": [_choice(0, "", "error", None)], **encode_error(error)})

    def _chunk(
        self,
        choice: int,
        text: str,
        finish_reason: str | None = None,
        extension: Mapping[str, Any] | None = None,
        *,
        logprobs: Any = None,
    ) -> bytes:
        chunk = {**self._frame, "choices": [_choice(choice, text, finish_reason, logprobs)]}
        return frame(chunk | ({"osaurus": extension} if extension else {}))


def _choice(at: int, text: str, finish_reason: str | None, logprobs: Any) -> dict[str, Any]:
    return {"index": at, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}


def _logprobs(tokens: Sequence[ev.TokenLogprob], start: int) -> dict[str, Any] | None:
    """The tokens as columns; `start` is where in the text the first of them stands."""
    if not tokens:
        return None
    ends = list(accumulate((len(token.token) for token in tokens), initial=start))
    rivals = [{**dict(token.top), token.token: token.logprob} for token in tokens]
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": rivals if any(token.top for token in tokens) else None,
        "text_offset": ends[:-1],
    }
