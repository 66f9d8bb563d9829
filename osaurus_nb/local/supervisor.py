"""Keeps one worker for each loaded model: starts it on demand, shares it between processes, replaces it when it dies.

Imports no mlx: a model never lives in the process that asks it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import LocalModelError, ModelTooLarge, OsaurusError, WorkerDied
from osaurus_nb.local import memory
from osaurus_nb.local.connection import Connection, Patience, connect, kill_worker
from osaurus_nb.local.library import LocalModel
from osaurus_nb.local.places import FileLock, Place, is_held, place_for, read_badge
from osaurus_nb.local.profiles import expected_profile
from osaurus_nb.local.protocol import Fault, Health, error_of
from osaurus_nb.local.worker import LONGEST_LOG, Options
from osaurus_nb.models import LOCAL

_POLL_SECONDS = 0.02
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker is run. `start_s` is the longest that loading may take."""

    idle_s: float = 900.0
    start_s: float = 300.0
    slots: int = 8
    waiting: int = 64
    cache_bytes: int = 512 << 20


@dataclass(slots=True)
class _Line:
    """What this process knows of one model's worker."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: Connection | None = None
    failures: int = 0
    retry_at: float = 0.0
    error: OsaurusError | None = None
    starts: int = 0


class Supervisor:
    """The workers of this user, as one process sees them. Belongs to one event loop."""

    def __init__(
        self, paths: Paths, *, settings: WorkerSettings | None = None, patience: Patience | None = None
    ) -> None:
        self._paths = paths
        self._settings = settings or WorkerSettings()
        self._patience = patience or Patience()
        self._lines: dict[Path, _Line] = {}

    async def acquire(self, model: LocalModel) -> Connection:
        """A line to the worker of `model`, started if none runs. Raises LocalModelError or WorkerDied."""
        line = self._lines.setdefault(model.folder, _Line())
        async with line.lock:
            if line.connection is not None and not line.connection.closed:
                return line.connection
            _wait_out(line)
            try:
                line.connection = await self._open(model, line)
            except (LocalModelError, WorkerDied) as failed:
                _note_failure(line, failed)
                raise
            except OSError as fault:
                words = f"The process of {model.id!r} could not be started: {fault.strerror or type(fault).__name__}."
                raise LocalModelError(words) from fault
            line.failures, line.error = 0, None
            return line.connection

    async def unload(self, model: LocalModel) -> bool:
        """Stop the worker of `model`. False when none runs."""
        place = self._place(model)
        connection = await self._reach(place)
        if connection is None:
            return False
        await connection.shut_down()
        return True

    async def status(self, models: Sequence[LocalModel]) -> list[Health]:
        """How the workers of `models` are, those that run."""
        return [health for model in models if (health := await self._health(model)) is not None]

    def restarts(self, model: LocalModel) -> int:
        """So often this process started its worker anew."""
        line = self._lines.get(model.folder)
        return max(line.starts - 1, 0) if line is not None else 0

    async def aclose(self) -> None:
        """Hang up. Workers stay for other processes, and leave when nobody asks."""
        for line in self._lines.values():
            if line.connection is not None:
                await line.connection.aclose()

    async def _health(self, model: LocalModel) -> Health | None:
        connection = await self._reach(self._place(model))
        if connection is None:
            return None
        try:
            return await connection.health()
        except (TimeoutError, WorkerDied):
            return None
        finally:
            await connection.aclose()

    def _place(self, model: LocalModel) -> Place:
        return place_for(model.id, model.folder, self._paths)

    async def _reach(self, place: Place) -> Connection | None:
        """A line to a worker that runs. One that does not answer is ended: it hangs."""
        try:
            return await connect(place, self._patience)
        except TimeoutError:
            badge = read_badge(place)
            if badge is not None:
                await asyncio.to_thread(kill_worker, place, badge)
            return None

    async def _open(self, model: LocalModel, line: _Line) -> Connection:
        place = self._place(model)
        deadline = time.monotonic() + self._settings.start_s
        while time.monotonic() < deadline:
            if (connection := await self._reach(place)) is not None:
                return connection
            lock = FileLock(place.start)
            try:
                # One process at a time starts a worker. One that is loading already is waited for.
                if lock.take() and not is_held(place.life):
                    await self._start(model, place, deadline)
                    line.starts += 1
                else:
                    await asyncio.sleep(_POLL_SECONDS)
            finally:
                lock.free()
        if (badge := read_badge(place)) is not None:
            await asyncio.to_thread(kill_worker, place, badge)
        raise WorkerDied(f"The local model {model.id!r} was not ready in time.", provider=LOCAL, model=model.id)

    async def _start(self, model: LocalModel, place: Place, deadline: float) -> None:
        """Run a new worker and wait until it listens, or until another one turns out to run."""
        kv_tokens = await asyncio.to_thread(_room, model)
        process = await asyncio.to_thread(_spawn, self._options(model, place, kv_tokens))
        assert process.stdout is not None
        try:
            report = await asyncio.wait_for(_last_report(process.stdout), deadline - time.monotonic())
        except TimeoutError:
            process.kill()
            raise WorkerDied(
                f"The local model {model.id!r} took too long to load.", provider=LOCAL, model=model.id
            ) from None
        if report.get("stage") == "failed":
            fault = Fault(0, str(report.get("kind")), str(report.get("message")))
            raise error_of(fault, provider=LOCAL, model=model.id)
        if report.get("stage") not in ("ready", "taken"):
            raise WorkerDied(
                f"The process of the local model {model.id!r} ended while loading; see {place.log}.",
                provider=LOCAL,
                model=model.id,
            )

    def _options(self, model: LocalModel, place: Place, kv_tokens: int) -> Options:
        settings = self._settings
        return Options(
            model=str(model.folder),
            name=model.id,
            folder=str(place.folder),
            stem=place.stem,
            log=str(place.log),
            cache=str(self._paths.cache),
            context=model.context_length or 0,
            idle_s=settings.idle_s,
            slots=settings.slots,
            waiting=settings.waiting,
            cache_bytes=settings.cache_bytes,
            kv_tokens=kv_tokens,
        )


def _room(model: LocalModel) -> int:
    """For how many tokens of answers under way there is memory: half of what the weights leave.

    Raises ModelTooLarge when not even the weights and one short chat fit.
    """
    profile = expected_profile()
    memory.check(model, profile=profile)
    weights = memory.needed(model, profile=profile, context=0)
    token = memory.needed(model, profile=profile, context=1) - weights
    return max(1, (memory.available() - weights) // (2 * token)) if token else 0


def _wait_out(line: _Line) -> None:
    """After failed starts, give the same answer for a while instead of failing at length again."""
    left = line.retry_at - time.monotonic()
    if line.error is not None and left > 0:
        line.error.retry_after = left
        raise line.error.with_traceback(None)


def _note_failure(line: _Line, error: OsaurusError) -> None:
    if isinstance(error, ModelTooLarge):
        return  # costs nothing to find out again, and memory may be free by then
    line.failures += 1
    line.error = error
    # The first failure may be a passing one: only from the second on is anybody made to wait.
    line.retry_at = time.monotonic() + min(2.0 ** (line.failures - 1), 60.0) if line.failures > 1 else 0.0


def _spawn(options: Options) -> subprocess.Popen[bytes]:
    """A worker in a session of its own: no signal of our terminal and no file of ours reaches it."""
    log = _open_log(options.place.log)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module, with our own arguments
            [sys.executable, "-P", "-m", "osaurus_nb.local.worker", *options.arguments()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
    finally:
        os.close(log)
    # Somebody must wait for it, else it stays as a zombie when it leaves.
    threading.Thread(target=process.wait, name="osaurus-reaper", daemon=True).start()
    return process


def _environment() -> dict[str, str]:
    """Ours, less what could hold a secret: a model needs none. The package is found as we found it."""
    kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    here = str(Path(__file__).resolve().parents[2])
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (here, kept.get("PYTHONPATH"))))}


def _open_log(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.fstat(descriptor).st_size > LONGEST_LOG:
        os.ftruncate(descriptor, 0)
    return descriptor


async def _last_report(pipe: IO[bytes]) -> Mapping[str, Any]:
    """What the worker says at last: ready, failed or taken; nothing if it ended without a word."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    report: Mapping[str, Any] = {}
    try:
        while line := await reader.readline():
            report = json.loads(line)
            if report.get("stage") != "loading":
                break
    finally:
        transport.close()
    return report if report.get("stage") != "loading" else {}
