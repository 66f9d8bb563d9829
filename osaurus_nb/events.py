"""The one stream that everything speaks, and its fold into a whole answer. Values only.

Order, for one answer: route events, `Started`, deltas, `UsageReported`, then one `Finished` per choice, or one
`Failed`. `index` numbers the parts of a choice from 0 and rises; `choice` numbers the answers when more than one was
asked for. Nothing follows `Failed`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from osaurus_nb.errors import OsaurusError
from osaurus_nb.errors import Warned as Warned  # noqa: PLC0414 - an event too, and told so to the type checker
from osaurus_nb.messages import Message, Opaque, Part, Reasoning, Text, ToolCall
from osaurus_nb.models import Charge, EndpointClass, Timings, Usage
from osaurus_nb.routes import Explanation, Panel
from osaurus_nb.spending import Cost

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "unknown"]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token with its natural-log probability and, if asked for, its rivals."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    number: int
    provider: str
    model: str
    #: Where it runs, as far as that is known.
    endpoint: EndpointClass | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    number: int
    provider: str
    model: str
    error: OsaurusError


@dataclass(frozen=True, slots=True)
class Routed:
    """Who may answer and why, where that was chosen and not simply named: told before anybody is asked."""

    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Substituted:
    """Another model than the one asked for is answering, by the caller's own fallback list or profile."""

    asked: str
    answering: str
    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    """The provider began to answer. `model` is the one it names itself, `id` its own response id."""

    provider: str
    model: str
    id: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class TextDelta:
    text: str
    index: int = 0
    choice: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class ReasoningDelta:
    text: str
    index: int = 0
    choice: int = 0
    provider_metadata: Opaque | None = None


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    id: str
    name: str
    index: int = 0
    choice: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class ToolCallDelta:
    arguments: str
    index: int = 0
    choice: int = 0


