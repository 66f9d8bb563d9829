"""`osaurus.map`: one question for each row, told what it may cost before, capped, resumable, errors as data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any, Literal, Unpack, cast, overload

from osaurus_nb._portal import portal
from osaurus_nb.caps import Amount, Budget
from osaurus_nb.client import Client
from osaurus_nb.dataframe.estimating import Estimate, longest, price_range
from osaurus_nb.dataframe.job import Job, RowOptions
from osaurus_nb.dataframe.progress import Progress, Watcher, watcher
from osaurus_nb.dataframe.prompts import Template
from osaurus_nb.dataframe.result import NOT_ASKED, Mapped, Row
from osaurus_nb.dataframe.resuming import ResumeFile, digest
from osaurus_nb.dataframe.rows import Rows
from osaurus_nb.dataframe.runner import Runner
from osaurus_nb.dataframe.schemas import Misshapen, Shape
from osaurus_nb.errors import RequestError
from osaurus_nb.models import LOCAL, ModelCard
from osaurus_nb.routing.tokens import estimate

#: So many rows at once. A local model answers those together that its memory has room for.
_HERE, _ELSEWHERE, _MOST = 8, 32, 1024


class MapOptions(RowOptions, total=False):
    """How a map runs, beside what holds for every row."""

    concurrency: int | None
    max_cost: Amount | None
    resume: str | os.PathLike[str] | None
    progress: Watcher | bool
    client: Client | None


@overload
def map(
    data: Any, prompt: Template, *, schema: Any = ..., dry_run: Literal[True], **options: Unpack[MapOptions]
) -> Estimate: ...
@overload
def map(
    data: Any, prompt: Template, *, schema: Any = ..., dry_run: Literal[False] = ..., **options: Unpack[MapOptions]
) -> Mapped: ...
def map(
    data: Any, prompt: Template, *, schema: Any = None, dry_run: bool = False, **options: Unpack[MapOptions]
) -> Mapped | Estimate:
    """Ask for each row of a list, a series or a frame: `osaurus.map(df, "Classify: {text}", schema=Label)`.

    `prompt` has a `{column}` for what a row holds, or is a function of the row. With a `schema` (a pydantic model, or a
    JSON Schema) each value is an object of it, asked for once more where it is none. What it may cost is shown before
    anything is sent; `dry_run` does only that. Under `max_cost` no row is asked that could take all together past it.
    A row that fails has its error in the result; nothing is raised for it. An interrupt ends the map and keeps what is
    done: the result says `stopped`.

    `resume` names a file that answers are appended to, in plain text, for your user alone: run again with the same file
    and rows that are in it are not asked again. `progress` may be a function that is told, or False for silence.

    Raises RequestError for a prompt, schema or option that is none, before anything is sent.
    """
    rows, shape = Rows(data), Shape(schema) if schema is not None else None
    client, concurrency, max_cost = options.get("client"), options.get("concurrency"), options.get("max_cost")
    resume, progress = options.get("resume"), options.get("progress", True)
    common = cast(RowOptions, {key: value for key, value in options.items() if key not in _OWN})
    if concurrency is not None and not 1 <= concurrency <= _MOST:
        raise RequestError(f"'concurrency' is 1 to {_MOST}.", param="concurrency")
    with ExitStack() as stack:
        if max_cost is not None:
            stack.enter_context(Budget(max_cost))
        asking = client if client is not None else stack.enter_context(Client())
        job = Job.of(rows, prompt, shape, asking.model, common)
        file = stack.enter_context(ResumeFile(resume)) if resume is not None else None
        started, todo = _begin(job, file)
        told = _estimate(asking, job, started, todo, concurrency)
        if dry_run:
            return told
        show: Watcher = watcher() if progress is True else progress or _silence
        runner = Runner(asking.twin.backend, job, started, todo, told.concurrency)
        runner.resume(file)
        stopped = _run(runner, show, str(told)) if todo else False
        return Mapped(runner.rows, rows, shape.plain if shape is not None else None, stopped=stopped)


_OWN = frozenset(MapOptions.__annotations__) - frozenset(RowOptions.__annotations__)


def _begin(job: Job, file: ResumeFile | None) -> tuple[list[Row], list[tuple[int, str]]]:
    """A result for each row so far, and those that are to be asked, with their digest if there is a file."""
    rows, todo = [NOT_ASKED] * len(job.prompts), []
    for at, prompt in enumerate(job.prompts):
        if isinstance(prompt, RequestError):
            rows[at] = Row(error=prompt)
            continue
        key = digest(job.request(at)) if file is not None else ""
        known = _known(job, file, key) if file is not None else None
        if known is not None:
            rows[at] = known
        else:
            todo.append((at, key))
    return rows, todo


def _known(job: Job, file: ResumeFile, key: str) -> Row | None:
    found = file.take(key)
    try:
        return None if found is None else job.read(*found)
    except Misshapen:
        return None


def _estimate(
    client: Client, job: Job, rows: Sequence[Row], todo: Sequence[tuple[int, str]], concurrency: int | None
) -> Estimate:
    """What the rows that are left may cost. Asks nobody; raises for a model that nobody knows."""
    cards, names = portal().run(_candidates(client, job, todo[0][0])) if todo else ((), ())
    sizes = [estimate(job.request(at)).input_tokens for at, _ in todo]
    first = cards[0] if cards else None
    most = job.base.sampling.max_output_tokens
    low, high = price_range(cards, sizes, most) if len(cards) == len(names) else (None, None)
    here = first is not None and first.provider == LOCAL
    limits = [budget.cap.limit_micro for budget in job.budgets]
    kept = sum(row.kept for row in rows)
    return Estimate(
        rows=len(rows),
        input_tokens=sum(sizes),
        output_tokens=max((longest(card, most) for card in cards), default=longest(None, most)),
        models=tuple(names),
        low_micro=low if todo else 0,
        high_micro=high if todo else 0,
        kept=kept,
        unasked=len(rows) - kept - len(todo),
        cap_micro=min(limits, default=None),
        concurrency=concurrency or (_HERE if here else _ELSEWHERE),
    )


async def _candidates(client: Client, job: Job, at: int) -> tuple[Sequence[ModelCard], Sequence[str]]:
    """Who may answer, by the first row that is to be asked: their cards, as far as they are known, and their names."""
    backend = client.twin.backend
    explained = await backend.explain(job.request(at), job.terms)
    names = [row.model for row in explained.chosen]
    known = {card.name: card for card in await backend.models()}
    return [known[name] for name in names if name in known], names


def _run(runner: Runner, show: Watcher, told: str) -> bool:
    """Was it stopped before its end? The watcher is told on this thread."""
    stopped = False
    show(replace(runner.progress(), estimate=told))
    try:
        with closing(portal().iterate(runner.run)) as states:
            for state in states:
                show(replace(state, estimate=told))
    except KeyboardInterrupt:
        stopped = True
        runner.finished.wait(5.0)
    note = "stopped; what is done is kept" if stopped else ""
    show(replace(runner.progress(), estimate=told, ended=True, note=note))
    return stopped


def _silence(progress: Progress) -> None:
    """Nobody is told."""
