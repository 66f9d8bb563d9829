"""What a question brought back: the text, who really answered, what it used and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from osaurus_nb import _markup, money
from osaurus_nb.errors import OsaurusError
from osaurus_nb.events import AttemptFailed, AttemptStarted, FinishReason, Warned
from osaurus_nb.explained import Explained
from osaurus_nb.messages import Message, Reasoning, ToolCall
from osaurus_nb.models import Timings, Usage
from osaurus_nb.routes import Panel, Panelist
from osaurus_nb.spending import Cost

#: Why there was nothing to read: reasoning used up the token limit, the limit came before a word, the provider's
#: filter withheld it, the model ended by itself, or nobody said.
Emptiness = Literal["reasoning", "length", "content_filter", "stop", "unknown"]


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """A finished answer, or what there was of it when it was stopped or broke off.

    `model` and `provider` are the ones that answered; `asked` is the name in the request. `messages` are the turns
    that this reply added, tool calls and their results included.
    """

    text: str
    model: str
    provider: str
    asked: str
    finish_reason: FinishReason
    usage: Usage | None = None
    timings: Timings | None = None
    attempts: tuple[AttemptStarted | AttemptFailed, ...] = ()
    warnings: tuple[Warned, ...] = ()
    messages: tuple[Message, ...] = field(default=())
    stopped: bool = False
    error: OsaurusError | None = None
    id: str | None = None
    substituted: bool = False
    #: What it took, candidates that failed and all rounds included; None where nobody meters.
    cost: Cost | None = None
    #: What became of each model, where several were asked side by side: their answers, costs and agreement.
    panel: Panel | None = None
    #: Who could answer and why, where the model was chosen and not simply named.
    route: Explained | None = None

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Reply {len(self.text)} characters, {self.footer}>"

    @property
    def message(self) -> Message:
        """The last turn of the assistant."""
        return next((m for m in reversed(self.messages) if m.role == "assistant"), Message("assistant", ()))

    @property
    def reasoning(self) -> str:
        return "".join(part.text for part in self.message.parts if isinstance(part, Reasoning))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Calls that wait for an answer."""
        return self.message.tool_calls

    @property
    def empty(self) -> Emptiness | None:
        """Why it ended without a visible word; None for any other. Blanks are no word, a tool call is an answer.

        One that was stopped or that failed is not called empty: then it says so itself. `warnings` has the sentence
        and what it cost.
        """
        if self.stopped or self.error is not None or self.text.strip() or self.tool_calls:
            return None
        if self.finish_reason == "length":
            return "reasoning" if self._reasoned else "length"
        return "unknown" if self.finish_reason == "tool_calls" else self.finish_reason

    @property
    def _reasoned(self) -> bool:
        """It did: shown or, as by most providers, only counted. Counts are of all rounds, so one round must be all."""
        counted = self.usage.reasoning_output_tokens if self.usage is not None and len(self.messages) <= 1 else 0
        return bool(self.reasoning.strip()) or counted > 0

    @property
    def footer(self) -> str:
        """One line: who answered, how much, how fast, and what was odd."""
        who = f"{self.provider}: {self.model}" if self.provider else self.model or self.asked
        by = self.route.by if self.route is not None else None
        parts = [who, f"by {by}"] if by else [f"{who} instead of {self.asked}" if self.substituted else who]
        if self.usage is not None:
            about = "about " if self.usage.estimated else ""
            parts.append(f"{about}{self.usage.total_input} → {self.usage.total_output} tokens")
        if self.timings is not None:
            parts.append(f"{self.timings.total:.1f} s")
            if (speed := self.timings.tokens_per_second(self.usage)) is not None:
                parts.append(f"{speed:.0f} tokens/s")
        if self.cost is not None:
            parts.append(money.paid(self.cost))
        if self.stopped:
            parts.append("stopped")
        elif self.error is not None:
            parts.append("broke off")
        elif self.finish_reason not in ("stop", "tool_calls"):
            parts.append(f"ended by {self.finish_reason}")
        return " · ".join(parts)

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each model that failed, and how, before another one answered in its place."""
        failed = [attempt for attempt in self.attempts if isinstance(attempt, AttemptFailed)]
        if self.error is not None or not (self.substituted or self.route is not None):
            return ()
        return tuple(dict.fromkeys(f"'{attempt.model}' did not answer: {attempt.error}" for attempt in failed))

    @property
    def notices(self) -> tuple[str, ...]:
        """The warnings in sentences, and one for an answer without a word in any case."""
        said = tuple(warning.message for warning in self.warnings)
        told = any(warning.code == "empty_answer" for warning in self.warnings)
        return (*said, "The model returned no visible text.") if self.empty and not told else said

    @property
    def folded(self) -> Sequence[tuple[str, str]]:
        """What stands behind the answer, as texts under titles: what each of a panel said, and what a judge found."""
        return _panel(self.panel) if self.panel is not None else ()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Plain text and one rich form, in which nothing of the answer can run or load."""
        notices = [*self.failures, *self.notices, *([str(self.error)] if self.error else [])]
        more = _markup.folded(self.folded)
        shown = _markup.bundle(self.text, footer=self.footer, notices=notices, more=more)
        return shown if self.text.strip() else shown | {"text/plain": "\n".join(notices)}


def _panel(panel: Panel) -> Sequence[tuple[str, str]]:
    """What each model answered, under who it is, what became of it, how much it agrees and what it cost."""
    rows = [(_seat(one), one.text) for one in panel.panelists]
    found = panel.analysis
    said = {
        "What they agree on": found.consensus if found else (),
        "Where they contradict each other": found.contradictions if found else (),
        "What only some deal with": found.partial_coverage if found else (),
        "What only one sees": found.unique_insights if found else (),
        "What all of them miss": found.blind_spots if found else (),
    }
    return [*rows, *((title, "\n".join(f"- {each}" for each in listed)) for title, listed in said.items() if listed)]


def _seat(one: Panelist) -> str:
    parts = [one.model, one.outcome if one.error is None else f"{one.outcome}: {one.error}"]
    if one.agreement is not None:
        parts.append(f"{one.agreement:.0%} agreement")
    if one.seconds is not None:
        parts.append(f"{one.seconds:.1f} s")
    if one.cost_micro is not None:
        parts.append(money.row(one.cost_micro))
    return " · ".join(parts)
