"""Questions under way, a piece of one prompt at each step: probabilities are read off the model, no words are drawn.

A label of several tokens has the product of their probabilities. What the prompts of one request share is read once.
Knows no threads and no sockets: see `engine`.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import can_trim_prompt_cache, make_prompt_cache, trim_prompt_cache

from osaurus_nb.decisions import DecisionRequest, Decisions, Question, Verdict
from osaurus_nb.errors import ContextTooLong, OsaurusError
from osaurus_nb.events import Warned
from osaurus_nb.local.loading import Loaded
from osaurus_nb.local.prompt import HARMLESS, render
from osaurus_nb.local.prompt_cache import PromptCache
from osaurus_nb.local.questions import Sheet, sheet, subject
from osaurus_nb.local.work import Key, Parcel
from osaurus_nb.messages import user
from osaurus_nb.models import LOCAL, Usage
from osaurus_nb.request import ChatRequest

_Path = tuple[int, ...]
_Reading = Generator[None, None, mx.array]


@dataclass(frozen=True, slots=True, repr=False)
class _Asked:
    """One question in tokens: what is read before the answer, and the tokens of each label."""

    tokens: list[int]
    labels: tuple[_Path, ...]


class Deliberation:
    """The decisions that one language model has taken in. They take turns, one piece of a prompt each."""

    def __init__(self, loaded: Loaded, prompts: PromptCache) -> None:
        self._loaded = loaded
        self._prompts = prompts
        self._jobs: deque[tuple[Key, Generator[None, None, Decisions]]] = deque()
        self._piece = loaded.prefill_step
        self.answered = 0

    @property
    def running(self) -> int:
        return len(self._jobs)

    def admit(self, key: Key, request: DecisionRequest) -> tuple[()]:
        """Take a request in. Raises RequestError for one that cannot be served."""
        self._jobs.append((key, self._decide(request, subject(request))))
        return ()

    def cancel(self, key: Key) -> bool:
        """Drop a request before its next piece is read."""
        left = deque(job for job in self._jobs if job[0] != key)
        known, self._jobs = len(left) < len(self._jobs), left
        return known

    def step(self, *, piece: int) -> list[Parcel]:
        """Read at most `piece` tokens for the request whose turn it is; its verdicts, when they are complete."""
        self._piece = piece
        key, work = self._jobs.popleft()
        try:
            next(work)
        except StopIteration as done:
            self.answered += 1
            return [(key, done.value)]
        except OsaurusError as refused:
            return [(key, refused)]
        self._jobs.append((key, work))
        return []

    def _decide(self, request: DecisionRequest, about: str) -> Generator[None, None, Decisions]:
        reader = _Reader(self._loaded, self._prompts, lambda: self._piece)
        verdicts, spared = [], 0
        for asked, following, question in self._pairs(request, about):
            yield  # each question is rendered in a step of its own
            shared = _shared(asked.tokens, following.tokens) if following else 0
            whole = len(asked.tokens) if max(map(len, asked.labels)) > 1 else 0
            before = reader.fed
            logprobs = yield from reader.read(asked.tokens, keep=(shared, whole))
            spared += len(asked.tokens) - (reader.fed - before)
            weights = yield from _weigh(asked, logprobs, reader)
            verdicts.append(Verdict(question, _softmax(weights)))
        reader.remember()
        usage = Usage(input_tokens=reader.fed, cache_read_input_tokens=spared)
        return Decisions(LOCAL, self._loaded.name, tuple(verdicts), usage, tuple(_ignored(request)))

    def _pairs(self, request: DecisionRequest, about: str) -> Iterator[tuple[_Asked, _Asked | None, Question]]:
        """Each question with the one after it: what both begin with is worth keeping."""
        asked = self._ask(about, request.questions[0])
        for at, question in enumerate(request.questions, 1):
            more = at < len(request.questions)
            following = self._ask(about, request.questions[at]) if more else None
            yield asked, following, question
            asked = following or asked

    def _ask(self, about: str, question: Question) -> _Asked:
        made = sheet(about, question)
        asked = _in_tokens(made, self._loaded)
        needed = len(asked.tokens) + max(map(len, asked.labels))
        if needed > self._loaded.context:
            raise ContextTooLong(
                f"The question {question.name!r} has {needed} tokens with its subject, and the window of "
                f"{self._loaded.name!r} holds {self._loaded.context}. Shorten the subject.",
                param="input",
            )
        return asked


class _Reader:
    """What the model has read for one request, cut back to what the next prompt shares with it."""

    def __init__(self, loaded: Loaded, prompts: PromptCache, piece: Callable[[], int]) -> None:
        self._loaded = loaded
        self._prompts = prompts
        self._piece = piece
        self._layers: list[Any] = []
        self._held: list[int] = []
        #: For caches that cannot be cut: copies of earlier states, each a beginning of the next; and where to make one.
        self._kept: list[tuple[list[int], list[Any]]] = []
        self._keep: tuple[int, ...] = ()
        self.fed = 0

    def read(self, tokens: list[int], *, keep: tuple[int, ...] = ()) -> _Reading:
        """The log-probabilities of the token behind `tokens`. Pauses after each piece.

        `keep` says after how many tokens there is a state that will be wanted again.
        """
        self._keep = keep
        self._return_to(tokens)
        logits: Any = None
        while rest := tokens[len(self._held) :]:
            if logits is not None:
                mx.eval([layer.state for layer in self._layers])
                yield
            logits = self._feed(rest)
        last: mx.array = logits[0, -1].astype(mx.float32)
        return last - mx.logsumexp(last)

    def remember(self) -> None:
        """Leave what was read to later requests."""
        tokens, layers = self._kept[0] if self._kept else (self._held, self._layers)
        self._prompts.store(tokens, layers)

    def _feed(self, rest: list[int]) -> Any:
        kept = () if can_trim_prompt_cache(self._layers) else self._keep
        until_kept = min((at - len(self._held) for at in kept if at > len(self._held)), default=len(rest) + 1)
        piece = rest[: min(self._piece(), until_kept)]
        logits = self._loaded.model(mx.array(piece)[None], cache=self._layers)
        self._held = [*self._held, *piece]
        self.fed += len(piece)
        if len(piece) == until_kept:
            mx.eval([layer.state for layer in self._layers])
            self._kept.append((self._held, copy.deepcopy(self._layers)))
        return logits

    def _return_to(self, tokens: list[int]) -> None:
        """Hold nothing but a beginning of `tokens`, at least one token short of them."""
        if not self._layers:
            prefix = self._prompts.longest(tokens)
            self._layers = prefix.layers or make_prompt_cache(self._loaded.model)
            self._held = tokens[: prefix.length]
            return
        shared = _shared(self._held, tokens[:-1])
        surplus = len(self._held) - shared
        if not surplus:
            return
        if can_trim_prompt_cache(self._layers):
            trim_prompt_cache(self._layers, surplus)
            self._held = self._held[:shared]
            return
        while self._kept and len(self._kept[-1][0]) > shared:
            self._kept.pop()
        self._held, layers = self._kept[-1] if self._kept else ([], None)
        self._layers = copy.deepcopy(layers) if layers else make_prompt_cache(self._loaded.model)


def _weigh(asked: _Asked, logprobs: mx.array, reader: _Reader) -> Generator[None, None, list[float]]:
    """The log-probability of each label: the sum over its tokens, each after those before it."""
    found: dict[_Path, mx.array] = {(): logprobs}
    for path in sorted({label[:length] for label in asked.labels for length in range(1, len(label))}):
        mx.eval(found)
        yield
        found[path] = yield from reader.read([*asked.tokens, *path])
    return [math.fsum(float(found[label[:at]][token]) for at, token in enumerate(label)) for label in asked.labels]


def _in_tokens(made: Sheet, loaded: Loaded) -> _Asked:
    chats = bool(loaded.tokenizer.has_chat_template)
    text = made.text if chats else f"{made.text}\n\nAnswer:"
    raw = None if chats else {"osaurus": {"raw_prompt": True}}
    request = ChatRequest(loaded.name, (user(text),), reasoning_effort="none", provider_metadata=raw)
    tokens = render(request, loaded, answering=True).tokens
    with loaded.reading:
        labels = tuple(
            tuple(loaded.tokenizer.encode(label if chats else f" {label}", add_special_tokens=False))
            for label in made.labels
        )
    return _Asked(tokens, labels)


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    return next((at for at, (left, right) in enumerate(zip(a, b, strict=False)) if left != right), min(len(a), len(b)))


def _softmax(weights: Sequence[float]) -> tuple[float, ...]:
    best = max(weights)
    odds = [math.exp(weight - best) for weight in weights]
    total = math.fsum(odds)
    return tuple(odd / total for odd in odds)


def _ignored(request: DecisionRequest) -> Iterator[Warned]:
    for name in sorted(request.extra.keys() - HARMLESS):
        yield Warned("ignored", "Local models do not know this setting.", name)
