"""Shells and kernels whose magics ask a scripted model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from osaurus_nb import notebook
from osaurus_nb.client import Client
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says

#: Gives a kernel of its own the scripted models that its tests ask.
SETUP = """
from osaurus_nb import notebook
from osaurus_nb.client import Client, AsyncClient
from osaurus_nb.errors import Unavailable
from osaurus_nb.events import Finished, TextDelta
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says
words = [item for n in range(400) for item in (TextDelta(f"w{n} "), 0.02)]
scripted = ScriptedAdapter({
    "echo": [says("Hello ", "**there**")],
    "slow": [[*words, Finished("stop")]],
    "silent": [[30, Finished("stop")]],
    "broken": [[TextDelta("half "), Unavailable("It fell over.", provider="scripted")]],
})
client = Client(backend=Runtime([scripted]), model="scripted/echo")
notebook.use(client)
"""


@dataclass(slots=True)
class Room:
    """A shell in this process with a front end that records, and the scripted models behind it."""

    shell: InteractiveShell
    adapter: ScriptedAdapter

    def run(self, cell: str) -> ExecutionResult:
        return self.shell.run_cell(cell, store_history=True)

    @property
    def shown(self) -> list[dict[str, Any]]:
        """Every frame that was published, newest last."""
        return self.shell.display_pub.outputs

    @property
    def asked(self) -> list[str]:
        """The last turn of each request."""
        return [request.messages[-1].text for request in self.adapter.requests]


@pytest.fixture
def scripts() -> dict[str, list[Script]]:
    """Override with other answers."""
    return {"echo": [says("Hello ", "**there**")], "other": [says("I am other.")]}


@pytest.fixture
def plain(scripts: dict[str, list[Script]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """A shell that can only print, like a terminal."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name in ("OSAURUS_URL", "OSAURUS_KEY"):
        monkeypatch.delenv(name, raising=False)
    shell = InteractiveShell()
    adapter = ScriptedAdapter(scripts)
    notebook.load(shell)
    notebook.use(Client(backend=Runtime([adapter]), model="scripted/echo"), shell=shell)
    yield Room(shell, adapter)
    notebook.unload(shell)
    shell.history_manager.end_session()


@pytest.fixture
def room(plain: Room) -> Room:
    """A shell with a front end."""
    plain.shell.display_pub = CapturingDisplayPublisher()
    return plain


@dataclass(slots=True)
class Ran:
    """What one cell did in a real kernel, as a front end hears it."""

    status: str
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message["content"] for message in self.messages if message["msg_type"] == kind]

    @property
    def printed(self) -> str:
        return "".join(content["text"] for content in self.of("stream"))

    @property
    def last(self) -> dict[str, Any]:
        """The display as it stands at the end."""
        frames = [m for m in self.messages if m["msg_type"] in ("display_data", "update_display_data")]
        data: dict[str, Any] = frames[-1]["content"]["data"]
        return data


@dataclass(slots=True)
class Kernel:
    """A real kernel in a process of its own."""

    manager: KernelManager
    client: BlockingKernelClient

    def start(self, code: str) -> str:
        found: str = self.client.execute(code)
        return found

    def wait_for(self, request: str, kind: str, *, count: int = 1) -> list[dict[str, Any]]:
        """All messages of the request up to the `count`th of this kind."""
        seen: list[dict[str, Any]] = []
        while sum(m["msg_type"] == kind for m in seen) < count:
            message = self.client.get_iopub_msg(timeout=30)
            if message["parent_header"].get("msg_id") == request:
                seen.append(message)
        return seen

    def finish(self, request: str) -> Ran:
        messages: list[dict[str, Any]] = []
        while not (messages and messages[-1]["content"].get("execution_state") == "idle"):
            messages += self.wait_for(request, "status")
        while (reply := self.client.get_shell_msg(timeout=30))["parent_header"].get("msg_id") != request:
            pass
        return Ran(reply["content"]["status"], messages)

    def run(self, code: str) -> Ran:
        return self.finish(self.start(code))

    def value(self, expression: str) -> str:
        """The repr of an expression in the kernel."""
        found: str = self.run(expression).of("execute_result")[0]["data"]["text/plain"]
        return found


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that has loaded the extension, for all tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        for name in ("OSAURUS_URL", "OSAURUS_KEY"):
            patch.delenv(name, raising=False)
        manager, client = start_new_kernel(kernel_name="python3")
    kernel = Kernel(manager, client)
    assert kernel.run("%load_ext osaurus_nb\n" + SETUP).status == "ok"
    yield kernel
    client.stop_channels()
    manager.shutdown_kernel(now=True)
