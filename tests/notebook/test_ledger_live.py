"""A notebook that spends, in a real kernel with a real ledger and a priced upstream: footer, sums, caps and a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from tests.notebook.conftest import Kernel, Ran
from tests.notebook.test_cells import start

ROOT = Path(__file__).parents[2]
OURS = ("OSAURUS_URL", "OSAURUS_KEY", "OSAURUS_ROUTER_URL", "OSAURUS_MODEL")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a provider on this machine that has a price: ten dollars for a million tokens each way."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "osaurus_nb.testing.loopback"]
    with (
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as upstream,
    ):
        patch.setenv("OSAURUS_HOME", str(home / "osaurus"))
        patch.setenv("OSAURUS_VAULT_KEY", "5a" * 32)
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("IPYTHONDIR", str(home / "ipython"))
        patch.setenv("OSAURUS_ROUTER", "off")
        for name in OURS:
            patch.delenv(name, raising=False)
        assert upstream.stdout is not None
        terminal(f"providers add lab --url {upstream.stdout.readline().strip()}")
        for model in ("loopback", "loopback?words=2000&interval=0.01"):
            terminal(f"budget price lab/{model} 10 10")
        yield home
        upstream.kill()


def terminal(line: str) -> subprocess.CompletedProcess[str]:
    """A command in a terminal of its own."""
    env = {name: value for name, value in os.environ.items() if name != "JPY_SESSION_NAME"}
    command = [sys.executable, "-m", "osaurus_nb.cli", *line.split()]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def notebook(home: Path) -> Iterator[Kernel]:
    """A kernel as Jupyter starts it for a notebook."""
    env = {**os.environ, "JPY_SESSION_NAME": "/lab/spending.ipynb"}
    manager, client = start_new_kernel(kernel_name="python3", env=env)
    kernel = Kernel(manager, client)
    assert kernel.run("%load_ext osaurus_nb\nimport osaurus_nb as osaurus").status == "ok"
    yield kernel
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(kernel: Kernel, code: str, cell: str) -> Ran:
    return kernel.finish(start(kernel, code, cell))


def test_spending_is_seen_by_cell_and_notebook(notebook):
    """Each cell's answer says what it cost, and the ledger has the same by cell, notebook and model, without a word."""
    one = run(notebook, "%%osaurus -m lab/loopback\nWhat does canary-4711 cost?", "cell-one")
    run(notebook, "client = osaurus.Client(model='lab/loopback')\nfor _ in range(3): client.chat('hi')", "cell-two")

    sums = eval(
        notebook.value(
            "{row['cell']: (row['calls'], row['cost_micro']) for row in osaurus.ledger.sum('cell').records()}"
        )
    )
    where = notebook.value("{(e.origin.notebook, e.provider, e.kind, e.outcome) for e in osaurus.ledger.entries()}")
    usage = run(notebook, "%osaurus usage", "cell-three").last["text/plain"]
    shown = str(notebook.run("osaurus.ledger.entries()").of("execute_result"))

    assert "· $0.00" in one.last["text/html"]
    assert sums["cell-one"][0] == 1
    assert sums["cell-two"][0] == 3
    assert all(cost > 0 for _, cost in sums.values())
    assert where == "{('/lab/spending.ipynb', 'lab', 'settle', 'rendered')}"
    assert "this notebook" in usage
    assert [row.split()[5] for row in usage.splitlines() if "last run" in row] == ["3"]
    assert "canary" not in shown


def test_a_cell_that_hits_its_cap_says_so_in_one_line(notebook):
    """A budget around the calls, one for each run of a cell, and one for a question: all refuse before the call."""
    code = "with osaurus.budget('$0.001') as b:\n    for _ in range(50): client.chat('hi', max_tokens=20)"
    run(notebook, "client = osaurus.Client(model='lab/loopback')", "setup")

    block = run(notebook, code, "block").of("error")[0]
    spent = eval(notebook.value("float(b.spent), float(b.left)"))
    terminal("budget cell 0.0005")
    every = run(notebook, "for _ in range(50): client.chat('hi', max_tokens=20)", "capped").of("error")[0]
    again = run(notebook, "client.chat('hi', max_tokens=20).text", "capped")
    terminal("budget off")
    question = run(notebook, "%%osaurus -m lab/loopback --max-cost 0.0001\nhi", "question").of("error")[0]

    assert block["ename"] == every["ename"] == question["ename"] == "BudgetExceeded"
    assert 0 < spent[0] <= 0.001
    assert "was not asked" in every["evalue"]
    assert again.status == "ok"
    assert len(question["traceback"]) == 1


def test_a_killed_kernel_leaves_an_orphan_that_is_explained(notebook):
    """Whoever looks next learns that it was charged perhaps, and what to do; once it is struck it is none any more."""
    request = start(notebook, "%%osaurus -m lab/loopback?words=2000&interval=0.01\nGo on.", "killed")
    pid = notebook.manager.provisioner.pid
    notebook.wait_for(request, "update_display_data", count=2)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, os.WNOHANG)

    listed = terminal("ledger")
    orphans = terminal("ledger --orphans")
    step = orphans.stdout.splitlines()[1].split()[-2]
    struck, after = terminal(f"ledger void {step}"), terminal("ledger")

    assert "1 call is an orphan: charged perhaps, and nobody saw the answer" in listed.stderr
    assert " lab/" in orphans.stdout
    assert "/lab/spending.ipynb" in orphans.stdout
    assert "1 line" in struck.stdout
    assert "orphan" not in after.stderr
