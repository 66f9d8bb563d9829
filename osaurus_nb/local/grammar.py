"""Holds a model to a grammar while it draws tokens, with llguidance. Runs on the engine's thread only."""

from __future__ import annotations

import copy
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.local.loading import Loaded
from osaurus_nb.local.text_stream import State

_LONGEST_PROBLEM = 300
_EXCERPT = re.compile(r"\s*(\d+ \|.*|\^+)\s*")
_PLACE = re.compile(r"^at \d+\(\d+\): (failed to compile JSON schema: )?")


@dataclass(frozen=True, slots=True)
class Thinking:
    """Tokens between which the model may say what it likes before its answer: what opens them, and what closes them.

    `open` says that they are open from the start.
    """

    start: int | None = None
    end: tuple[int, ...] = ()
    open: bool = False


class Grammars:
    """Makes constraints for one model. The engine behind it is imported for the first request that needs one."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._engine: Any = None
        self._tokenizer: Any = None

    def problem(self, lark: str) -> str:
        """Why no answer can be held to this grammar; nothing when one can."""
        matcher = self._matcher(lark)
        return _told(matcher) if matcher.is_error() else ""

    def constraint(self, lark: str, *, prompt_length: int, thinking: Thinking, begun: str = "") -> Constraint:
        """A processor of logits that keeps one answer to the grammar, with what the caller has begun of it.

        Raises Unsupported where that cannot be, RequestError for a beginning that does not fit.
        """
        matcher = self._matcher(lark)
        if matcher.is_error():
            raise Unsupported(f"The answer cannot be held to what was asked: {_told(matcher)}", param="response_format")
        if begun and matcher.try_consume_tokens(tokens := self._tokenizer.tokenize_str(begun)) < len(tokens):
            raise RequestError("The answer that you began does not fit the format that you ask for.", param="messages")
        ends = frozenset(self._loaded.tokenizer.eos_token_ids)
        return Constraint(matcher, self._fill(), ends, prompt_length, thinking)

    def thinking(self, state: State, *, allowed: bool) -> Thinking:
        """Where this model thinks in an answer that begins in `state`."""
        start, end = self._loaded.tokenizer.think_start_tokens, self._loaded.tokenizer.think_end_tokens
        if not start or not end or not (allowed or state == "reasoning"):
            return Thinking()
        return Thinking(start[0] if len(start) == 1 else None, tuple(end), state == "reasoning")

    def _matcher(self, lark: str) -> Any:
        self._open()
        engine = self._engine
        # Its long errors would quote the state that it is in, and so the answer.
        limits = engine.LLParserLimits(verbose_errors=False)
        return engine.LLMatcher(self._tokenizer, engine.LLMatcher.grammar_from_lark(lark), log_level=0, limits=limits)

    def _fill(self) -> Callable[[Any], np.ndarray[Any, Any]]:
        numpy_side, vocab = importlib.import_module("llguidance.numpy"), self._loaded.vocab

        def fill(matcher: Any) -> np.ndarray[Any, Any]:
            bits = numpy_side.allocate_token_bitmask(1, vocab)
            numpy_side.fill_next_token_bitmask(matcher, bits, 0)
            return np.unpackbits(bits.view(np.uint8), bitorder="little")[:vocab].astype(bool)

        return fill

    def _open(self) -> None:
        if self._tokenizer is not None:
            return
        try:
            self._engine = importlib.import_module("llguidance")
        except ImportError:
            words = "To hold an answer to a format needs llguidance. Add it with: pip install 'osaurus-nb[local]'"
            raise Unsupported(words, param="response_format") from None
        try:
            spelt = self._loaded.tokenizer.backend_tokenizer.to_str()
            ends = sorted(self._loaded.tokenizer.eos_token_ids)
            self._tokenizer = self._engine.LLTokenizer(spelt, n_vocab=self._loaded.vocab, eos_token=ends)
        except (AttributeError, ValueError, RuntimeError) as fault:
            words = f"The tokenizer of {self._loaded.name!r} is of a kind that cannot be held to a format."
            raise Unsupported(words, param="response_format") from fault


class Constraint:
    """A processor of logits for one answer. `failed` says why the grammar could not be followed to its end."""

    def __init__(
        self,
        matcher: Any,
        fill: Callable[[Any], np.ndarray[Any, Any]],
        ends: frozenset[int],
        prompt_length: int,
        thinking: Thinking,
    ) -> None:
        self._matcher = matcher
        self._fill = fill
        self._ends = ends
        self._seen = prompt_length
        self._thinking = thinking
        self._free = thinking.open
        self._begun = thinking.open
        self._tail: tuple[int, ...] = ()
        self._over = False
        self.failed = ""

    def copy(self) -> Constraint:
        """Another one at the same place, for another answer to the same request."""
        twin = copy.copy(self)
        twin._matcher = self._matcher.deep_copy()
        return twin

    def __call__(self, tokens: mx.array, logits: mx.array) -> mx.array:
        fresh: Any = tokens[self._seen :].tolist()
        self._seen += len(fresh)
        for token in fresh:
            self._take(token)
        if self._free or self._over:
            return logits
        return mx.where(mx.array(self._allowed(logits.shape[-1]))[None], logits, -mx.inf)

    def _take(self, token: int) -> None:
        """One more token of the answer."""
        first, self._begun = not self._begun, True
        if self._free:
            self._tail = (*self._tail, token)[-len(self._thinking.end) :]
            self._free = self._tail != self._thinking.end
        elif first and token == self._thinking.start:
            self._free = True
        elif token in self._ends:
            self._over = True
        elif not self._over and not self._matcher.consume_token(token):
            self._fail()

    def _allowed(self, width: int) -> np.ndarray[Any, Any]:
        allowed = np.zeros(width, dtype=bool)
        if not self.failed:
            found = self._fill(self._matcher)[:width]
            allowed[: len(found)] = found
            if self._matcher.is_error():
                self._fail()
        if not self._begun and self._thinking.start is not None:
            allowed[self._thinking.start] = True
        if self.failed:
            allowed[:] = False
            allowed[list(self._ends)] = True
        return allowed

    def _fail(self) -> None:
        self.failed = _told(self._matcher)


def _told(matcher: Any) -> str:
    """The engine's own words in one line, without the excerpt of the grammar that it adds."""
    lines = (line for line in str(matcher.get_error()).splitlines() if not _EXCERPT.fullmatch(line))
    return _PLACE.sub("", " ".join(" ".join(lines).split()))[:_LONGEST_PROBLEM]
