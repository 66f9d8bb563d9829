"""How a question is routed: what it needs, how models are weighed, and why one was chosen. Values only.

Nothing here holds a word of a question: an explanation is as safe to keep as a line of the ledger. Only what a panel
said is words; its owner sees it, and it is never written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from osaurus_nb.models import Usage

#: How candidates are weighed. `local-first` asks this machine and its networks before all others; `local-strict` asks
#: nobody else, whatever happens.
Mode = Literal["fast", "balanced", "best", "local-first", "local-strict", "realtime"]
MODES: tuple[Mode, ...] = get_args(Mode)

Label = Literal["code", "chat", "reasoning", "creative", "refactor", "documentation", "unknown"]
Complexity = Literal["low", "medium", "high", "unknown"]

#: What may be broken off and told, or gone on with by another model, visibly, for plain text only.
Resume = Literal["off", "marked"]


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a model must be able to do or to be. What is empty or None demands nothing.

    `min_context` counts tokens, `max_price` US dollars per million tokens of output, `min_params_b` billions of
    parameters. The lists hold ids or globs: of providers' slugs, and of models' full names.
    """

    tools: bool = False
    json: bool = False
    vision: bool = False
    audio: bool = False
    documents: bool = False
    reasoning: bool = False
    long_context: bool = False
    min_context: int | None = None
    min_params_b: float | None = None
    max_price: float | None = None
    allow_providers: tuple[str, ...] = ()
    deny_providers: tuple[str, ...] = ()
    allow_models: tuple[str, ...] = ()
    deny_models: tuple[str, ...] = ()


NO_REQUIREMENTS = Requirements()


@dataclass(frozen=True, slots=True)
class Fusion:
    """Several models answer, another one judges. `panel` of them are asked; `at_least` have to answer."""

    panel: int = 3
    at_least: int = 2
    judge: str | None = None
    #: Seconds that a panelist gets.
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class Profile:
    """A way to choose, under a name: in what models can do, cost and are, never in whose they are.

    What a caller says himself goes before all of this but the requirements, which always hold. `quality` is the least
    that a model must be estimated at, from 0 to 1; `chain` how many may be asked, one after the other.
    """

    name: str
    description: str = ""
    mode: Mode = "balanced"
    effort: str | None = None
    requirements: Requirements = NO_REQUIREMENTS
    quality: float = 0.0
    fallbacks: tuple[str, ...] = ()
    deadline: float | None = None
    max_cost_micro: int | None = None
    chain: int = 3
    sticky: bool = False
    fusion: Fusion | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """One reason for or against a model: `value` is from 0 to 1, `weight` what the mode gives it."""

    name: str
    value: float
    weight: float

    @property
    def points(self) -> float:
        return self.value * self.weight


@dataclass(frozen=True, slots=True)
class Ranked:
    """A model that may answer, its score, and every term of it."""

    model: str
    provider: str
    score: float
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a model may not answer, and what would change that. `code` is stable."""

    model: str
    code: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Who may answer, in which order, and why: made before anybody is asked.

    `ranked` begins with the chain that will be walked, `chain` models long. `needs` are the requirements that were
    found in the question or given with it, by name.
    """

    asked: str
    profile: str | None = None
    mode: Mode = "balanced"
    intent: Label = "unknown"
    second: Label | None = None
    confidence: float = 0.0
    complexity: Complexity = "unknown"
    needs: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    ranked: tuple[Ranked, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    chain: int = 0
    #: The conversation stays with the model that it began with; or it was left, for this reason.
    sticky: str | None = None
    exploring: bool = False
    weights: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[Ranked, ...]:
        return self.ranked[: self.chain]


#: What became of a panelist: `late` ran out of its own time, `cancelled` was not waited for, as the others agreed.
PanelOutcome = Literal["answered", "failed", "late", "cancelled"]


@dataclass(frozen=True, slots=True)
class Panelist:
    """One of the models that were asked side by side. `text` is what it answered, for who asked and nobody else.

    `agreement` is how much it says what the others say, from 0 to 1; None where nobody else answered. `error` is a
    stable code. `cost_micro` is None where it is not known.
    """

    model: str
    provider: str
    outcome: PanelOutcome
    text: str = field(default="", repr=False)
    agreement: float | None = None
    cost_micro: int | None = None
    usage: Usage | None = None
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Analysis:
    """What the judge finds in the panel's answers, sentence by sentence."""

    consensus: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    partial_coverage: tuple[str, ...] = ()
    unique_insights: tuple[str, ...] = ()
    blind_spots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """Several models' answers to one question, and what `judge` made of them. None judged where one had to do."""

    panelists: tuple[Panelist, ...]
    analysis: Analysis | None = None
    judge: str | None = None
    #: Enough of them agreed before the others were done.
    early: bool = False
