"""Asks: so many workers pull one iterator of rows on the portal's loop; what went wrong with a row is its result."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

from osaurus_nb import caps
from osaurus_nb.dataframe.crew import Crew
from osaurus_nb.dataframe.job import Job
from osaurus_nb.dataframe.progress import Progress
from osaurus_nb.dataframe.result import Row
from osaurus_nb.dataframe.resuming import ResumeFile
from osaurus_nb.dataframe.schemas import Misshapen
from osaurus_nb.errors import (
    AccessDenied,
    BadAnswer,
    BudgetExceeded,
    ConfigError,
    CredentialRejected,
    EmptyAnswer,
    ModelAmbiguous,
    ModelNotFound,
    NobodyAnswered,
    OsaurusError,
    QuotaExhausted,
    RateLimited,
    Resting,
    Unsupported,
)
from osaurus_nb.events import Answer, Failed, Fold
from osaurus_nb.messages import assistant, user
from osaurus_nb.models import Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.runtime import Backend
from osaurus_nb.spending import Cost

T = TypeVar("T", Usage, Cost)

#: Seconds between two words of progress.
PERIOD = 0.25
#: A row is asked so often where its provider has no room, and not at all where that lasts longer than this (seconds).
_TRIES, _PATIENCE = 6, 300.0
#: What the next row would hear as well: the rest is not asked.
_FATAL = (AccessDenied, CredentialRejected, QuotaExhausted, ModelNotFound, ModelAmbiguous, Unsupported)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What one row was answered, with all that it took so far."""

    row: Row
    text: str = ""


