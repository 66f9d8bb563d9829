"""The process that runs one model: `python -m osaurus_nb.local.worker --model FOLDER ...`.

Serves every kernel and server of one user over a Unix socket, to those that show its token. Leaves when nobody has
asked anything for a while. Its only file of words is a bounded log, without prompts or answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osaurus_nb.errors import LocalModelError, OsaurusError
from osaurus_nb.local import blas
from osaurus_nb.local.library import inspect
from osaurus_nb.local.places import Badge, FileLock, Place, usable, write_badge
from osaurus_nb.local.protocol import Health, fault_of
from osaurus_nb.local.serving import Door

if TYPE_CHECKING:  # mlx is imported at run time only after the BLAS is in place
    from osaurus_nb.local.engine import Engine, Model

#: Beyond this the log is emptied: it helps with the last failure, it is no history.
LONGEST_LOG = 1 << 20
_LOG_CHECK_SECONDS = 30.0
_STOP_SECONDS = 10.0
_TAKE_SECONDS = 0.5

EXIT_TAKEN = 3
EXIT_FAILED = 4
EXIT_BROKEN = 70


@dataclass(frozen=True, slots=True)
class Options:
    """What a supervisor asks of a worker, as arguments of its command line."""

    model: str
    name: str
    folder: str
    stem: str
    log: str
    cache: str
    context: int = 0
    idle_s: float = 900.0
    slots: int = 8
    waiting: int = 64
    cache_bytes: int = 512 << 20
    kv_tokens: int = 0

    def arguments(self) -> list[str]:
        pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in asdict(self).items())
        return [word for pair in pairs for word in pair]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Options:
        parser = argparse.ArgumentParser(prog="osaurus_nb.local.worker", allow_abbrev=False)
        for field in fields(cls):
            required = field.default is MISSING
            kind = str if required else type(field.default)
            parser.add_argument(
                f"--{field.name.replace('_', '-')}",
                type=kind,
                required=required,
                default=None if required else field.default,
            )
        return cls(**vars(parser.parse_args(arguments)))

    @property
    def place(self) -> Place:
        return Place(Path(self.folder), self.stem, Path(self.log))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one worker to its end. The exit status says how it went."""
    options = Options.parse(sys.argv[1:] if arguments is None else arguments)
    _settle_in(options)
    life = FileLock(options.place.life)
    if not _take_for(life, _TAKE_SECONDS):
        _report({"stage": "taken"})
        return EXIT_TAKEN
    badge = write_badge(options.place)
    try:
        return asyncio.run(_Worker(options, badge).run())
    finally:
        options.place.token.unlink(missing_ok=True)


