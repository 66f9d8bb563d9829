"""Exactly one worker for each model, wherever its files may lie."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("mlx_lm")

from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError, LocalModelError, ModelRejected, ModelTooLarge
from osaurus_nb.local import memory
from osaurus_nb.local.library import inspect
from osaurus_nb.local.places import LONGEST_SOCKET_PATH, FileLock, Place, is_held, place_for, run_folder
from osaurus_nb.local.supervisor import Supervisor, WorkerSettings
from osaurus_nb.local.worker import Options
from tests.local.workers import adapter_over, answer, ask, end_workers, home_with, pid_of, until

pytestmark = pytest.mark.anyio

CLIENT = """
import asyncio, sys
from pathlib import Path
from osaurus_nb.config.paths import Paths
from tests.local.workers import adapter_over, answer, ask, pid_of
async def main():
    async with adapter_over(Paths(Path(sys.argv[1]))) as adapter:
        assert (await answer(adapter, ask("ping"))).finish_reason == "length"
        print(await pid_of(adapter))
asyncio.run(main())
"""


@pytest.fixture
def home(tiny_model: Path) -> Iterator[Paths]:
    with home_with(tiny_model) as paths:
        yield paths


async def test_processes_share_one_worker(home: Paths):
    """Several processes that ask for a model at the same moment get the same worker."""
    clients = [
        subprocess.Popen([sys.executable, "-c", CLIENT, str(home.home)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    answers = [await asyncio.to_thread(client.communicate, None, 60) for client in clients]

    pids = {output.strip() for output, _ in answers}
    assert len(pids) == 1
    assert pids.pop().isdigit()


async def test_tasks_share_one_worker(home: Paths):
    """Requests of one process that come before the worker is ready wait for the same one."""
    async with adapter_over(home) as adapter:
        await asyncio.gather(*(answer(adapter, ask("ping")) for _ in range(5)))

        assert len(await adapter.status()) == 1


async def test_a_start_that_its_client_gave_up_is_used_by_the_next(home: Paths):
    """A worker whose starter is gone goes on loading, and the next request takes it instead of starting another."""
    async with adapter_over(home) as hasty, adapter_over(home) as patient:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(answer(hasty, ask("ping")), 0.3)
        place = place_for("tiny-random", home.models / "tiny-random", home)
        assert await until(lambda: is_held(place.life))
        pid = json.loads(place.token.read_bytes())["pid"]

        await answer(patient, ask("ping"))

        assert await pid_of(patient) == pid


async def test_unloading_frees_the_model(home: Paths):
    """After unloading no worker runs; unloading again says that none did."""
    async with adapter_over(home) as adapter:
        await answer(adapter, ask("ping"))

        assert await adapter.unload("tiny-random")
        assert await adapter.status() == []
        assert not await adapter.unload("tiny-random")
        assert (await answer(adapter, ask("ping"))).finish_reason == "length"


async def test_a_stale_socket_does_not_block(home: Paths):
    """What a killed worker left behind is no obstacle."""
    place = place_for("tiny-random", home.models / "tiny-random", home)
    place.socket.touch()
    place.token.write_text('{"pid": 1, "token": "old"}')

    async with adapter_over(home) as adapter:
        assert (await answer(adapter, ask("ping"))).finish_reason == "length"


async def test_a_model_that_does_not_fit_is_refused(home: Paths):
    """A model larger than the memory is a clear refusal before any process is started."""
    folder = home.models / "tiny-random"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 10**9}))
    async with adapter_over(home) as adapter:
        with pytest.raises(ModelTooLarge, match="tiny-random"):
            await answer(adapter, ask("ping"))

        assert await adapter.status() == []


async def test_a_model_that_cannot_be_loaded_is_not_tried_over_and_over(home: Paths):
    """Repeated failures to load are answered at once for a while, with the reason and the time to wait."""
    folder = home.models / "tiny-random"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "unheard-of"}))
    supervisor = Supervisor(home)
    for _ in range(2):
        with pytest.raises(ModelRejected, match="unheard-of"):
            await supervisor.acquire(inspect(folder))

    begun = time.monotonic()
    with pytest.raises(LocalModelError) as caught:
        await supervisor.acquire(inspect(folder))

    assert time.monotonic() - begun < 1
    assert caught.value.retry_after is not None


async def test_a_deep_home_uses_a_short_private_folder(tiny_model: Path, tmp_path: Path):
    """Where the home's path is too long for a socket, all processes find the same private folder elsewhere."""
    deep = Paths(tmp_path / ("d" * 60) / ("e" * 60))
    shutil.copytree(tiny_model, deep.models / tiny_model.name)
    try:
        folder = run_folder(deep)
        async with adapter_over(deep) as adapter:
            await answer(adapter, ask("ping"))

            assert [len(str(file)) < LONGEST_SOCKET_PATH for file in folder.glob("*.sock")] == [True]
            assert folder.stat().st_mode & 0o777 == 0o700
            assert folder == run_folder(deep)
    finally:
        end_workers(deep)
        shutil.rmtree(run_folder(deep))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Unix only")