class Runner:
    """Runs once. `rows` has what came so far at any time; `finished` is set when nothing of it runs any more."""

    def __init__(
        self, backend: Backend, job: Job, rows: list[Row], todo: Sequence[tuple[int, str]], concurrency: int
    ) -> None:
        self._backend = backend
        self._job = job
        self.rows = rows
        self.finished = threading.Event()
        self._todo: Iterator[tuple[int, str]] = iter(todo)
        self._count = len(todo)
        self._kept = sum(row.kept for row in rows)
        self._unasked = len(rows) - self._count - self._kept
        self._crew = Crew(concurrency, time.monotonic)
        self._workers = max(min(concurrency, len(todo)), 1)
        self._done = self._failed = self._lost = self._unpriced = self._micro = 0
        self._began = time.monotonic()
        self._stop: OsaurusError | None = None
        self._file: ResumeFile | None = None

    def resume(self, file: ResumeFile | None) -> None:
        """Keep what is answered in this file."""
        self._file = file

    async def run(self) -> AsyncGenerator[Progress, None]:
        """Four times a second how far it is, until all rows have a result. Closing it stops the work."""
        workers = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        pending: set[asyncio.Task[None]] = set(workers)
        self._began = time.monotonic()
        try:
            while pending:
                done, pending = await asyncio.wait(pending, timeout=PERIOD, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
                if pending:
                    yield self.progress()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            self.finished.set()

    def progress(self) -> Progress:
        """At this moment."""
        spent = time.monotonic() - self._began
        rate = self._done / spent if self._done and spent > 0 else None
        return Progress(
            done=self._done + len(self.rows) - self._count,
            total=len(self.rows),
            errors=self._failed + self._unasked,
            kept=self._kept,
            running=self._crew.running,
            cost_micro=None if self._unpriced else self._micro,
            rate=rate,
            eta=(self._count - self._done) / rate if rate else None,
            note="the provider asks for fewer at a time" if self._crew.allowed < self._crew.most // 2 else "",
        )

    async def _work(self) -> None:
        for at, key in self._todo:
            if self._stop is not None:
                heard = _Heard(Row(error=self._stop))
            else:
                heard = await self._answer(self._job.request(at))
            self._note(at, heard.row)
            if self._file is not None and heard.row.ok:
                self._keep(self._file, key, heard)

    def _keep(self, file: ResumeFile, key: str, heard: _Heard) -> None:
        """Where that fails nothing more is asked: it would be paid for twice."""
        try:
            file.keep(key, heard.text, heard.row)
        except OSError as error:
            self._stop = ConfigError(f"The file to resume from cannot be written: {error.strerror}.")

    def _note(self, at: int, row: Row) -> None:
        self.rows[at] = row
        self._done += 1
        self._failed += not row.ok
        known = row.cost.micro if row.cost is not None else None
        self._micro += known or 0
        self._unpriced += known is None and (row.ok or row.cost is not None)

    async def _answer(self, request: ChatRequest) -> _Heard:
        """Asked until it is answered, refused, or the provider has had no room too often."""
        spent: Cost | None = None
        tried = 0
        while True:
            tried += 1
            entered = await self._crew.enter()
            if self._stop is not None:
                self._crew.leave()
                return _Heard(Row(error=self._stop, cost=spent))
            try:
                heard = await self._ask(request)
                heard = replace(heard, row=replace(heard.row, cost=_sum(spent, heard.row.cost)))
                spent, error = heard.row.cost, heard.row.error
                if not self._again(error, entered, tried):
                    return heard
            finally:
                self._crew.leave()

    def _again(self, error: OsaurusError | None, entered: float, tried: int) -> bool:
        """What follows for the crew, and is the row to be asked once more?"""
        if error is None:
            self._crew.went_well()
            self._lost = 0
            return False
        if (refused := _budget(error)) is not None:
            return self._room(refused)
        if isinstance(error, _FATAL):
            self._stop = error
        if not _crowded(error):
            return False
        wait = error.retry_after
        self._crew.slow(entered, wait if wait is None or wait <= _PATIENCE else 0.0)
        if tried < _TRIES and (wait is None or wait <= _PATIENCE):
            return True
        self._lost += 1
        if self._lost >= self._crew.most:
            self._stop = error
        return False

    def _room(self, refused: BudgetExceeded) -> bool:
        """Will a cap have room for this row when others have ended? If not, there is none for the rest either."""
        overrun = refused.overrun
        if overrun is not None and overrun.cap.scope.partition(":")[0] in ("request", "question"):
            return False
        if (
            overrun is not None
            and overrun.needed_micro is not None
            and self._crew.running > 1
            and (overrun.spent_micro + overrun.needed_micro <= overrun.cap.limit_micro)
        ):
            self._crew.narrow()
            return True
        self._stop = refused
        return False

    async def _ask(self, request: ChatRequest) -> _Heard:
        """One question, and one more where the answer has not the shape."""
        answer = await self._hear(request)
        row = _row(answer)
        if not row.ok:
            return _Heard(row)
        try:
            return _Heard(self._job.read(answer.text, row), answer.text)
        except Misshapen as fault:
            again = f"That does not fit the schema: {fault.told}. Answer again, with the JSON object alone."
        mended = replace(request, messages=(*request.messages, assistant(answer.text), user(again)))
        second = await self._hear(mended)
        whole = _row(second)
        whole = replace(whole, cost=_sum(row.cost, whole.cost), usage=_sum(row.usage, whole.usage))
        if not whole.ok:
            return _Heard(whole)
        try:
            return _Heard(self._job.read(second.text, whole), second.text)
        except Misshapen as fault:
            said = f"'{second.model}' was asked twice. {fault}"
            return _Heard(replace(whole, error=BadAnswer(said, provider=second.provider, model=second.model)))

    async def _hear(self, request: ChatRequest) -> Answer:
        """The whole answer; one that failed has its error."""
        fold = Fold()
        try:
            async with aclosing(self._backend.stream(request, self._job.terms)) as stream:
                async for event in stream:
                    fold.add(event)
        except OsaurusError as error:
            fold.add(Failed(error))
        answer = fold.answer()
        caps.count(self._job.budgets, answer.cost)
        return answer


def _row(answer: Answer) -> Row:
    """Without its value. An answer without a word is an error."""
    model = f"{answer.provider}/{answer.model}" if answer.provider else answer.model
    row = Row(error=answer.error, cost=answer.cost, usage=answer.usage, model=model)
    if answer.error is not None or answer.text.strip():
        return row
    said = f"'{answer.model}' returned no visible text ({answer.finish_reason})."
    return replace(row, error=EmptyAnswer(said, provider=answer.provider, model=answer.model))


def _budget(error: OsaurusError) -> BudgetExceeded | None:
    """A cap is why nobody was asked."""
    if isinstance(error, BudgetExceeded):
        return error
    causes = error.causes if isinstance(error, NobodyAnswered) else ()
    refused = [cause for cause in causes if isinstance(cause, BudgetExceeded)]
    return refused[0] if refused and len(refused) == len(causes) else None


def _crowded(error: OsaurusError) -> bool:
    """Waiting helps, and so do fewer at a time."""
    causes = error.causes if isinstance(error, NobodyAnswered) else (error,)
    return any(
        isinstance(cause, RateLimited | Resting) or getattr(cause, "reason", None) == "crowded" for cause in causes
    )


def _sum(one: T | None, other: T | None) -> T | None:
    return one + other if one is not None and other is not None else one or other
