"""The worker of a local model asks nobody: watched from its first line to its answer."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest

from osaurus_nb.config.paths import Paths, private_dir
from osaurus_nb.events import TextDelta
from osaurus_nb.local.adapter import LocalAdapter
from osaurus_nb.messages import user
from osaurus_nb.models import LOCAL, ModelCard
from osaurus_nb.ports import Attempt, Confined, Step, Timeouts
from osaurus_nb.request import ChatRequest, Sampling

pytestmark = pytest.mark.anyio
SCRIPTED = Path(__file__).parents[1] / "data/scripted-model"
#: Python reads this before anything else, in every process that is started.
WATCH = """
import os, sys
def watch(event, args):
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(args[1], tuple)):
        log.append(event)
        os.write(out, (f"{event} {args[0] if 'addr' in event else args[1]}\\n").encode())
log = []
out = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(out, (" ".join(sys.orig_argv[1:5]) + "\\n").encode())
sys.addaudithook(watch)
"""


async def test_a_local_chat_leaves_the_machine_in_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading and answering look up no name and open no connection to an address."""
    log, site = tmp_path / "log", tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WATCH)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    monkeypatch.setenv("WATCH_LOG", str(log))
    paths = Paths(tmp_path / "home")
    shutil.copytree(SCRIPTED, private_dir(paths.models) / "scripted")
    adapter = LocalAdapter(paths)
    step = Step(uuid.uuid4().hex, "r", "scripted", 0.0)
    request = ChatRequest("scripted", (user("hi"),), sampling=Sampling(max_output_tokens=4))

    events = [
        event async for event in adapter.stream(request, ModelCard("scripted", LOCAL), Attempt(step, 1, Timeouts()))
    ]
    await adapter.unload("scripted")
    await adapter.aclose()

    written = log.read_text().splitlines()
    assert any(isinstance(event, TextDelta) for event in events)
    assert any("osaurus_nb.local.worker" in line for line in written)  # the watch was there
    assert not [line for line in written if line.startswith("socket.")]


def test_the_local_engine_is_its_own_twin(tmp_path: Path) -> None:
    """What never leaves the machine needs no other to keep it there."""
    adapter = LocalAdapter(Paths(tmp_path))

    assert isinstance(adapter, Confined)
    assert adapter.confined() is adapter
