"""`%osaurus` and `%%osaurus`: parse the line, ask or command through the session, show the result."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from osaurus_nb import _markup
from osaurus_nb.errors import OsaurusError
from osaurus_nb.notebook import arguments
from osaurus_nb.notebook.asking import ask
from osaurus_nb.notebook.commands import COMMANDS, find, replay
from osaurus_nb.notebook.display import view
from osaurus_nb.notebook.interpolation import expand
from osaurus_nb.notebook.routing import explain, tell_last
from osaurus_nb.notebook.session import Asked, Session
from osaurus_nb.options import ChatOptions
from osaurus_nb.reply import Reply

#: `route replay` with nothing but options behind it; any other words are a question.
_REPLAY = re.compile(r"replay((?:\s+-.*)?)")


@magics_class
class OsaurusMagics(Magics):
    """Ask models from cells. `%osaurus help` says how."""

    def __init__(self, shell: InteractiveShell, session: Session, matcher: Callable[..., Any]) -> None:
        super().__init__(shell)
        self.session = session
        self.matcher = matcher

    @no_var_expand
    @line_cell_magic
    def osaurus(self, line: str, cell: str | None = None) -> Reply | None:
        """Ask a model: the prompt is the body of the cell, the answer streams in below it.

            %%osaurus -m MODEL
            Explain {{topic}} in one sentence.

        Options: -m/--model MODEL, -s/--system TEXT, -t/--temperature T, --max-tokens N, --seed N, --fallback MODEL (can
        be given several times), --max-cost AMOUNT, --profile NAME (which chooses the model), --mode MODE, --private
        (stays on this machine and its networks), --chat (a turn of the running conversation), --new (the first turn
        of a new one), -o/--out NAME or `-> NAME` (put the Reply into a variable; `_` has it too).

        In the prompt {{expression}} and $`name` stand for Python values; all other braces stay as they are.
        As a line: `%osaurus ask [options] QUESTION`, `%osaurus retry [options]` (the last question once more),
        `%osaurus route [options] QUESTION` (who would answer, and why), and the commands that `%osaurus help` lists.
        """
        arguments.refuse_keys(line)
        if cell is not None:
            return self._cell(line, cell)
        command, _, rest = line.strip().partition(" ")
        if command == "ask":
            return self._line(rest)
        if command == "retry":
            return self._retry(rest)
        if command == "route":
            self._route(rest)
            return None
        act = COMMANDS[find(command)]
        self._command(lambda: act(self.session, rest.strip()))
        return None

    def _cell(self, line: str, cell: str) -> Reply:
        head, name = arguments.arrow(line)
        return self._ask(cell.strip("\n"), arguments.parse(arguments.words(head)), name)

    def _line(self, rest: str) -> Reply:
        head, name = arguments.arrow(rest)
        words, question = arguments.split(head)
        return self._ask(question, arguments.parse(words), name)

    def _route(self, rest: str) -> None:
        """Who would answer a question and why; without one, why it was who answered last."""
        if (replayed := _REPLAY.fullmatch(rest.strip())) is not None:
            self._command(lambda: replay(self.session, replayed[1]))
            return
        words, question = arguments.split(rest)
        if question:
            asked, options = expand(question, self._value), arguments.options(arguments.parse(words))
            self._command(lambda: explain(self.session, asked, options))
        elif words in ([], ["--last"]):
            tell_last(self.session)
        else:
            raise UsageError("There is no question. Write it behind the options, or only --last.")

    def _retry(self, rest: str) -> Reply:
        """The last question again: a new step, with the options of then but for those that are given now."""
        head, name = arguments.arrow(rest)
        given = arguments.parse(arguments.words(head))
        if given.new or given.chat:
            raise UsageError("%osaurus retry takes no --new or --chat: it asks where it was asked before.")
        if (last := self.session.asked) is None:
            raise UsageError("There is no question to ask again yet.")
        given.system = expand(given.system, self._value) if given.system else None
        options: ChatOptions = {**last.options, **arguments.options(given)}
        name = arguments.variable(name or given.out) or last.name
        return self._answer(replace(last, options=options, name=name), again=True)

    def _ask(self, prompt: str, given: Namespace, name: str | None) -> Reply:
        name = arguments.variable(name or given.out)
        prompt = expand(prompt, self._value)
        given.system = expand(given.system, self._value) if given.system else None
        if not prompt.strip():
            raise UsageError("There is no question. Write it below %%osaurus, or behind %osaurus ask.")
        if given.new:
            self.session.forget()
        remember = given.new or given.chat or self.session.chatting
        return self._answer(Asked(prompt, arguments.options(given), remember, name))

    def _answer(self, asked: Asked, *, again: bool = False) -> Reply:
        try:
            reply = ask(
                lambda: self.session.stream(asked, again=again),
                view(self.session.shell),
                model=asked.options.get("model") or self.session.client.model,
            )
        except OsaurusError as error:
            self._keep(asked.name, error.reply)
            self.session.last = error.reply or self.session.last
            _shorten(error)
            raise
        self._keep(asked.name, reply)
        return self.session.told(reply)

    def _command(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OsaurusError as error:
            _shorten(error)
            raise

    def _keep(self, name: str | None, reply: Reply | None) -> None:
        if name is not None and reply is not None:
            self.session.shell.user_ns[name] = reply

    def _value(self, source: str) -> object:
        """What the expression means in the notebook, with the rights that the cell has anyway."""
        code = compile(source, "<prompt>", "eval")
        try:
            return eval(code, self.session.shell.user_global_ns, self.session.shell.user_ns)  # noqa: S307 - the user's own cell
        except NameError as exc:
            raise UsageError(
                f"The prompt names '{exc.name or source}', which is not defined. Nothing was sent. "
                r"Define it, or write \{{ for plain braces."
            ) from None


def _shorten(error: OsaurusError) -> None:
    """Let IPython show one line instead of a traceback: it asks the exception itself how it wants to be shown."""
    line = f"{type(error).__name__}: {_markup.printable(str(error))}"
    vars(error)["_render_traceback_"] = lambda: [line]
