"""The worker process as a client sees it."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("mlx_lm")

from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ContextTooLong, RateLimited, WorkerDied
from osaurus_nb.events import Event, Finished, TextDelta
from osaurus_nb.local.connection import Patience, connect
from osaurus_nb.local.library import inspect
from osaurus_nb.local.places import place_for, read_badge
from osaurus_nb.local.protocol import Generate, Hello, encode
from osaurus_nb.local.supervisor import WorkerSettings
from osaurus_nb.local.worker import EXIT_BROKEN, Options
from tests.local.workers import ATTEMPT, GREEDY, adapter_over, answer, ask, card, home_with, pid_of, serving, until

pytestmark = pytest.mark.anyio

#: Never meets the end of text, so that it runs as long as a test needs.
LONG = replace(GREEDY, max_output_tokens=1500, logit_bias={"2": -100.0})
JUMPY = Patience(hello=0.5, quiet=0.3, reply=0.5, beat=30.0)


@pytest.fixture(scope="module")
def home(tiny_model: Path) -> Iterator[Paths]:
    """One home, and thus one worker, for the tests that do it no harm."""
    with home_with(tiny_model) as paths:
        yield paths


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_an_answer_comes_in_pieces(home: Paths):
    """Text streams from the worker in several deltas, framed by a start, the usage and one finish."""
    async with adapter_over(home) as adapter:
        events = [event async for event in adapter.stream(ask("ping"), card(), ATTEMPT)]

    kinds = [type(event).__name__ for event in events]
    assert kinds[0] == "Started"
    assert kinds[-3:] == ["PartEnded", "UsageReported", "Finished"]
    assert kinds.count("TextDelta") > 5


async def test_closing_the_stream_stops_the_work(home: Paths):
    """A stream that is closed stops its work in the worker before the next token."""
    async with adapter_over(home) as adapter:
        async with aclosing(adapter.stream(ask("ping", sampling=LONG), card(), ATTEMPT)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
            assert (await adapter.status())[0].running == 1
        closed = time.monotonic()

        while (await adapter.status())[0].running:
            assert time.monotonic() - closed < 1.0


async def test_a_client_that_dies_takes_its_requests_along(home: Paths):
    """The work of a client whose connection breaks is stopped."""
    async with adapter_over(home) as watcher:
        await answer(watcher, ask("ping"))
        model = inspect(home.models / "tiny-random")
        place = place_for(model.id, model.folder, home)
        badge = read_badge(place)
        assert badge is not None
        _, writer = await asyncio.open_unix_connection(place.socket)
        writer.write(encode(Hello(badge.token)) + encode(Generate(1, ask("ping", sampling=LONG))))
        while not (await watcher.status())[0].running:
            await asyncio.sleep(0.01)

        writer.transport.abort()

        deadline = time.monotonic() + 0.5
        while (await watcher.status())[0].running:
            assert time.monotonic() < deadline


async def test_an_idle_worker_leaves(tiny_model: Path):
    """After its idle time a worker is gone, with its socket and token, and the next request starts another."""
    with home_with(tiny_model) as paths:
        async with adapter_over(paths, settings=WorkerSettings(idle_s=0.4)) as adapter:
            await answer(adapter, ask("ping"))
            first = await pid_of(adapter)

            assert await until(lambda: not alive(first))
            lines = next(paths.logs.iterdir()).read_text().splitlines()
            assert ["is ready" in lines[0], "leaving" in lines[1], len(lines)] == [True, True, 2]
            assert not [file for file in paths.run.iterdir() if file.suffix in (".sock", ".token")]

            assert (await answer(adapter, ask("ping"))).finish_reason == "length"
            assert await pid_of(adapter) != first


async def test_a_busy_worker_does_not_leave(tiny_model: Path):
    """Idle time counts from the end of the last answer, not from its beginning."""
    async with serving(tiny_model, settings=WorkerSettings(idle_s=0.3)) as adapter:
        begun = time.monotonic()
        found = await answer(adapter, ask("ping", sampling=LONG))

        assert time.monotonic() - begun > 0.3
        assert found.finish_reason == "length"


async def test_killed_in_the_middle(tiny_model: Path):
    """kill -9: what was said is kept, the failure is told at once, and the next request works."""
    async with serving(tiny_model) as adapter:
        seen: list[Event] = []

        async def read() -> None:
            async for event in adapter.stream(ask("ping", sampling=LONG), card(), ATTEMPT):
                seen.append(event)
                if len(seen) == 10:
                    os.kill(await pid_of(adapter), signal.SIGKILL)

        with pytest.raises(WorkerDied):
            await read()

        assert sum(isinstance(event, TextDelta) for event in seen) >= 8
        assert (await answer(adapter, ask("ping"))).finish_reason == "length"


async def test_a_worker_that_hangs_is_found_out(tiny_model: Path):
    """A worker that stops moving is ended in time, its request fails as WorkerDied, and the next one works."""
    async with serving(tiny_model, patience=JUMPY) as adapter:
        await answer(adapter, ask("ping"))
        victim = await pid_of(adapter)

        async def read() -> None:
            async for event in adapter.stream(ask("ping", sampling=LONG), card(), ATTEMPT):
                if isinstance(event, TextDelta):
                    os.kill(victim, signal.SIGSTOP)

        begun = time.monotonic()
        with pytest.raises(WorkerDied, match="hung"):
            await read()

        assert time.monotonic() - begun < 3.0
        assert await until(lambda: not alive(victim))
        assert (await answer(adapter, ask("ping"))).finish_reason == "length"


async def test_a_worker_that_hangs_before_the_request(tiny_model: Path):
    """A new client that finds a stopped worker replaces it."""
    with home_with(tiny_model) as paths:
        async with adapter_over(paths) as first:
            await answer(first, ask("ping"))
            victim = await pid_of(first)
            os.kill(victim, signal.SIGSTOP)

            async with adapter_over(paths, patience=JUMPY) as second:
                assert (await answer(second, ask("ping"))).finish_reason == "length"
                assert await pid_of(second) != victim


async def test_a_full_queue_is_told(tiny_model: Path):
    """Past its queue the worker refuses with RateLimited and a time to come back."""
    async with serving(tiny_model, settings=WorkerSettings(slots=1, waiting=1)) as adapter:
        await answer(adapter, ask("ping"))
        tasks = [asyncio.create_task(answer(adapter, ask("ping", sampling=LONG))) for _ in range(4)]

        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        refused = next(task for task in tasks if task.done())

        with pytest.raises(RateLimited) as caught:
            await refused
        assert caught.value.retry_after
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_only_who_shows_the_token_is_let_in(home: Paths):
    """The socket, its folder and its token are private, and a client with a wrong token is put out."""
    async with adapter_over(home) as adapter:
        await answer(adapter, ask("ping"))
        socket = next(home.run.glob("*.sock"))
        reader, writer = await asyncio.open_unix_connection(socket)

        writer.write(encode(Hello("wrong")) + encode(Generate(1, ask("ping"))))

        assert await reader.read() == b""
        writer.close()
        assert stat.S_IMODE(home.run.stat().st_mode) == 0o700
        for file in (socket, next(home.run.glob("*.token")), next(home.logs.iterdir())):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_bytes_that_are_no_frame_hurt_nobody(home: Paths):
    """A broken client is put out; the worker goes on."""
    async with adapter_over(home) as adapter:
        await answer(adapter, ask("ping"))
        badge = read_badge(place_for("tiny-random", home.models / "tiny-random", home))
        assert badge is not None
        for data in (b"GET / HTTP/1.1\r\n\r\n", encode(Hello(badge.token)) + b"\xff" * 64):
            reader, writer = await asyncio.open_unix_connection(next(home.run.glob("*.sock")))
            writer.write(data)
            while await reader.read(1 << 16):
                pass
            writer.close()

        assert (await answer(adapter, ask("ping"))).finish_reason == "length"
        assert (await adapter.status())[0].pid == badge.pid


async def test_signals_of_the_terminal_do_not_reach_it(home: Paths):
    """A worker lives in a session of its own and ignores Ctrl-C, because others share its model."""
    async with adapter_over(home) as adapter:
        await answer(adapter, ask("ping"))
        pid = await pid_of(adapter)

        os.kill(pid, signal.SIGINT)

        assert os.getsid(pid) == pid
        assert (await answer(adapter, ask("ping"))).finish_reason == "length"
        assert await pid_of(adapter) == pid


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="lists open files through /proc")
async def test_no_file_of_ours_goes_along(tiny_model: Path, tmp_path: Path):
    """The worker inherits none of our files, not even those that are meant to be inherited."""
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        async with serving(tiny_model) as adapter:
            await answer(adapter, ask("ping"))
            pid = await pid_of(adapter)

            opened = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.exists()}

    assert ours.name not in opened


async def test_our_limits_and_modules_stay_as_they_are(tiny_model: Path):
    """The process that asks keeps its file limit and never imports mlx, its language models or transformers."""
    script = (
        "import asyncio, resource, sys\n"
        "from pathlib import Path\n"
        "from tests.local.workers import *\n"
        "async def main():\n"
        "    async with serving(Path(sys.argv[1])) as adapter:\n"
        "        await adapter.models()\n"
        "        await answer(adapter, ask('ping'))\n"
        "before = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "asyncio.run(main())\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE) == before\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'mlx', 'mlx_lm', 'transformers', 'numpy'}))\n"
    )

    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, str(tiny_model)], capture_output=True, text=True, timeout=60
    )

    assert done.stderr == ""
    assert done.stdout == "[]\n"
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 1024


async def test_no_prompt_reaches_the_log(home: Paths):
    """Neither a good request nor a refused one leaves its words in a file."""
    async with adapter_over(home) as adapter:
        await answer(adapter, ask("canary-4711"))
        with pytest.raises(ContextTooLong):
            await answer(adapter, ask("canary-4711" * 1000))

    for file in home.home.rglob("*"):
        if file.is_file():
            assert b"canary" not in file.read_bytes()


async def test_kernels_are_compiled_in_a_private_folder(home: Paths):
    """What mlx compiles, and later loads as code, lies where only we can write."""
    async with adapter_over(home) as adapter:
        await answer(adapter, ask("ping", sampling=replace(GREEDY, temperature=1.0, top_p=0.9)))

    kernels = home.cache / "kernels"
    assert stat.S_IMODE(kernels.stat().st_mode) == 0o700
    assert sys.platform != "linux" or shutil.which("g++") is None or any(kernels.rglob("*.so"))


async def test_one_finish_for_each_request(home: Paths):
    """Many requests at once over one line: each gets its own answer, as it would alone."""
    async with adapter_over(home) as adapter:
        requests = [ask(f"question {number}") for number in range(12)]
        alone = [(await answer(adapter, request)).text for request in requests]

        streams = await asyncio.gather(*(_events(adapter, request) for request in requests))

        assert [sum(isinstance(event, Finished) for event in stream) for stream in streams] == [1] * 12
        assert ["".join(e.text for e in stream if isinstance(e, TextDelta)) for stream in streams] == alone


async def _events(adapter: object, request: object) -> list[Event]:
    return [event async for event in adapter.stream(request, card(), ATTEMPT)]  # type: ignore[attr-defined]


async def test_an_engine_that_breaks_ends_its_process(home: Paths):
    """A fault inside the engine is the end of the worker: its clients hear of it, and the log says where it was."""
    script = (
        "import sys\n"
        "from osaurus_nb.local import batch, worker\n"
        "def broken(self):\n"
        "    raise IndexError('canary')\n"
        "batch.Batch.step = broken\n"
        "sys.exit(worker.main())\n"
    )
    place = place_for("broken", home.models / "tiny-random", home)
    options = Options(str(home.models / "tiny-random"), "broken", str(home.run), "w-x", str(place.log), str(home.cache))
    with place.log.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *options.arguments()], stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    with process.stdout as lines:
        stages = [json.loads(line)["stage"] for line in await asyncio.to_thread(lines.readlines)]
    assert stages == ["loading", "ready"]
    connection = await connect(options.place, Patience())
    assert connection is not None

    with pytest.raises(WorkerDied):
        async for _ in connection.stream(ask("ping")):
            pass

    assert await asyncio.to_thread(process.wait, 10) == EXIT_BROKEN
    assert "IndexError" in place.log.read_text()
    assert "canary" not in place.log.read_text()
    await connection.aclose()
