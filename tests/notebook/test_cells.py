"""Which cell a question comes from, in a real kernel and as JupyterLab asks it."""

from __future__ import annotations

import time

import pytest
from IPython.core.interactiveshell import InteractiveShell

from osaurus_nb import notebook, origin

#: Keeps the origin of every question that is asked through `client`, under the text of the question.
NOTING = """
from osaurus_nb.client import AsyncClient
class Noting(Runtime):
    seen = {}
    async def stream(self, request, terms):
        self.seen[request.messages[-1].text] = terms.origin
        async for event in super().stream(request, terms):
            yield event
noting = Noting([scripted])
client, twin = Client(backend=noting, model="scripted/echo"), AsyncClient(backend=noting, model="scripted/echo")
notebook.use(client)
def seen(question):
    found = noting.seen[question]
    return found.cell, found.run
"""


@pytest.fixture(scope="module")
def cells(kernel):
    assert kernel.run(NOTING).status == "ok"
    return kernel


def start(kernel, code, cell, subshell=None):
    """Execute as JupyterLab does: the cell's id is in the metadata."""
    session = kernel.client.session
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    message = session.msg("execute_request", content, metadata={"cellId": cell, "deletedCells": []})
    message["header"]["subshell_id"] = subshell
    kernel.client.shell_channel.send(message)
    return message["header"]["msg_id"]


def seen(kernel, question):
    return eval(kernel.value(f"seen({question!r})"))


@pytest.mark.parametrize(
    "code",
    [
        "%%osaurus\n{}",
        "client.chat('{}')",
        "await twin.chat('{}')",
        "import asyncio; await asyncio.gather(*(twin.chat(q) for q in ['{}', 'and this']))",
        "import asyncio; await asyncio.to_thread(client.chat, '{}')",
        "from threading import Thread; t = Thread(target=client.chat, args=['{}']); t.start(); t.join()",
    ],
    ids=["magic", "sync", "async", "tasks", "to_thread", "thread"],
)
def test_a_question_knows_its_cell(cells, code):
    """However a cell asks, the question carries the cell's id and one id for this execution of it."""
    question = f"asked {time.monotonic_ns()}"

    first = cells.finish(start(cells, code.format(question), "c0ffee-11"))
    cell, run = seen(cells, question)
    cells.finish(start(cells, code.format(question), "c0ffee-11"))

    assert first.of("error") == []
    assert cell == "c0ffee-11"
    assert seen(cells, question)[0] == "c0ffee-11"
    assert seen(cells, question)[1] != run


def test_a_front_end_that_tells_no_cell_still_has_runs(cells):
    """Without a cell's id the execution alone is known."""
    cells.run("client.chat('anonymous')")

    cell, run = seen(cells, "anonymous")
    assert cell is None
    assert len(run) == 16


def test_a_task_that_outlives_its_cell_stays_its_own(cells):
    """What a cell started in the background is charged to that cell, though another runs by then."""
    later = "import asyncio\nasync def late():\n    await asyncio.sleep(0.3)\n    await twin.chat('late')\n"
    cells.finish(start(cells, f"{later}task = asyncio.create_task(late())", "starter"))

    cells.finish(start(cells, "import asyncio; await asyncio.sleep(0.6)", "other"))

    assert seen(cells, "late")[0] == "starter"


def test_a_subshell_sees_its_own_cell(cells):
    """While one cell runs, another in a subshell is not taken for it, nor the first for the second."""
    subshell = create_subshell(cells)
    slow = start(cells, "import time; time.sleep(1); client.chat('in the main shell')", "main-cell")
    time.sleep(0.3)
    start(cells, "client.chat('in the subshell')", "sub-cell", subshell)
    cells.finish(slow)

    assert seen(cells, "in the main shell")[0] == "main-cell"
    assert seen(cells, "in the subshell")[0] == "sub-cell"


def create_subshell(kernel):
    message = kernel.client.session.msg("create_subshell_request", {})
    kernel.client.control_channel.send(message)
    return kernel.client.get_control_msg(timeout=20)["content"]["subshell_id"]


def test_a_plain_shell_counts_its_inputs_as_runs(plain):
    """A terminal has no cells; each input is a run of its own."""
    plain.run("from osaurus_nb import origin\none = origin.current()\nagain = origin.current()")
    plain.run("two = origin.current()")

    one, again, two = (plain.shell.user_ns[name] for name in ("one", "again", "two"))
    assert one == again
    assert one.cell is None
    assert one.run != two.run


def test_unloading_forgets_the_cells(tmp_path, monkeypatch):
    """Without the extension no question has a cell."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()
    notebook.load(shell)
    within = origin.current()

    notebook.unload(shell)
    shell.history_manager.end_session()

    assert within.run is not None
    assert origin.current().run is None
