"""The output of one response as it grows: parts become items, and events that tell of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb.messages import Opaque, Reasoning, Text, ToolCall
from osaurus_nb.wire._opaque import own, seal
from osaurus_nb.wire.openai_responses._names import DIALECT, OF

Payload = dict[str, Any]


class Output:
    """Turns the parts of one answer into `items`. What it yields lacks only its sequence number.

    Parts may grow side by side. An item whose part has ended is done at once, except for a message: it waits for what
    follows, because neighbouring texts share one message and the finish decides on its status.
    """

    def __init__(self, id: str) -> None:
        self.items: list[Payload] = []
        #: A tool call never ended: its arguments may be cut, so nobody is told that it is done.
        self.cut = False
        self._id = id
        self._parts: dict[int, _Text | _Thought | _Call] = {}
        self._waiting: list[_Message] = []

    def add(self, event: ev.Delta | ev.PartEnded) -> Iterator[Payload]:
        match event:
            case ev.TextDelta():
                yield from self._text(event)
            case ev.ReasoningDelta():
                yield from self._thought(event)
            case ev.ToolCallStarted():
                yield from self._settle()
                call = _Call(self._place("fc"), event)
                self._parts[event.index] = call
                yield self._added(call.item)
            case ev.ToolCallDelta():
                if isinstance(part := self._parts.get(event.index), _Call):
                    yield from part.delta(event.arguments)
            case ev.PartEnded():
                yield from self._ended(event)

    def finish(self, reason: ev.FinishReason) -> Iterator[Payload]:
        """Ends what is open. After it no item but a cut call is in progress."""
        for part in list(self._parts.values()):
            match part:
                case _Text():
                    yield from part.end(None)
                case _Thought():
                    yield from self._end_thought(part, None)
                case _Call():
                    part.cut()
                    self.cut = True
        self._parts.clear()
        yield from self._settle("completed" if reason in ("stop", "tool_calls") and not self.cut else "incomplete")

    def abandon(self) -> None:
        """Leaves the items as far as they came, without a word about their end."""
        for part in self._parts.values():
            part.cut()
        for message in self._waiting:
            message.item["status"] = "incomplete"

    def _text(self, event: ev.TextDelta) -> Iterator[Payload]:
        part = self._parts.get(event.index)
        if not isinstance(part, _Text):
            if not event.text:
                return
            if not (self._waiting and self._waiting[-1].open):
                yield from self._settle()
                self._waiting.append(_Message(self._place("msg")))
                yield self._added(self._waiting[-1].item)
            part = self._parts[event.index] = _Text(self._waiting[-1])
            yield part.added()
        yield part.delta(event)

    def _thought(self, event: ev.ReasoningDelta) -> Iterator[Payload]:
        part = self._parts.get(event.index)
        if not isinstance(part, _Thought):
            if not event.text and not event.provider_metadata:
                return
            yield from self._settle()
            id = own(event.provider_metadata, DIALECT).get("id")
            part = self._parts[event.index] = _Thought(self._place("rs", id if isinstance(id, str) else None))
            yield self._added(part.item)
        part.note(event.provider_metadata)
        yield from part.delta(event.text)

    def _ended(self, event: ev.PartEnded) -> Iterator[Payload]:
        match self._parts.pop(event.index, None):
            case _Text() as text:
                yield from text.end(event.provider_metadata)
            case _Thought() as thought:
                yield from self._end_thought(thought, event.provider_metadata)
            case _Call() as call:
                yield from call.end()
                yield self._done(call.item)
                yield from self._carry(event.provider_metadata, {OF: "call", "call_id": call.item["call_id"]})

    def _end_thought(self, part: _Thought, metadata: Opaque | None) -> Iterator[Payload]:
        part.note(metadata)
        yield from part.end()
        yield self._done(part.item)

    def _settle(self, status: str = "completed") -> Iterator[Payload]:
        """Messages that waited are done, unless a text of theirs still grows."""
        for message in [message for message in self._waiting if not message.growing]:
            self._waiting.remove(message)
            message.item["status"] = status
            yield self._done(message.item)
            yield from self._carry(message.metadata, {OF: "text"})

    def _carry(self, metadata: Opaque | None, owner: dict[str, Any]) -> Iterator[Payload]:
        """State of a text or call, in an item of its own behind it: only reasoning items can hold any."""
        state = {name: fields for name, fields in (metadata or {}).items() if name != DIALECT}
        if state:
            carrier = _Thought(self._place("rs"))
            carrier.item["encrypted_content"] = seal({**state, DIALECT: owner})
            yield self._added(carrier.item)
            yield self._done(carrier.item)

    def _place(self, prefix: str, id: str | None = None) -> tuple[str, int]:
        return id or f"{prefix}_{self._id}_{len(self.items)}", len(self.items)

    def _added(self, item: Payload) -> Payload:
        self.items.append(item)
        return {"type": "response.output_item.added", "output_index": len(self.items) - 1, "item": item}

    def _done(self, item: Payload) -> Payload:
        at = next(at for at, known in enumerate(self.items) if known is item)
        return {"type": "response.output_item.done", "output_index": at, "item": item}


class _Message:
    """A message item, one text after the other. A text with state of its own is its last."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.id, self.index = place
        self.content: list[Payload] = []
        self.item: Payload = {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": self.content,
        }
        self.growing = False
        self.metadata: Opaque | None = None

    @property
    def open(self) -> bool:
        """May the next text join?"""
        return not self.growing and not self.metadata