def _take_for(life: FileLock, seconds: float) -> bool:
    """Clients that look whether the lock is held do hold it for an instant; so try again."""
    deadline = time.monotonic() + seconds
    while not (taken := life.take()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return taken


class _Worker:
    def __init__(self, options: Options, badge: Badge) -> None:
        self._options = options
        self._badge = badge
        self._born = time.monotonic()
        self._blas = blas.BlasStatus(False, "not tried")
        self._engine: Engine | None = None
        self._loaded: Model | None = None

    async def run(self) -> int:
        options = self._options
        door = Door(self._badge, options.name, idle_s=options.idle_s, health=self._health)
        _report({"stage": "loading"})
        try:
            self._engine = engine = self._make_engine(door)
        except ImportError:
            return _give_up(LocalModelError("mlx-lm is not installed. Add it with: pip install 'osaurus-nb[local]'"))
        engine.start()
        try:
            self._loaded = await asyncio.wrap_future(engine.loaded)
        except OsaurusError as refused:
            return _give_up(refused)
        except (OSError, RuntimeError, MemoryError) as fault:
            _log_fault(fault)
            return _give_up(LocalModelError(f"{options.name!r} could not be loaded: {type(fault).__name__}."))
        return await self._serve(door, engine)

    async def _serve(self, door: Door, engine: Engine) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, door.close)
        engine.ended.add_done_callback(_break_if_failed)
        housekeeping = asyncio.create_task(_bound_log())
        try:
            await door.serve(engine, self._options.place, ready=self._ready)
        finally:
            housekeeping.cancel()
        _log(f"leaving after {time.monotonic() - self._born:.0f} s and {engine.pulse().answered} answers")
        engine.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(engine.ended), _STOP_SECONDS)
            return 0
        os._exit(0)  # a thread inside a long computation cannot be asked

    def _make_engine(self, door: Door) -> Engine:
        options = self._options
        self._blas = blas.install(Path(options.cache))

        from osaurus_nb.local.engine import Engine, Limits  # noqa: PLC0415 - mlx: only behind the BLAS

        return Engine(
            partial(_load, options, self._blas.fast),
            limits=Limits(options.slots, options.waiting, options.cache_bytes, options.kv_tokens),
            deliver=door.deliver,
        )

    def _ready(self) -> None:
        assert self._loaded is not None
        took = time.monotonic() - self._born
        _log(f"{self._options.name} is ready after {took:.1f} s on {self._loaded.profile}: {self._blas.reason}")
        _report({"stage": "ready"})
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def _health(self) -> Health:
        import mlx.core as mx  # noqa: PLC0415 - loaded long ago

        assert self._engine is not None
        assert self._loaded is not None
        pulse = self._engine.pulse()
        return Health(
            pid=self._badge.pid,
            model=self._options.name,
            profile=self._loaded.profile,
            blas_fast=self._blas.fast,
            blas_reason=self._blas.reason,
            uptime=time.monotonic() - self._born,
            beat_age=pulse.beat_age,
            running=pulse.running,
            waiting=pulse.waiting,
            answered=pulse.answered,
            memory_bytes=mx.get_active_memory(),
            cache_bytes=pulse.cache_bytes,
        )


def _load(options: Options, fast_blas: bool) -> Model:
    """The model, by what its folder says that it is for. On the engine's thread."""
    from osaurus_nb.local import encoder, loading  # noqa: PLC0415 - mlx

    folder = Path(options.model)
    if inspect(folder, id=options.name).encodes:
        return encoder.load(folder, name=options.name, fast_blas=fast_blas)
    return loading.load(folder, name=options.name, context=options.context or None, fast_blas=fast_blas)


def _settle_in(options: Options) -> None:
    """Make this process independent of the one that started it, and of the network."""
    # mlx compiles kernels into the system's temporary folder and loads what it finds there: it gets one of its own.
    kernels = (Path(options.cache, "kernels"), Path(options.folder, "kernels"))
    os.environ["TMPDIR"] = str(next(filter(usable, kernels), kernels[0]))
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.environ.update(
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        TRANSFORMERS_OFFLINE="1",
        TRANSFORMERS_VERBOSITY="error",
        TOKENIZERS_PARALLELISM="false",
    )


def _report(line: Mapping[str, Any]) -> None:
    """Tell the supervisor that started us; it may be gone."""
    with suppress(OSError):
        os.write(1, json.dumps(line).encode() + b"\n")


def _give_up(error: OsaurusError) -> int:
    fault = fault_of(0, error)
    _report({"stage": "failed", "kind": fault.kind, "message": fault.message})
    return EXIT_FAILED


def _break_if_failed(ended: Any) -> None:
    """An engine that broke leaves nothing to trust: end the process, so that clients see it at once."""
    fault = ended.exception()
    if fault is not None:
        _log_fault(fault)
        os._exit(EXIT_BROKEN)


def _log_fault(fault: BaseException) -> None:
    """Where it happened and of what kind; never its words, which may quote a prompt."""
    places = "".join(traceback.format_tb(fault.__traceback__))
    _log(f"{type(fault).__name__}\n{places}")


def _log(words: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {os.getpid()} {words}\n")
        sys.stderr.flush()


async def _bound_log() -> None:
    while True:
        with suppress(OSError):
            if os.fstat(2).st_size > LONGEST_LOG:
                os.ftruncate(2, 0)
        await asyncio.sleep(_LOG_CHECK_SECONDS)


if __name__ == "__main__":
    # Everything is put away by now; tearing mlx down with its threads may abort the process (seen 2026-11).
    os._exit(main())
