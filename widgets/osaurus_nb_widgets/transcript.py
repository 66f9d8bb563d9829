"""What was asked and answered in one chat, as it is shown, saved and sent on. Values only: no widget, no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from osaurus_nb.messages import Message, user
from osaurus_nb.reply import Reply

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know about an answer that is not part of it."""

    text: str
    level: Level = "warning"

    def public(self) -> dict[str, str]:
        return {"text": self.text, "level": self.level}


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What one step brought. `said` are the turns that go back to the model, tool calls included.

    `empty` is why it ended without a visible word, if it did: a `Reply.empty`. `behind` are texts under titles: what
    each of a panel said.
    """

    id: int
    text: str = ""
    reasoning: str = ""
    footer: str = ""
    notices: tuple[Notice, ...] = ()
    failed: bool = False
    stopped: bool = False
    empty: str = ""
    behind: tuple[tuple[str, str], ...] = ()
    said: tuple[Message, ...] = ()

    def public(self, *, superseded: bool = False, writing: bool = False) -> dict[str, Any]:
        """As it is shown and saved. A mark that does not hold is left out."""
        marks = {"superseded": superseded, "writing": writing, "failed": self.failed, "stopped": self.stopped}
        shown = {
            "id": self.id,
            "role": "assistant",
            "text": self.text,
            "reasoning": self.reasoning,
            "footer": self.footer,
            "notices": [notice.public() for notice in self.notices],
        }
        why = {"empty": self.empty} if self.empty else {}
        behind = {"behind": [{"title": title, "text": text} for title, text in self.behind]} if self.behind else {}
        return shown | why | behind | {mark: True for mark, holds in marks.items() if holds}


@dataclass(slots=True, repr=False)
class Exchange:
    """One question with its answers: the last one counts, the earlier ones were asked again."""

    id: int
    question: str
    answer: Answer
    earlier: list[Answer] = field(default_factory=list)
    writing: bool = True

    def public(self) -> list[dict[str, Any]]:
        return [
            {"id": self.id, "role": "user", "text": self.question},
            *(answer.public(superseded=True) for answer in self.earlier),
            self.answer.public(writing=self.writing),
        ]

    def turns(self) -> list[Message]:
        """What later questions build on: nothing, if nothing was answered."""
        said = [message for message in self.answer.said if message.parts and not self.answer.empty]
        return [user(self.question), *said] if said else []


class Transcript:
    """All exchanges of a chat, the oldest first. Ids are never used twice, so that a view can tell what changed."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._ids = 0

    def ask(self, question: str) -> Exchange:
        """Open an exchange; its answer is being written."""
        exchange = Exchange(self._new_id(), question, Answer(self._new_id()))
        self.exchanges.append(exchange)
        return exchange

    def retry(self) -> Exchange | None:
        """Open the last exchange again. Its answer is kept as an earlier one, if it had a word or may have cost."""
        if not self.exchanges:
            return None
        exchange = self.exchanges[-1]
        if exchange.answer.text or exchange.answer.empty:
            exchange.earlier.append(exchange.answer)
        exchange.answer, exchange.writing = Answer(self._new_id()), True
        return exchange

    def clear(self) -> None:
        self.exchanges.clear()

    def prompt(self) -> list[Message]:
        """What the model is sent for the open question: the turns before it, and itself."""
        *before, last = self.exchanges
        return [*(turn for exchange in before for turn in exchange.turns()), user(last.question)]

    def public(self) -> list[dict[str, Any]]:
        return [message for exchange in self.exchanges for message in exchange.public()]

    def tail(self) -> tuple[int, list[dict[str, Any]]]:
        """How many messages stand before the last exchange, and the messages of that one."""
        *before, last = self.exchanges
        return sum(len(exchange.public()) for exchange in before), last.public()

    def _new_id(self) -> int:
        self._ids += 1
        return self._ids


def finished(id: int, reply: Reply, extra: Sequence[Notice] = ()) -> Answer:
    """The answer that a reply amounts to, with what there is to know about it. A failure is its last notice."""
    notices = [*extra, *map(Notice, reply.notices)]
    if reply.finish_reason == "length" and not reply.empty:
        notices.append(Notice("The answer reached its token limit and is cut off there."))
    if reply.finish_reason == "content_filter" and not reply.empty:
        notices.append(Notice("The provider's content filter ended this answer."))
    if reply.stopped:
        notices.append(Notice("Stopped." if reply.text else "Stopped before the first word.", "info"))
    if reply.error is not None:
        notices.append(Notice(str(reply.error), "error"))
    return Answer(
        id=id,
        text=reply.text,
        reasoning=reply.reasoning,
        footer=reply.footer.removesuffix(" · stopped")
        if reply.provider and (reply.text or reply.error is None)
        else "",
        notices=tuple(notices),
        failed=reply.error is not None,
        stopped=reply.stopped,
        empty=reply.empty or "",
        behind=tuple(reply.folded),
        said=reply.messages,
    )


def broken(answer: Answer, reason: str) -> Answer:
    """The same answer, ended by a fault of ours: nobody stopped it."""
    notices = [notice for notice in answer.notices if notice.level != "info"]
    return replace(answer, notices=(*notices, Notice(reason, "error")), failed=True, stopped=False)


def plain(messages: Sequence[dict[str, Any]]) -> str:
    """The transcript as plain text, for places that show no widgets."""
    counted = [message for message in messages if not message.get("superseded")]
    return "\n\n".join(_paragraph(message) for message in counted)


def _paragraph(message: dict[str, Any]) -> str:
    if message["role"] == "user":
        return f"You: {message['text']}"
    notices = [f"[{notice['text']}]" for notice in message.get("notices", ())]
    lines = [message["text"], *notices, f"({message['footer']})" if message.get("footer") else ""]
    return "Model: " + "\n".join(line for line in lines if line)
