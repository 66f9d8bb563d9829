"""The first line of a magic: options, `-> name`, and no keys. Pure."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import NoReturn

from IPython.core.error import UsageError

from osaurus_nb.commands import table
from osaurus_nb.options import ChatOptions

_ARROW = re.compile(r"(?:^|\s)->\s*(\S+)\s*$")
_OPTION = re.compile(
    r"""\s*(?:--(?:new|chat|private|last)(?=\s|$)|(?:--?[A-Za-z][\w-]*)(?:=|\s+)?(?:"[^"]*"|'[^']*'|[^\s"'-]\S*)?(?=\s|$))"""
)
_KEY_OPTION = re.compile(r"(?:^|\s)--?(?:api[-_]?)?(?:key|token|secret)(?![\w-])|\bapi[-_]?key\s*=", re.IGNORECASE)
_KEY = re.compile(
    r"\b(?:sk|osk|pk|rk|xai|gsk|hf|ghp|glpat|r8|pplx|nvapi|tgp)[-_][\w-]{12,}|\bAIza[\w-]{20,}|\bBearer\s+\S{8,}"
    r"|\beyJ[\w-]{20,}\.|\bAKIA[A-Z0-9]{12,}"
)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}. %osaurus help lists the options.")


def _parser() -> _Parser:
    parser = _Parser(prog="%%osaurus", add_help=False, allow_abbrev=False)
    parser.add_argument("-m", "--model")
    parser.add_argument("-s", "--system")
    parser.add_argument("-t", "--temperature", type=float)
    parser.add_argument("--max-tokens", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--fallback", action="append")
    parser.add_argument("--max-cost")
    parser.add_argument("--profile")
    parser.add_argument("--mode")
    parser.add_argument("--private", action="store_true")
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--new", action="store_true")
    parser.add_argument("-o", "--out")
    return parser


def parse(words: Sequence[str]) -> Namespace:
    """The options. Raises UsageError for one that is none."""
    return _parser().parse_args(words)


def shared(command: str, line: str) -> Namespace:
    """What stands behind one of the commands that the terminal has too. Raises UsageError."""
    return taught(command, table.COMMANDS[command].configure, line)


def taught(command: str, configure: Callable[[ArgumentParser], None], line: str) -> Namespace:
    """What stands behind a command with these options. Raises UsageError."""
    parser = _Parser(prog=f"%osaurus {command}", add_help=False, allow_abbrev=False)
    configure(parser)
    return parser.parse_args(words(line))


def refuse_keys(line: str) -> None:
    """Raise UsageError if the line holds a key or an option for one. The message never repeats it."""
    if _KEY_OPTION.search(line) or _KEY.search(line):
        raise UsageError(
            "Keys do not belong in a cell: they stay in the notebook and in IPython's history. `%osaurus key NAME` "
            "asks for it without showing it, or name an environment variable that has it: --key-env VARIABLE. "
            "If you wrote a real key here, replace it at its provider."
        )


def split(line: str) -> tuple[list[str], str]:
    """The leading options as arguments, and the rest as it is written."""
    at = 0
    while (match := _OPTION.match(line, at)) is not None and match.end() > at:
        at = match.end()
    return words(line[:at]), line[at:].strip()


def words(line: str) -> list[str]:
    """The line as a shell would split it."""
    try:
        return shlex.split(line)
    except ValueError as exc:
        raise UsageError(f"A quote is not closed: {line.strip()}") from exc


def arrow(line: str) -> tuple[str, str | None]:
    """The line without `-> name`, and the name."""
    match = _ARROW.search(line)
    return (line[: match.start()], match[1]) if match else (line, None)


def variable(name: str | None) -> str | None:
    """The name, if a variable can have it."""
    if name is not None and not name.isidentifier():
        raise UsageError(f"'{name}' cannot name a variable.")
    return name


def options(given: Namespace) -> ChatOptions:
    """What was said beside the prompt."""
    chosen: ChatOptions = {}
    if given.model:
        chosen["model"] = given.model
    if given.system:
        chosen["system"] = given.system
    if given.temperature is not None:
        chosen["temperature"] = given.temperature
    if given.max_tokens is not None:
        chosen["max_tokens"] = given.max_tokens
    if given.seed is not None:
        chosen["seed"] = given.seed
    if given.fallback:
        chosen["fallbacks"] = given.fallback
    if given.max_cost:
        chosen["max_cost"] = given.max_cost
    if given.profile:
        chosen["profile"] = given.profile
    if given.mode:
        chosen["mode"] = given.mode
    if given.private:
        chosen["private"] = True
    return chosen
