"""In connected mode no provider's key enters a kernel or a terminal, and the models that need one answer there."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
import pytest

from osaurus_nb.client import Client
from osaurus_nb.config.environment import Environment, environment
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.secrets import API_KEY, Secrets
from osaurus_nb.testing.loopback import Behaviour, LoopbackUpstream
from osaurus_nb_server.hidden_keys import HiddenKeys
from tests.server.conftest import Served, serving

BAD, GOOD, TEAM = "sk-canary-1-7f3e9a51c2d8", "sk-canary-2-84b607f3e9a5", "canary-team-55aa0912"
STORED, MOUNTED = "sk-canary-stored-8f2c11", "sk-canary-mounted-77d0"
VAULT_KEY = "c0ffee" * 10 + "beef"
CANARIES = (BAD, GOOD, TEAM, STORED, MOUNTED, VAULT_KEY)
KERNEL = """
import json, os, pathlib, osaurus_nb
client = osaurus_nb.Client()
said = [client.chat("hi", model=name + "/loopback").text for name in ("lab", "vaulted", "mounted")]
inherited = pathlib.Path("/proc/self/environ")
print(json.dumps({
    "said": said,
    "environ": dict(os.environ),
    "inherited": inherited.read_text() if inherited.exists() else "",
}))
"""


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    """On a loop and thread of its own; it rejects the first key."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = LoopbackUpstream(keys={BAD: Behaviour(status=401)})
    asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(10)
    yield made
    asyncio.run_coroutine_threadsafe(made.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def home(tmp_path: Path, upstream: LoopbackUpstream, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three providers: keys in the environment, a key in the vault, a key in a mounted file."""
    home = tmp_path / "osaurus"
    mounted = tmp_path / "mounted-secret"
    mounted.write_text(MOUNTED)
    for name, value in {
        "OSAURUS_HOME": str(home),
        "OSAURUS_VAULT_KEY": VAULT_KEY,
        "LAB_KEY": BAD,
        "LAB_KEY_2": GOOD,
        "LAB_TEAM": TEAM,
        "MOUNTED_KEY_FILE": str(mounted),
        "LAB_KEYRING": "not a secret",
    }.items():
        monkeypatch.setenv(name, value)
    file = ProviderFile(Paths(home))
    file.add("lab", upstream.url, key_env="LAB_KEY", header_env={"X-Team": "LAB_TEAM"})
    file.add("mounted", upstream.url, key_env="MOUNTED_KEY")
    vaulted = file.add("vaulted", upstream.url, auth="key")
    Secrets(Paths(home)).set(vaulted.id, API_KEY, STORED)
    return home


@pytest.fixture
def serve(jupyter_dirs: Path) -> Callable[..., AbstractContextManager[Served]]:
    """A server of the configured models, started when all else is there."""
    return lambda **settings: serving(None, jupyter_dirs, **settings)


@contextmanager
def kernel(server: Any, runtime: Path) -> Iterator[Callable[[str], str]]:
    """A real kernel of this server, as JupyterLab starts one."""
    from jupyter_client.blocking import BlockingKernelClient

    started = server.ask("POST", "//api/kernels", json_body={"name": "python3"}, key=server.token)
    id = started.json["id"]
    client = BlockingKernelClient(connection_file=str(runtime / f"kernel-{id}.json"))
    client.load_connection_file()
    client.start_channels()

    def run(code: str) -> str:
        asked, text, ends = client.execute(code), "", time.monotonic() + 60
        while time.monotonic() < ends:
            try:
                message = client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(content["traceback"]))
            text += content["text"] if message["msg_type"] == "stream" and content["name"] == "stdout" else ""
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return text
        raise AssertionError(text)

    try:
        client.wait_for_ready(timeout=30)
        yield run
    finally:
        client.stop_channels()
        server.ask("DELETE", f"//api/kernels/{id}", key=server.token)


def shown(seen: Any) -> Any:
    return nbformat.v4.new_output("stream", text=json.dumps(seen))


def canaries(data: str | bytes) -> list[str]:
    text = data.encode() if isinstance(data, str) else data
    return [canary for canary in CANARIES if canary.encode() in text]


def test_a_kernel_asks_with_keys_that_it_never_sees(serve, home, upstream, jupyter_dirs) -> None:
    """Keys of the environment, of a mounted file and of the vault are used, and are not in the kernel in any way."""
    with serve() as server, kernel(server, jupyter_dirs / "runtime") as run:
        seen = json.loads(run(KERNEL))
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(KERNEL, outputs=[shown(seen)])])
        body = {"type": "notebook", "content": notebook}
        saved = server.ask("PUT", "//api/contents/seen.ipynb", json_body=body, key=server.token)
        logs = server.logs.getvalue()

    assert seen["said"] == ["Hello from the loopback upstream."] * 3
    assert {(GOOD, TEAM), (STORED, None), (MOUNTED, None)} <= {
        (request.key, request.headers.get("x-team")) for request in upstream.requests if request.body
    }
    assert canaries(json.dumps(seen)) == []
    assert "OSAURUS_URL" in seen["environ"]
    assert not {"LAB_KEY", "LAB_KEY_2", "LAB_TEAM", "MOUNTED_KEY_FILE", "OSAURUS_VAULT_KEY"} & set(seen["environ"])
    assert seen["environ"]["LAB_KEYRING"] == "not a secret"
    assert canaries(logs) == []
    files = [file for folder in (home, jupyter_dirs) for file in folder.rglob("*") if file.is_file()]
    assert saved.status == 201
    assert {"vault.bin", "seen.ipynb"} <= {file.name for file in files}
    assert [(file.name, found) for file in files if (found := canaries(file.read_bytes()))] == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_terminal_does_not_inherit_them(serve, home) -> None:
    """A shell in JupyterLab has what a kernel has."""
    with serve() as server:
        name = server.ask("POST", "//api/terminals", key=server.token).json["name"]
        process = server.app.web_app.settings["terminal_manager"].terminals[name].ptyproc
        inherited = Path(f"/proc/{process.pid}/environ").read_bytes()
        server.ask("DELETE", f"//api/terminals/{name}", key=server.token)

    assert b"OSAURUS_URL=" in inherited
    assert canaries(inherited) == []


def test_they_are_back_when_the_server_has_stopped(serve, home) -> None:
    """The process that ran it finds its environment as it was."""
    before = dict(os.environ)

    with serve():
        during = dict(os.environ)

    assert canaries(json.dumps(during)) == []
    assert dict(os.environ) == before


def test_a_provider_that_is_set_up_later_is_followed(serve, home, upstream, monkeypatch) -> None:
    """Its key is hidden within a second or so, and shown again when it is removed."""
    monkeypatch.setenv("LATER_KEY", GOOD)
    file = ProviderFile(Paths(home))

    with serve() as server:
        before = "LATER_KEY" in os.environ
        file.add("later", upstream.url, key_env="LATER_KEY")
        hidden = waited_for(lambda: "LATER_KEY" not in os.environ)
        with Client(url=server.url, key=server.key) as client:
            said = client.chat("hi", model="later/loopback").text
        file.remove("later")
        shown = waited_for(lambda: "LATER_KEY" in os.environ)

    assert (before, hidden, shown) == (True, True, True)
    assert said == "Hello from the loopback upstream."


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_kernel_that_is_restarted_has_none(serve, home, upstream, monkeypatch) -> None:
    """Not even one whose session remembers what it was started with; other variables it keeps."""
    monkeypatch.setenv("LATER_KEY", GOOD)
    notebook = {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": "python3"}}

    with serve() as server:
        id = server.ask("POST", "//api/sessions", json_body=notebook, key=server.token).json["kernel"]["id"]
        process = server.app.kernel_manager.get_kernel(id).provisioner
        first = Path(f"/proc/{process.pid}/environ").read_bytes()
        ProviderFile(Paths(home)).add("later", upstream.url, key_env="LATER_KEY")
        assert waited_for(lambda: "LATER_KEY" not in os.environ)
        server.ask("POST", f"//api/kernels/{id}/restart", json_body={}, key=server.token)
        again = Path(f"/proc/{process.pid}/environ").read_bytes()
        server.ask("DELETE", f"//api/kernels/{id}", key=server.token)

    assert canaries(first) == [GOOD]
    assert canaries(again) == []
    assert b"LAB_KEYRING=not a secret" in again


@pytest.mark.parametrize("setting", ["hide_keys", "kernel_access"])
def test_an_owner_may_let_kernels_see_them(serve, home, setting) -> None:
    """When told to; and kernels that do their own work need them."""
    with serve(**{setting: False}):
        assert os.environ["LAB_KEY"] == BAD


def waited_for(condition: Callable[[], bool]) -> bool:
    ends = time.monotonic() + 10
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)
    return condition()


def test_what_cannot_be_read_stays_hidden(tmp_path: Path) -> None:
    """A file that is being repaired names no provider; its keys are no less secret."""
    env = {"LAB_KEY": GOOD, "PATH": "/bin"}
    file = ProviderFile(Paths(tmp_path))
    file.add("lab", "http://127.0.0.1:9/v1", key_env="LAB_KEY")
    hidden = HiddenKeys(file, Environment(env))
    hidden.look()

    file.path.write_text("{ not json")
    hidden.look()

    assert env == {"PATH": "/bin"}


def test_what_is_withheld_is_still_here() -> None:
    """Whoever has the whole environment reads it; what is set anew wins, until it is withheld itself."""
    env = {"KEY": "old", "PATH": "/bin"}
    whole = Environment(env)

    changed = whole.withhold(lambda name: name == "KEY")
    kept = (dict(env), whole["KEY"], dict(whole), len(whole))
    env["KEY"] = "new"
    anew = whole["KEY"]
    whole.withhold(lambda name: name == "KEY")
    again = (dict(env), whole["KEY"])
    env["KEY"] = "theirs"
    whole.give_back()

    assert kept == ({"PATH": "/bin"}, "old", {"KEY": "old", "PATH": "/bin"}, 2)
    assert changed == {"KEY": ""}
    assert anew == "new"
    assert again == ({"PATH": "/bin"}, "new")
    assert env == {"KEY": "theirs", "PATH": "/bin"}
    assert "new" not in repr(whole)


def test_a_process_has_one_environment() -> None:
    """All that read it read the same."""
    assert environment() is environment()