class _Text:
    """One text of a message."""

    def __init__(self, message: _Message) -> None:
        self._message = message
        self._where = {"item_id": message.id, "output_index": message.index, "content_index": len(message.content)}
        self._pieces: list[str] = []
        self._logprobs: list[ev.TokenLogprob] = []
        self._body: Payload = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        message.growing = True

    def added(self) -> Payload:
        part = dict(self._body)
        self._message.content.append(self._body)
        return {"type": "response.content_part.added", **self._where, "part": part}

    def delta(self, event: ev.TextDelta) -> Payload:
        self._pieces.append(event.text)
        self._logprobs.extend(event.logprobs)
        logprobs = write_logprobs(event.logprobs) if event.logprobs else []
        return {"type": "response.output_text.delta", **self._where, "delta": event.text, "logprobs": logprobs}

    def end(self, metadata: Opaque | None) -> Iterator[Payload]:
        self._message.growing = False
        self._note(metadata)
        self._fill()
        said = {"text": self._body["text"], "logprobs": self._body["logprobs"]}
        yield {"type": "response.output_text.done", **self._where, **said}
        yield {"type": "response.content_part.done", **self._where, "part": self._body}

    def cut(self) -> None:
        self._fill()
        self._message.item["status"] = "incomplete"

    def _fill(self) -> None:
        self._body["text"] = "".join(self._pieces)
        self._body["logprobs"] = write_logprobs(self._logprobs)

    def _note(self, metadata: Opaque | None) -> None:
        if not metadata:
            return
        mine = own(metadata, DIALECT)
        self._body["annotations"] = mine.get("annotations") or []
        if "phase" in mine:
            self._message.item["phase"] = mine["phase"]
        self._message.metadata = metadata


