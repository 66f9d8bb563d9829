"""Which model, what it can do, what a call used and what it costs. Values only."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Literal

#: Where the bytes of a prompt go when this model is asked; `process` to `tailnet` count as local.
EndpointClass = Literal["process", "loopback", "lan", "tailnet", "decentralized", "cloud"]
LOCAL_CLASSES: frozenset[EndpointClass] = frozenset({"process", "loopback", "lan", "tailnet"})

#: The slug of the engine on this machine; its models are named bare.
LOCAL = "local"
#: The slug of the hosted Router, which is there while there is an identity.
ROUTER = "osaurus"


def rank(slug: str) -> tuple[int, str]:
    """Where a provider stands in a list: this machine first, then the Router, then the user's own by name."""
    return ((LOCAL, ROUTER).index(slug) if slug in (LOCAL, ROUTER) else 2, slug)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do: True, False, or None for not known."""

    tools: bool | None = None
    vision: bool | None = None
    audio: bool | None = None
    documents: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    embeddings: bool | None = None


#: Oddities of a model, or of the server behind it, that its codec has to mind. This is the one list of them; which
#: model has which is data in `catalog.families`.
Quirk = Literal[
    # Chat Completions and Responses
    "reasoner",  # takes `max_completion_tokens`, and only default sampling unless its effort is `none`
    "always_thinks",  # has no effort `none`; Gemini's have no `minimal` either
    "tools_on_responses",  # calls tools on Responses alone, so that Chat Completions refuses them
    "tools_unthinking",  # calls tools on Chat Completions only with the effort `none`
    "few_knobs",  # refuses `top_k`, `min_p`, `repetition_penalty`; on Responses also the two other penalties
    "plain_schemas",  # refuses `oneOf`, `anyOf`, `allOf`, `enum`, `const` and `not` at the top of a tool's schema
    "strict_keys",  # refuses a body with a key that it does not know, in messages too; has no `developer`
    "short_ids",  # wants ids of calls with nine letters or digits
    "echo_reasoning",  # wants `reasoning_content` back beside calls, even when empty
    "thinking_switch",  # says the effort `none` as `thinking: {"type": "disabled"}`
    "think_tags",  # wants its thoughts back inside the text, between <think> tags
    "tells_cost",  # says in its usage what it charged, in dollars
    # Anthropic and Gemini
    "budget_thinking",  # thinks by `budget_tokens`; knows neither adaptive thinking nor effort
    "adaptive_only",  # refuses `budget_tokens`
    "default_sampling",  # refuses or ignores `temperature`, `top_p` and `top_k`
    "no_prefill",  # refuses a conversation that ends with words of the assistant
    "thinking_budget",  # thinks by `thinkingBudget` and knows no levels
    "one_candidate",  # gives one answer for each request
    "unsigned_calls",  # wants no signature on a call
    "schema_subset",  # takes schemas only as the vendor's subset of OpenAPI
]


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. Those of the cache are None where they are not known."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model at one provider. `id` is spelt as the provider spells it."""

    id: str
    provider: str
    endpoint: EndpointClass = "cloud"
    context_length: int | None = None
    max_output_tokens: int | None = None
    capabilities: Capabilities = Capabilities()
    price: Price | None = None
    size_bytes: int | None = None
    created: int = 0
    #: Each codec knows its own.
    quirks: frozenset[Quirk] = frozenset()
    #: Who answers in truth, where its server says that it only passes questions on.
    forwards_to: str | None = None

    @property
    def name(self) -> str:
        """The name that always means this model: bare on this machine, `provider/id` elsewhere."""
        return self.id if self.provider == LOCAL else f"{self.provider}/{self.id}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call in five disjoint classes: no token is counted in two of them.

    `estimated` says that the provider did not report them; `absurd` that what it reported does not add up.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    estimated: bool = False
    absurd: bool = False

    @property
    def total_input(self) -> int:
        return self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens

    @property
    def total_output(self) -> int:
        return self.output_tokens + self.reasoning_output_tokens

    @property
    def total(self) -> int:
        return self.total_input + self.total_output

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            **{
                field.name: getattr(self, field.name) | getattr(other, field.name)
                if field.name in ("estimated", "absurd")
                else getattr(self, field.name) + getattr(other, field.name)
                for field in fields(self)
            }
        )


@dataclass(frozen=True, slots=True)
class Charge:
    """What a provider says that it took for one call, in millionths of a US dollar.

    `cost_micro` is None where it could not be read. `request_id` is under which the provider finds the call again.
    """

    cost_micro: int | None
    request_id: str
    status: str = ""
    token_source: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How many tokens a prompt has. `estimated` says that nobody who knows the model's tokenizer counted them."""

    input_tokens: int
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds from the start of the step, by a monotonic clock. `first_token` is None if none came."""

    total: float
    first_token: float | None = None

    def tokens_per_second(self, usage: Usage | None) -> float | None:
        """Output tokens over the time after the first one; None where that is not measurable."""
        if usage is None or self.first_token is None or usage.total_output < 2:
            return None
        span = self.total - self.first_token
        return (usage.total_output - 1) / span if span > 0.1 else None


#: How it stands with a provider. `disconnected`: nobody asked for it yet, or the user has parted from it.
ConnectionState = Literal["disabled", "connecting", "connected", "error", "disconnected"]
#: What kind of fault it is, in words that stay the same.
Bucket = Literal[
    "missing-credential",
    "oauth-token-missing",
    "auth-rejected",
    "endpoint-unreachable",
    "tls-failure",
    "timeout",
    "proxy-connect-failed",
    "models-endpoint-unavailable",
    "models-schema-mismatch",
    "request-rejected",
    "unsupported-model",
    "bad-response",
    "unknown",
]
#: `blocked`: it stays as it is until somebody does something; `warning`: it is tried again by itself.
Severity = Literal["ok", "info", "warning", "blocked"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with a provider, in one sentence, and what to do. It holds no secret and no part of an answer."""

    bucket: Bucket
    severity: Severity
    title: str
    action: str

    def __str__(self) -> str:
        return f"{self.title}. {self.action}".strip()


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """May a provider be asked, or this `model` of it? `open`: not for `retry_in` seconds; `last` is why, by its code.

    `half-open`: one question is on its way to find out.
    """

    state: Literal["closed", "open", "half-open"] = "closed"
    retry_in: float | None = None
    last: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How one provider is doing: how many models it lists, or why it lists none.

    `since` is when its state began, `retry_at` when it is asked again by itself: both in Unix seconds. `breaker` says
    whether it is asked at all (None: nobody knows), `resting` which of its models are not, `success` the share of calls
    that worked lately, where there were enough.
    """

    provider: str
    models: int
    error: str | None = None
    state: ConnectionState = "connected"
    since: float | None = None
    retry_at: float | None = None
    diagnosis: Diagnosis | None = None
    breaker: BreakerStatus | None = None
    resting: tuple[BreakerStatus, ...] = ()
    success: float | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A model of this machine that is in memory, and the process that has it.

    `restarts`: so often one was started anew since this process first asked for it.
    """

    model: str
    pid: int = 0
    memory_bytes: int = 0
    uptime: float = 0.0
    running: int = 0
    waiting: int = 0
    answered: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of asking a provider for its models once: their ids, or what is wrong, after so many seconds."""

    provider: str
    state: ConnectionState
    models: tuple[str, ...] = ()
    seconds: float = 0.0
    diagnosis: Diagnosis | None = None

    @property
    def ok(self) -> bool:
        return self.state == "connected"
