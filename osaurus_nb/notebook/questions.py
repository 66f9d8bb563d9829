"""Lets `%osaurus ask ...?` end in a question mark, which IPython would otherwise take as a call for help."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Sequence

from IPython.core.inputtransformer2 import TokenTransformBase

_QUESTION = re.compile(
    r"(?P<head>[ \t]*(?:[^\s=%][^=\n]*=[ \t]*)?)%osaurus[ \t]+(?P<ask>ask[ \t].*\?)[ \t]*$", re.MULTILINE
)


class Question(TokenTransformBase):
    """`%osaurus ask ...?`, also behind `name =`, as the call that IPython makes of any other magic."""

    priority = 1  # before HelpEnd, which has 5

    @classmethod
    def find(cls, tokens_by_line: Sequence[Sequence[tokenize.TokenInfo]]) -> Question | None:
        for line in tokens_by_line:
            code = [token for token in line if token.type not in (tokenize.INDENT, tokenize.DEDENT)]
            if code and _QUESTION.match(code[0].line):
                return cls(code[0].start)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        match = _QUESTION.match(lines[self.start_line])
        if match is None:
            raise SyntaxError("no question")  # IPython's way to say: not mine after all
        call = f"{match['head']}get_ipython().run_line_magic('osaurus', {match['ask']!r})\n"
        return [*lines[: self.start_line], call, *lines[self.start_line + 1 :]]
