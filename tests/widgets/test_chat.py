"""The chat widget in a real kernel, over real comm messages."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from queue import Empty
from typing import Any

import ipywidgets
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

import osaurus_nb_widgets
from osaurus_nb import ui
from osaurus_nb.client import Client
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

#: Names that ipywidgets uses itself: a trait of that name breaks the display or the widget.
TAKEN = {"model_id", "log", "comm", "keys", "widgets"}
SETUP = """
from osaurus_nb import ui
from osaurus_nb.client import Client
from osaurus_nb.events import TextDelta
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

backend = Runtime([ScriptedAdapter({"m": [says("Hel", "lo."), [TextDelta("Once "), 60.0]]})])
chat = ui.chat(Client(model="scripted/m", backend=backend))
chat
"""


def scripted_client() -> Client:
    return Client(model="scripted/m", backend=Runtime([ScriptedAdapter({"m": [says("Hi.")]})]))


@pytest.fixture
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel()
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(kernel: BlockingKernelClient, code: str) -> list[dict[str, Any]]:
    """Execute a cell; everything that the kernel published until it was idle."""
    published: list[dict[str, Any]] = []
    answer = kernel.execute_interactive(code, timeout=30, output_hook=published.append)
    assert answer["content"]["status"] == "ok", answer["content"]
    return published


def send(kernel: BlockingKernelClient, comm: str, content: dict[str, Any]) -> None:
    data = {"method": "custom", "content": content}
    kernel.shell_channel.send(kernel.session.msg("comm_msg", {"comm_id": comm, "data": data}))


def hear(kernel: BlockingKernelClient, comm: str, kind: str) -> list[dict[str, Any]]:
    """The data of this comm's messages, up to the custom one of this kind."""
    heard: list[dict[str, Any]] = []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            message = kernel.get_iopub_msg(timeout=1)
        except Empty:
            continue
        if message["msg_type"] != "comm_msg" or message["content"]["comm_id"] != comm:
            continue
        heard.append(message["content"]["data"])
        if heard[-1].get("content", {}).get("kind") == kind:
            return heard
    raise AssertionError(f"no '{kind}' in {heard}")


def test_a_question_is_answered_over_the_comm(kernel):
    """Message in, deltas out, and at the end the transcript as state; then stop ends an answer at once."""
    shown = next(message for message in run(kernel, SETUP) if message["msg_type"] == "execute_result")
    comm = shown["content"]["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]

    send(kernel, comm, {"kind": "ask", "id": 1, "text": "hi"})
    answered = hear(kernel, comm, "idle")
    send(kernel, comm, {"kind": "ask", "id": 2, "text": "more"})
    hear(kernel, comm, "delta")
    send(kernel, comm, {"kind": "stop", "id": 3})
    stopped = hear(kernel, comm, "idle")

    states = [data["state"] for data in answered + stopped if data["method"] == "update"]
    assert [[message["text"] for message in state["messages"]] for state in states] == [
        ["hi", "Hello."],
        ["hi", "Hello.", "more", "Once "],
    ]
    assert states[-1]["messages"][-1]["stopped"]
    again = next(message for message in run(kernel, "chat") if message["msg_type"] == "execute_result")
    assert again["content"]["data"]["text/plain"].startswith("You: hi\n\nModel: Hello.")


def test_no_trait_has_a_name_that_ipywidgets_uses_itself():
    """A clash breaks the display without a word, so no widget of ours may have one."""
    classes = [getattr(osaurus_nb_widgets, name) for name in osaurus_nb_widgets.__all__]

    own = {
        name for cls in classes for name in set(cls.class_trait_names()) - set(ipywidgets.DOMWidget.class_trait_names())
    }

    assert own
    assert own.isdisjoint(TAKEN)


def test_the_state_holds_the_transcript_and_the_choice_and_nothing_else():
    """What is saved with a notebook: no key, no address, no setting."""
    chat = ui.chat(scripted_client(), system="canary-system-prompt")

    state = chat.get_state()
    own = set(state) - set(ipywidgets.DOMWidget().get_state()) - {"_esm", "_css", "_anywidget_id"}

    assert own == {"messages", "selected_model"}
    assert "canary-system-prompt" not in str(state)


def test_a_height_is_a_number_of_pixels_or_any_css_length():
    """Both spellings that people try work."""
    assert ui.chat(scripted_client(), height=300).layout.height == "300px"
    assert ui.chat(scripted_client(), height="50vh").layout.height == "50vh"


def test_the_chosen_model_is_the_clients_unless_named():
    """`model=` wins, then what the client was made with."""
    assert ui.chat(scripted_client()).selected_model == "scripted/m"
    assert ui.chat(scripted_client(), model="scripted/other").selected_model == "scripted/other"


def test_without_anywidget_it_says_what_to_install():
    """A missing library is told as the command that brings it."""
    code = (
        "import sys; sys.modules['anywidget'] = None\n"
        "from osaurus_nb import ui\n"
        "try: ui.chat()\n"
        "except ImportError as error: print(error)"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout

    assert "pip install 'osaurus-nb[jupyter]'" in said
