"""Tab behind `%osaurus`: commands, and names of models where one is expected. Never waits for a slow provider."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from osaurus_nb.commands import access_keys, table
from osaurus_nb.config.profiles import ProfileFile
from osaurus_nb.notebook.commands import COMMANDS
from osaurus_nb.notebook.session import Session
from osaurus_nb.providers import registry
from osaurus_nb.routes import MODES
from osaurus_nb.routing.profiles import Profiles

_COMMAND = re.compile(r"^\s*(?:[A-Za-z_]\w*\s*=\s*)?%osaurus\s+(?P<word>[a-z]*)$")
_MODEL = re.compile(
    r"^\s*(?:[A-Za-z_]\w*\s*=\s*)?%%?osaurus\s+(?:use\s+|(?:.*\s)?(?:-m|--model|--fallback)(?:\s+|=))(?P<word>\S*)$"
)
_CHOICE = re.compile(
    r"^\s*(?:[A-Za-z_]\w*\s*=\s*)?%%?osaurus\s.*--(?P<option>mode|profile)(?:\s+|=)(?P<word>[\w./-]*)$"
)
_ACTION = re.compile(r"^\s*%osaurus\s+(?P<command>[a-z]+(?:\s+keys)?)\s+(?P<word>[a-z]*)$")
_PROVIDER = re.compile(
    r"^\s*%osaurus\s+(?:key|doctor|providers\s+(?:key|test|edit|remove|enable|disable))\s+(?P<word>[\w.-]*)$"
)
#: What can stand behind a command.
_ACTIONS: Mapping[str, Sequence[str]] = {
    "chat": ("on", "off", "reset"),
    "private": ("on", "off"),
    "identity keys": access_keys.ACTIONS,
    **{name: command.actions for name, command in table.COMMANDS.items()},
}


def matcher(session: Session) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """The matcher to add to the shell's completer."""

    @context_matcher(identifier="osaurus", priority=100)  # type: ignore[untyped-decorator]  # IPython's is untyped
    def complete(context: CompletionContext) -> SimpleMatcherResult:
        line = context.full_text.split("\n")[context.cursor_line][: context.cursor_position]
        if (match := _COMMAND.match(line)) is not None:
            return _result(match["word"], ["ask", "retry", "route", *COMMANDS], "command")
        if (match := _ACTION.match(line)) is not None and (command := " ".join(match["command"].split())) in _ACTIONS:
            return _result(match["word"], list(_ACTIONS[command]), "command")
        if (match := _PROVIDER.match(line)) is not None:
            return _result(match["word"], [provider.slug for provider in registry.list()], "provider")
        if (match := _CHOICE.match(line)) is not None:
            return _result(match["word"], _choices(session, match["option"]), match["option"])
        if (match := _MODEL.match(line)) is not None:
            return _result(match["word"], list(session.listing.names()), "model")
        return SimpleMatcherResult(completions=[])

    found: Callable[[CompletionContext], SimpleMatcherResult] = complete
    return found


def _choices(session: Session, option: str) -> list[str]:
    """Modes, or the names of profiles, the user's own too."""
    if option == "mode":
        return list(MODES)
    return list(Profiles(ProfileFile(session.client.settings.paths)).names())


def _result(word: str, choices: list[str], kind: str) -> SimpleMatcherResult:
    completions = [SimpleCompletion(choice, type=kind) for choice in choices if choice.startswith(word)]
    return SimpleMatcherResult(completions=completions, suppress=True, matched_fragment=word, ordered=True)