def test_a_folder_of_others_is_not_used(tmp_path: Path):
    """A run folder that is a link, or a file, is not trusted; one that is open to others is closed."""
    home = Paths(tmp_path / "h")
    (home.home).mkdir()
    (tmp_path / "elsewhere").mkdir()
    home.run.symlink_to(tmp_path / "elsewhere")
    fallback = run_folder(home)
    assert fallback != home.run
    fallback.rmdir()

    home.run.unlink()
    home.run.mkdir(mode=0o777)
    assert run_folder(home) == home.run
    assert home.run.stat().st_mode & 0o777 == 0o700


async def test_chat_works_where_the_home_cannot_be_written(tiny_model: Path, tmp_path: Path):
    """With a home that takes no files, sockets and logs go to the private folder under /tmp."""
    home = Paths(tmp_path / "home")
    shutil.copytree(tiny_model, home.models / tiny_model.name)
    for name in (home.run, home.logs, home.cache):  # a file where a folder must be: unusable even for root
        name.write_text("")
    try:
        async with adapter_over(home) as adapter:
            assert (await answer(adapter, ask("ping"))).finish_reason == "length"
    finally:
        end_workers(home)
        shutil.rmtree(run_folder(home))


def test_a_lock_is_freed_by_its_end(tmp_path: Path):
    """A lock is held by one, seen by all, and free again afterwards."""
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")

    assert lock.take()
    assert not other.take()
    assert is_held(tmp_path / "lock")
    lock.free()
    assert not is_held(tmp_path / "lock")
    assert other.take()
    other.free()


def test_options_survive_the_command_line(tmp_path: Path):
    """A worker reads back what its supervisor wrote."""
    options = Options("/m", "org/name", str(tmp_path), "w-1", "/l", "/c", 7, idle_s=0.5)

    assert Options.parse(options.arguments()) == options
    assert options.place == Place(tmp_path, "w-1", Path("/l"))


async def test_secrets_of_the_environment_stay_here(home: Paths, monkeypatch: pytest.MonkeyPatch):
    """API keys in our environment are not passed on to a process that needs none."""
    monkeypatch.setenv("SOME_API_KEY", "canary-key")
    async with adapter_over(home, settings=WorkerSettings(idle_s=30)) as adapter:
        await answer(adapter, ask("ping"))
        environment = Path(f"/proc/{await pid_of(adapter)}/environ")

        if environment.exists():
            assert b"canary-key" not in environment.read_bytes()


def test_without_any_private_folder_there_is_a_plain_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No usable place for sockets is a configuration error that says so."""
    home = Paths(tmp_path / ("x" * 120))
    monkeypatch.setattr("osaurus_nb.local.places.usable", lambda _: False)

    with pytest.raises(ConfigError, match="sockets"):
        run_folder(home)


def test_memory_is_asked_for_the_profile_of_the_worker():
    """What is counted beforehand is what the worker will use."""
    from osaurus_nb.local.loading import profile_here
    from osaurus_nb.local.profiles import expected_profile

    assert expected_profile() == profile_here()
    assert memory.available() > 0
