"""What the grammars share: parsers without abbreviations, and words that exist to be refused. Takes no secret."""

from __future__ import annotations

from argparse import (
    SUPPRESS,
    Action,
    ArgumentParser,
    Namespace,
    _SubParsersAction,  # what add_subparsers returns has no public name
)
from collections.abc import Callable
from typing import Any, TypeAlias

from osaurus_nb.commands.person import Person
from osaurus_nb.commands.told import Told

#: What is done: with what was said, for whoever said it. Raises OsaurusError.
Act: TypeAlias = Callable[[Namespace, Person], Told]
NO_KEYS = (
    "a key is never taken from a command line, which histories and lists of processes keep. It is asked for without "
    "echo: providers key NAME. If you wrote a real key, replace it at its provider"
)


class Actions:
    """The actions of one command."""

    def __init__(self, parser: ArgumentParser) -> None:
        self._help = parser.add_help
        self._actions: _SubParsersAction[ArgumentParser] = parser.add_subparsers(metavar="ACTION")

    def add(self, name: str, act: Act, help: str) -> ArgumentParser:
        """The parser of a new action, for its options."""
        action = self._actions.add_parser(name, help=help, add_help=self._help, allow_abbrev=False)
        action.set_defaults(act=act)
        return action


class Refused(Action):
    """Something that can be written only to be told why it must not be. It is not repeated."""

    def __init__(self, *given: Any, why: str, **more: Any) -> None:
        super().__init__(*given, **{**more, "help": SUPPRESS, "default": SUPPRESS})
        self._why = why

    def __call__(self, parser: ArgumentParser, namespace: Namespace, values: object, option: str | None = None) -> None:
        if option is not None or values:
            parser.error(self._why)


def refuse_keys(parser: ArgumentParser) -> None:
    """Options that look as if they took a key say what to do instead."""
    parser.add_argument("--key", "--api-key", "--token", "--secret", nargs="?", action=Refused, why=NO_KEYS)


def refuse_words(parser: ArgumentParser, why: str) -> None:
    """Whatever else is written may be a secret."""
    parser.add_argument("refused", nargs="*", action=Refused, why=why)


def perform(options: Namespace, person: Person) -> Told:
    """Do what was said. Raises OsaurusError."""
    act: Act = options.act
    return act(options, person)
