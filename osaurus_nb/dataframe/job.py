"""What a map will ask: the question of each row, under the options that all have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, cast

from osaurus_nb import caps
from osaurus_nb import options as opt
from osaurus_nb.caps import Budget
from osaurus_nb.dataframe.prompts import Questions, Template
from osaurus_nb.dataframe.result import Row
from osaurus_nb.dataframe.rows import Rows
from osaurus_nb.dataframe.schemas import Shape
from osaurus_nb.errors import RequestError
from osaurus_nb.options import ChatOptions, Prompt
from osaurus_nb.ports import Terms
from osaurus_nb.request import ChatRequest, Effort
from osaurus_nb.routes import Mode
from osaurus_nb.tools import Toolbox
from osaurus_nb.turn import terms


class RowOptions(TypedDict, total=False):
    """What holds for every row; each as in `Client.chat`."""

    model: str | None
    system: str | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: str | Sequence[str]
    seed: int | None
    reasoning_effort: Effort
    fallbacks: Sequence[str]
    deadline: float | None
    profile: str | None
    mode: Mode | None
    private: bool
    extra: dict[str, object]


@dataclass(frozen=True, slots=True)
class Job:
    """`prompts` has a RequestError for each row that lacks what is asked about. All are under the same budgets."""

    base: ChatRequest
    system: str | None
    prompts: Sequence[Prompt | RequestError]
    shape: Shape | None
    budgets: tuple[Budget, ...]
    terms: Terms

    @classmethod
    def of(cls, rows: Rows, template: Template, shape: Shape | None, model: str, options: RowOptions) -> Job:
        """To be made where the caller is: the budgets, the cell and the faults on purpose of his block hold."""
        unknown = set(options) - set(RowOptions.__annotations__)
        if unknown:
            known = ", ".join(sorted(RowOptions.__annotations__))
            raise RequestError(f"Unknown option '{min(unknown)}'. Known: {known}.", param=min(unknown))
        plain = cast(ChatOptions, {key: value for key, value in options.items() if key != "system"})
        base = opt.request("row", plain, model=model, toolbox=Toolbox(()))
        if shape is not None:
            base = replace(base, response_format=shape.format)
        budgets = caps.holding()
        held = replace(terms(budgets, private=base.route.mode == "local-strict"), whole=True)
        return cls(base, options.get("system"), _prompts(rows, template), shape, budgets, held)

    def request(self, at: int) -> ChatRequest:
        """The question of that row. Raises its RequestError."""
        prompt = self.prompts[at]
        if isinstance(prompt, RequestError):
            raise prompt
        return replace(self.base, messages=opt.messages(prompt, self.system))

    def read(self, text: str, row: Row) -> Row:
        """The row with its value. Raises Misshapen."""
        return replace(row, value=text if self.shape is None else self.shape.read(text))


def _prompts(rows: Rows, template: Template) -> list[Prompt | RequestError]:
    questions = Questions(template, rows)
    found: list[Prompt | RequestError] = []
    for row in rows.values(questions.fields):
        try:
            found.append(questions.ask(row))
        except RequestError as error:
            found.append(error)
    return found