@dataclass(frozen=True, slots=True)
class PartEnded:
    """The part is whole. A tool call without this must not be run: its arguments may be cut."""

    index: int = 0
    choice: int = 0
    provider_metadata: Opaque | None = None


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Tokens so far; a later report replaces an earlier one. `charge` is there where the provider said what it took."""

    usage: Usage
    charge: Charge | None = None


@dataclass(frozen=True, slots=True)
class CostReported:
    """What the step cost so far, failed candidates included: told by us before the first `Finished`."""

    cost: Cost


@dataclass(frozen=True, slots=True)
class PanelReported:
    """Several models answered side by side: what became of each, told before the one answer that is made of it."""

    panel: Panel


@dataclass(frozen=True, slots=True, repr=False)
class Relayed:
    """Bytes of the answer as the provider wrote them, in the dialect in which the caller asked.

    It stands for the deltas that they say, which do not come besides; all other events do. `frames` is how many
    events of the dialect they are, `token` says that a piece of an answer is among them, `visible` that one that is
    shown.
    """

    data: bytes
    frames: int = 1
    token: bool = False
    visible: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    finish_reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    error: OsaurusError


Event = (
    AttemptStarted
    | AttemptFailed
    | Routed
    | Substituted
    | Started
    | TextDelta
    | ReasoningDelta
    | ToolCallStarted
    | ToolCallDelta
    | PartEnded
    | UsageReported
    | CostReported
    | PanelReported
    | Relayed
    | Warned
    | Finished
    | Failed
)
Delta = TextDelta | ReasoningDelta | ToolCallStarted | ToolCallDelta


def is_visible(event: Event) -> bool:
    """Does this event commit us to its author? The first visible byte of text or of a tool call does, no blank."""
    match event:
        case TextDelta(text=text):
            return text != "" and not text.isspace()
        case Relayed(visible=visible):
            return visible
        case _:
            return isinstance(event, ToolCallStarted)


def is_token(event: Event) -> bool:
    """Is it a sign that the model writes?"""
    match event:
        case TextDelta(text=text):
            return text != ""
        case Relayed(token=token):
            return token
        case _:
            return isinstance(event, ReasoningDelta | ToolCallStarted)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers, usually the only one."""

    message: Message
    finish_reason: FinishReason
    stop_sequence: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole stream, folded."""

    provider: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    id: str | None = None
    asked: str | None = None
    timings: Timings | None = None
    attempts: tuple[AttemptStarted | AttemptFailed, ...] = ()
    warnings: tuple[Warned, ...] = ()
    error: OsaurusError | None = None
    charge: Charge | None = None
    cost: Cost | None = None
    route: Explanation | None = None
    panel: Panel | None = None

    @property
    def text(self) -> str:
        return self.choices[0].message.text if self.choices else ""

    @property
    def finish_reason(self) -> FinishReason:
        return self.choices[0].finish_reason if self.choices else "unknown"


@dataclass(slots=True)
class _Draft:
    """A choice while its deltas arrive."""

    texts: dict[int, list[str]] = field(default_factory=dict)
    makers: dict[int, Text | Reasoning | ToolCall] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: Finished | None = None
    metadata: dict[int, Opaque] = field(default_factory=dict)

    def add(self, event: Delta) -> None:
        match event:
            case TextDelta():
                self.makers.setdefault(event.index, Text(""))
                self.texts.setdefault(event.index, []).append(event.text)
                self.logprobs.extend(event.logprobs)
            case ReasoningDelta():
                self.makers.setdefault(event.index, Reasoning(""))
                self.texts.setdefault(event.index, []).append(event.text)
                self.note(event.index, event.provider_metadata)
            case ToolCallStarted():
                self.makers[event.index] = ToolCall(event.id, event.name, "")
            case ToolCallDelta():
                self.texts.setdefault(event.index, []).append(event.arguments)

    def note(self, index: int, metadata: Opaque | None) -> None:
        if metadata:
            self.metadata[index] = {**self.metadata.get(index, {}), **metadata}

    def parts(self) -> tuple[Part, ...]:
        return tuple(self._part(index) for index in sorted(self.makers))

    def _part(self, index: int) -> Part:
        joined, metadata = "".join(self.texts.get(index, ())), self.metadata.get(index)
        match self.makers[index]:
            case ToolCall(id=id, name=name):
                return ToolCall(id, name, joined, metadata)
            case Reasoning():
                return Reasoning(joined, metadata)
            case Text():
                return Text(joined, metadata)


class Fold:
    """Collects a stream as it passes: `add` each event, then read `answer()` at any time."""

    def __init__(self) -> None:
        self._drafts: dict[int, _Draft] = {}
        self._attempts: list[AttemptStarted | AttemptFailed] = []
        self._warnings: list[Warned] = []
        self._usage: Usage | None = None
        self._charge: Charge | None = None
        self._cost: Cost | None = None
        self._route: Explanation | None = None
        self._panel: Panel | None = None
        self._started: Started | None = None
        self._substituted: Substituted | None = None
        self._error: OsaurusError | None = None

    def add(self, event: Event) -> None:
        match event:
            case TextDelta() | ReasoningDelta() | ToolCallStarted() | ToolCallDelta():
                self._draft(event.choice).add(event)
            case PartEnded():
                self._draft(event.choice).note(event.index, event.provider_metadata)
            case Finished():
                self._draft(event.choice).finish = event
            case UsageReported(usage=usage, charge=charge):
                self._usage, self._charge = usage, charge
            case CostReported(cost=cost):
                self._cost = cost
            case Started():
                self._started = event
            case AttemptStarted() | AttemptFailed():
                self._attempts.append(event)
            case Warned():
                self._warnings.append(event)
            case Substituted():
                self._substituted = event
            case Routed(explanation=explanation):
                self._route = explanation
            case PanelReported(panel=panel):
                self._panel = panel
            case Failed(error=error):
                self._error = error

    def answer(self, *, timings: Timings | None = None) -> Answer:
        started = self._started or Started("", "")
        return Answer(
            provider=started.provider,
            model=started.model,
            choices=tuple(_choice(draft) for _, draft in sorted(self._drafts.items())),
            usage=self._usage,
            id=started.id,
            asked=self._substituted.asked if self._substituted else None,
            timings=timings,
            attempts=tuple(self._attempts),
            warnings=tuple(self._warnings),
            error=self._error,
            charge=self._charge,
            cost=self._cost,
            route=self._route,
            panel=self._panel,
        )

    def _draft(self, choice: int) -> _Draft:
        return self._drafts.setdefault(choice, _Draft())


def fold(events: Iterable[Event]) -> Answer:
    """The whole answer that a stream spells out. An `Answer.error` is set when it ended in `Failed`."""
    folding = Fold()
    for event in events:
        folding.add(event)
    return folding.answer()


def _choice(draft: _Draft) -> Choice:
    finish = draft.finish or Finished("unknown")
    message = Message("assistant", draft.parts())
    return Choice(message, finish.finish_reason, finish.stop_sequence, tuple(draft.logprobs))
