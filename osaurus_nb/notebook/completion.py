"""Tab behind `%osaurus`: commands, and names of models where one is expected. Never waits for a slow provider."""

from __future__ import annotations

import re
from collections.abc import Callable

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from osaurus_nb.notebook.commands import COMMANDS
from osaurus_nb.notebook.session import Session
from osaurus_nb.providers.command_line import ACTIONS

_COMMAND = re.compile(r"^\s*(?:[A-Za-z_]\w*\s*=\s*)?%osaurus\s+(?P<word>[a-z]*)$")
_MODEL = re.compile(
    r"^\s*(?:[A-Za-z_]\w*\s*=\s*)?%%?osaurus\s+(?:use\s+|(?:.*\s)?(?:-m|--model|--fallback)(?:\s+|=))(?P<word>\S*)$"
)
_PROVIDERS = re.compile(r"^\s*%osaurus\s+providers\s+(?P<word>[a-z]*)$")
_CHAT = re.compile(r"^\s*%osaurus\s+chat\s+(?P<word>[a-z]*)$")


def matcher(session: Session) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """The matcher to add to the shell's completer."""

    @context_matcher(identifier="osaurus", priority=100)  # type: ignore[untyped-decorator]  # IPython's is untyped
    def complete(context: CompletionContext) -> SimpleMatcherResult:
        line = context.full_text.split("\n")[context.cursor_line][: context.cursor_position]
        if (match := _COMMAND.match(line)) is not None:
            return _result(match["word"], ["ask", *COMMANDS], "command")
        if (match := _CHAT.match(line)) is not None:
            return _result(match["word"], ["on", "off", "reset"], "command")
        if (match := _PROVIDERS.match(line)) is not None:
            return _result(match["word"], list(ACTIONS), "command")
        if (match := _MODEL.match(line)) is not None:
            return _result(match["word"], list(session.listing.names()), "model")
        return SimpleMatcherResult(completions=[])

    found: Callable[[CompletionContext], SimpleMatcherResult] = complete
    return found


def _result(word: str, choices: list[str], kind: str) -> SimpleMatcherResult:
    completions = [SimpleCompletion(choice, type=kind) for choice in choices if choice.startswith(word)]
    return SimpleMatcherResult(completions=completions, suppress=True, matched_fragment=word, ordered=True)
