"""Loading, loading twice, and leaving nothing behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from IPython.core.interactiveshell import InteractiveShell

from osaurus_nb import notebook
from osaurus_nb.errors import ConfigError
from osaurus_nb.models import ModelCard
from osaurus_nb.notebook.listing import Listing
from osaurus_nb.notebook.nested import allow_nested_loop
from osaurus_nb.reply import Reply


def trace(shell: InteractiveShell) -> list[object]:
    """Everything in a shell that the extension touches."""
    manager = shell.magics_manager
    return [
        sorted(manager.magics["line"]),
        sorted(manager.magics["cell"]),
        sorted(manager.registry),
        list(shell.Completer.custom_matchers),
        list(shell.events.callbacks["post_run_cell"]),
        list(shell.input_transformer_manager.token_transformers),
        Reply in shell.display_formatter.ipython_display_formatter,
    ]


@pytest.fixture
def shell(tmp_path, monkeypatch) -> InteractiveShell:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    return InteractiveShell()


def test_loading_twice_is_loading_once(shell):
    """The second time changes nothing, and the session stays."""
    notebook.load(shell)
    once = trace(shell)
    magics = shell.magics_manager.registry["OsaurusMagics"]

    notebook.load(shell)

    assert trace(shell) == once
    assert shell.magics_manager.registry["OsaurusMagics"] is magics


def test_unloading_leaves_nothing_behind(shell):
    """The shell is as it was before; unloading again does no harm; it can be loaded again."""
    before = trace(shell)
    notebook.load(shell)

    notebook.unload(shell)
    notebook.unload(shell)

    assert trace(shell) == before
    notebook.load(shell)
    assert "osaurus" in shell.magics_manager.magics["cell"]


def test_loading_asks_nobody():
    """`%load_ext` makes no client, no thread and no connection."""
    code = (
        "import threading; from IPython.core.interactiveshell import InteractiveShell as Shell; import osaurus_nb\n"
        "shell = Shell(); shell.run_line_magic('load_ext', 'osaurus_nb')\n"
        "session = shell.magics_manager.registry['OsaurusMagics'].session\n"
        "print(session._client, [t.name for t in threading.enumerate() if 'osaurus' in t.name])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "None []"


def test_the_room_is_light_until_it_is_used():
    """Importing it does not import IPython."""
    code = "import sys, osaurus_nb.notebook.nested; print('IPython' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "False"


def test_completion_does_not_wait_for_a_slow_provider():
    """A Tab takes a moment at most, and has the names once they came."""
    import asyncio

    go = threading.Event()

    async def fetch() -> list[ModelCard]:
        await asyncio.to_thread(go.wait)
        return [ModelCard("m", "p")]

    listing = Listing(fetch)
    began = time.monotonic()

    first = listing.names(patience=0.1)
    waited = time.monotonic() - began
    go.set()

    assert (list(first), waited < 1) == ([], True)
    assert list(listing.names(patience=5)) == ["p/m"]


def test_a_nested_loop_is_opt_in():
    """After the call, and only then, asyncio.run works inside a running loop."""
    code = (
        "import asyncio, osaurus_nb\n"
        "async def inner(): return 7\n"
        "async def outer():\n"
        "    coroutine = inner()\n"
        "    try: asyncio.run(coroutine)\n"
        "    except RuntimeError: coroutine.close(); print('refused')\n"
        "    osaurus_nb.allow_nested_loop()\n"
        "    print(asyncio.run(inner()))\n"
        "asyncio.run(outer())"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["refused", "7"]


def test_a_loop_that_cannot_be_nested_is_refused():
    """A loop of uvloop would break; the message says what to do instead."""
    import asyncio

    loop_type = type("Loop", (asyncio.SelectorEventLoop,), {"__module__": "uvloop"})

    async def ask() -> None:
        allow_nested_loop()

    with asyncio.Runner(loop_factory=loop_type) as runner, pytest.raises(ConfigError, match="uvloop"):
        runner.run(ask())
