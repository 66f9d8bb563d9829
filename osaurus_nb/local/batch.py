"""All answers under way, one token further at each step. Knows no threads and no sockets: see `engine`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
from mlx_lm.generate import BatchGenerator

from osaurus_nb.errors import Unsupported
from osaurus_nb.events import Event, Finished, FinishReason, Started, TokenLogprob, UsageReported
from osaurus_nb.local.answer import AnswerWriter
from osaurus_nb.local.grammar import Constraint, Grammars
from osaurus_nb.local.loading import Loaded
from osaurus_nb.local.prompt import DEFAULT_MAX_TOKENS, Prompt, begun_by_caller, is_raw, read
from osaurus_nb.local.prompt_cache import Prefix, PromptCache
from osaurus_nb.local.rules import Rule, rule
from osaurus_nb.local.sampling import fill, make_processors, make_sampler
from osaurus_nb.local.work import Key, Parcel
from osaurus_nb.models import LOCAL, Usage
from osaurus_nb.request import ChatRequest, Sampling


@dataclass(slots=True)
class _Choice:
    """One sequence of the batch."""

    job: _Job
    number: int
    writer: AnswerWriter
    detokenizer: Any
    spoken: int = 0
    thought: int = 0
    finished: Finished | None = None
    constraint: Constraint | None = None


@dataclass(slots=True)
class _Job:
    """One request: one choice, or as many as were asked for."""

    key: Key
    sampling: Sampling
    prompt_length: int
    cached: int
    reserved: int
    choices: dict[int, _Choice] = field(default_factory=dict)


class Batch:
    """Continuous batching over one model: requests come and go between steps."""

    def __init__(self, loaded: Loaded, *, slots: int, cache_bytes: int, kv_tokens: int = 0) -> None:
        self._loaded = loaded
        self.prompts = PromptCache(cache_bytes)
        self._slots = slots
        self._kv_tokens = kv_tokens
        self.answered = 0
        self._jobs: dict[Key, _Job] = {}
        self._choices: dict[int, _Choice] = {}
        self._grammars = Grammars(loaded)
        # mlx_lm is untyped inside: it is wrapped here and nowhere else.
        self._generator: Any = BatchGenerator(
            loaded.model,
            stop_tokens=[[token] for token in sorted(loaded.tokenizer.eos_token_ids)],
            completion_batch_size=max(slots, 16),
            prefill_step_size=loaded.prefill_step,
        )

    @property
    def running(self) -> int:
        """Sequences under way."""
        return len(self._choices)

    def room_for(self, request: ChatRequest) -> bool:
        """Is a place free, and memory for the longest answer that it may get? A lone request is always let in."""
        if not self._choices:
            return True
        reserved = sum(job.reserved for job in self._jobs.values()) + self._longest(request)
        return self.running + request.sampling.n <= self._slots and reserved <= (self._kv_tokens or reserved)

    def admit(self, key: Key, request: ChatRequest) -> tuple[Event, ...]:
        """Take a request in; its first events. Raises OsaurusError for one that cannot be served."""
        prompt = read(request, self._loaded)
        sampling = fill(request.sampling, self._loaded.defaults)
        held = self._rule(request)
        constraints = self._constraints(request, prompt, held)
        prefix = self.prompts.longest(prompt.tokens)
        reserved = sampling.n * (len(prompt.tokens) + prompt.max_tokens)
        job = _Job(key, sampling, len(prompt.tokens), prefix.length, reserved)
        uids = self._insert(prompt, prefix, sampling, constraints)
        for number, (uid, constraint) in enumerate(zip(uids, constraints, strict=True)):
            choice = _Choice(job, number, self._writer(request, prompt, number), self._loaded.tokenizer.detokenizer)
            choice.constraint = constraint
            job.choices[uid] = self._choices[uid] = choice
        self._jobs[key] = job
        return Started(LOCAL, self._loaded.name), *prompt.warnings, *(held.warnings if held else ())

    def cancel(self, key: Key) -> bool:
        """Stop a request before the next token. What it has read stays in the prompt cache."""
        job = self._jobs.pop(key, None)
        if job is None:
            return False
        self._remove([uid for uid in job.choices if uid in self._choices])
        return True

    def step(self) -> list[Parcel]:
        """One token for each answer under way, or one piece of the prompts that are still read."""
        _, responses = self._generator.next()
        produced = [found for response in responses if (found := self._take(response))]
        if not self._choices:
            mx.clear_cache()
        return produced

    def close(self) -> None:
        self._generator.close()

    def _longest(self, request: ChatRequest) -> int:
        """Tokens that the request may come to, guessed from its letters before it is read."""
        letters = sum(len(message.text) for message in request.messages)
        wanted = letters // 3 + (request.sampling.max_output_tokens or DEFAULT_MAX_TOKENS)
        return request.sampling.n * min(wanted, self._loaded.context)

    def _rule(self, request: ChatRequest) -> Rule | None:
        loaded = self._loaded
        return rule(request, spelling=loaded.spelling, told=loaded.told, check=self._grammars.problem)

    def _constraints(self, request: ChatRequest, prompt: Prompt, held: Rule | None) -> list[Constraint | None]:
        """One for each choice, or as many Nones."""
        n = request.sampling.n
        if held is None:
            return [None] * n
        begun = begun_by_caller(request)
        thinks = request.reasoning_effort != "none" and not is_raw(request) and not begun
        thinking = self._grammars.thinking(prompt.state, allowed=thinks)
        first = self._grammars.constraint(held.lark, prompt_length=len(prompt.tokens), thinking=thinking, begun=begun)
        return [first, *(first.copy() for _ in range(n - 1))]

    def _insert(
        self, prompt: Prompt, prefix: Prefix, sampling: Sampling, constraints: Sequence[Constraint | None]
    ) -> list[int]:
        n, vocab = sampling.n, self._loaded.vocab
        read_before, rest = prompt.tokens[: prefix.length], prompt.tokens[prefix.length :]
        processors = [
            [*make_processors(sampling, vocab=vocab, prompt_length=len(prompt.tokens)), *filter(None, [constraint])]
            for constraint in constraints
        ]
        uids: list[int] = self._generator.insert(
            [list(rest) for _ in range(n)],
            max_tokens=[prompt.max_tokens] * n,
            caches=[prefix.layers] * n,
            all_tokens=[list(read_before) for _ in range(n)],
            samplers=[make_sampler(sampling, vocab=vocab, choice=number) for number in range(n)],
            logits_processors=processors,
        )
        return uids

    def _writer(self, request: ChatRequest, prompt: Prompt, number: int) -> AnswerWriter:
        return AnswerWriter(
            prompt.marks,
            choice=number,
            state=prompt.state,
            parse=prompt.parse,
            calls=1 if request.parallel_tool_calls is False else 128,
        )

    def _take(self, response: Any) -> Parcel | None:
        """What one new token means for its request."""
        choice = self._choices.get(response.uid)
        if choice is None:
            return None
        if choice.constraint is not None and choice.constraint.failed:
            self.cancel(choice.job.key)
            words = f"The answer could not be held to what was asked: {choice.constraint.failed}"
            return choice.job.key, Unsupported(words, param="response_format")
        events = [] if response.finish_reason == "stop" else self._say(choice, response)
        reason: FinishReason | None = "stop" if choice.writer.ended else response.finish_reason
        if reason is not None:
            events += self._finish(response, choice, reason)
        return (choice.job.key, tuple(events)) if events else None

    def _say(self, choice: _Choice, response: Any) -> list[Event]:
        if choice.writer.state == "reasoning":
            choice.thought += 1
        else:
            choice.spoken += 1
        choice.detokenizer.add_token(response.token)
        logprob = self._logprob(response, choice.job.sampling) if choice.job.sampling.logprobs else None
        return choice.writer.feed(choice.detokenizer.last_segment, logprob)

    def _finish(self, response: Any, choice: _Choice, reason: FinishReason) -> Iterator[Event]:
        if not choice.writer.ended:
            choice.detokenizer.finalize()
            yield from choice.writer.feed(choice.detokenizer.last_segment)
        events, said = choice.writer.finish(reason)
        yield from events
        choice.finished = Finished(said, choice.number, choice.writer.stopped)
        if response.finish_reason is None:
            self._remove([response.uid])
        else:
            del self._choices[response.uid]
            self.prompts.store(response.all_tokens, response.prompt_cache)
        yield from self._settle(choice.job)

    def _settle(self, job: _Job) -> Iterator[Event]:
        """When the last choice has ended: the usage, then how each of them ended."""
        finished = [choice.finished for choice in job.choices.values() if choice.finished]
        if len(finished) < len(job.choices):
            return
        del self._jobs[job.key]
        self.answered += 1
        yield UsageReported(
            Usage(
                input_tokens=job.prompt_length - job.cached,
                output_tokens=sum(choice.spoken for choice in job.choices.values()),
                cache_read_input_tokens=job.cached,
                reasoning_output_tokens=sum(choice.thought for choice in job.choices.values()),
            )
        )
        yield from finished

    def _remove(self, uids: list[int]) -> None:
        for layers, tokens in self._generator.remove(uids, return_prompt_caches=True).values():
            self.prompts.store(tokens, layers)
        for uid in uids:
            del self._choices[uid]

    def _logprob(self, response: Any, sampling: Sampling) -> TokenLogprob:
        rivals: list[tuple[str, float]] = []
        if sampling.top_logprobs:
            count = sampling.top_logprobs
            best: Any = mx.argpartition(-response.logprobs, kth=count - 1)[:count]
            values = response.logprobs[best].tolist()
            ranked = sorted(zip(best.tolist(), values, strict=True), key=lambda pair: -pair[1])
            rivals = [(self._word(token), value) for token, value in ranked]
        return TokenLogprob(self._word(response.token), response.logprobs[response.token].item(), tuple(rivals))

    def _word(self, token: int) -> str:
        word: str = self._loaded.tokenizer.decode([token])
        return word