class _Thought:
    """A reasoning item: its text is a summary, what its provider wants back is its encrypted content."""

    def __init__(self, place: tuple[str, int]) -> None:
        id, index = place
        self.item: Payload = {"id": id, "type": "reasoning", "summary": []}
        self._where = {"item_id": id, "output_index": index, "summary_index": 0}
        self._pieces: list[str] = []
        self._metadata: dict[str, Any] = {}

    def note(self, metadata: Opaque | None) -> None:
        if metadata:
            self._metadata |= metadata

    def delta(self, text: str) -> Iterator[Payload]:
        if not text:
            return
        if not self._pieces:
            yield self._part("added", "")
        self._pieces.append(text)
        yield {"type": "response.reasoning_summary_text.delta", **self._where, "delta": text}

    def end(self) -> Iterator[Payload]:
        self.cut()
        if self._pieces:
            text = "".join(self._pieces)
            yield {"type": "response.reasoning_summary_text.done", **self._where, "text": text}
            yield self._part("done", text)

    def cut(self) -> None:
        if self._pieces:
            self.item["summary"] = [{"type": "summary_text", "text": "".join(self._pieces)}]
        if content := _encrypted(self._metadata, self.item["id"]):
            self.item["encrypted_content"] = content

    def _part(self, what: str, text: str) -> Payload:
        part = {"type": "summary_text", "text": text}
        return {"type": f"response.reasoning_summary_part.{what}", **self._where, "part": part}


class _Call:
    """A function call item."""

    def __init__(self, place: tuple[str, int], event: ev.ToolCallStarted) -> None:
        id, index = place
        self.item: Payload = {
            "id": id,
            "type": "function_call",
            "call_id": event.id,
            "name": event.name,
            "arguments": "",
            "status": "in_progress",
        }
        self._where = {"item_id": id, "output_index": index}
        self._pieces: list[str] = []

    def delta(self, arguments: str) -> Iterator[Payload]:
        if arguments:
            self._pieces.append(arguments)
            yield {"type": "response.function_call_arguments.delta", **self._where, "delta": arguments}

    def end(self) -> Iterator[Payload]:
        self.item |= {"arguments": "".join(self._pieces), "status": "completed"}
        arguments = self.item["arguments"]
        yield {"type": "response.function_call_arguments.done", **self._where, "arguments": arguments}

    def cut(self) -> None:
        self.item |= {"arguments": "".join(self._pieces), "status": "incomplete"}


def _encrypted(metadata: Mapping[str, Any], id: str) -> str | None:
    """The provider's own string where the item has its id and nothing else is to be kept; otherwise sealed."""
    mine = own(metadata, DIALECT)
    if set(metadata) == {DIALECT} and set(mine) <= {"id", "encrypted_content"} and mine.get("id") in (None, id):
        content = mine.get("encrypted_content")
        return content if isinstance(content, str) else None
    return seal(metadata) if metadata else None


def output_items(answer: ev.Answer, *, id: str | None = None) -> list[Payload]:
    """The items of a whole answer, with everything that is needed to continue it. Their ids are made of `id`."""
    output = Output(id or answer.id or "answer")
    for choice in answer.choices[:1]:
        for event in _replay(choice):
            for _ in output.add(event):
                pass
        for _ in output.finish(choice.finish_reason):
            pass
    return output.items


def _replay(choice: ev.Choice) -> Iterator[ev.Delta | ev.PartEnded]:
    """The events that a stream of this choice would have had. Cut off by its limit, it ended no call."""
    whole, logprobs = choice.finish_reason in ("stop", "tool_calls"), choice.logprobs
    for at, part in enumerate(choice.message.parts):
        match part:
            case Text():
                yield ev.TextDelta(part.text, at, logprobs=logprobs)
                logprobs = ()
            case Reasoning():
                yield ev.ReasoningDelta(part.text, at, provider_metadata=part.provider_metadata)
            case ToolCall():
                yield ev.ToolCallStarted(part.id, part.name, at)
                yield ev.ToolCallDelta(part.arguments, at)
            case _:
                continue
        if whole or not isinstance(part, ToolCall):
            yield ev.PartEnded(at, provider_metadata=part.provider_metadata)


def write_logprobs(tokens: Sequence[ev.TokenLogprob]) -> list[Payload]:
    return [
        {**_scored(token.token, token.logprob), "top_logprobs": [_scored(*rival) for rival in token.top]}
        for token in tokens
    ]


def _scored(token: str, logprob: float) -> Payload:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
