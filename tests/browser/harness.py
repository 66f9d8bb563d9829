"""A private JupyterLab and a notebook opened in a real browser. Knows nothing of osaurus but its home folder."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import ConsoleMessage, Page

QUIET_SETTINGS = {"@jupyterlab/apputils-extension/notification": {"fetchNews": "false"}}  # else a pop-up asks

SESSION = "window.jupyterapp.shell.currentWidget.context.sessionContext"
READY = f"""() => {{
  const widget = window.jupyterapp?.shell?.currentWidget;
  if (!widget?.context?.sessionContext?.isReady) return false;
  const kernel = {SESSION}.session?.kernel;
  return kernel?.connectionStatus === 'connected' && kernel.status === 'idle'
    && window.jupyterapp.commands.isEnabled('notebook:run-all-cells') && !!widget.content.activeCell;
}}"""
# Seen 2026-11, 1 of 12 opens: the first request of a new kernel was never answered and its cell stayed [*]. So a silent
# empty request goes first, until one has come back on both channels.
ANSWERS = f"""async () => {{
  for (let attempt = 0; attempt < 20; attempt++) {{
    const request = {SESSION}.session.kernel.requestExecute({{code: '', silent: true, store_history: false}});
    const late = new Promise(resolve => setTimeout(resolve, 1500));
    if (await Promise.race([request.done, late])) return;
  }}
  throw new Error('the kernel does not answer');
}}"""
# Lab marks a cell that waits or runs with [*]; the kernel alone is briefly idle between two cells.
IDLE = f"""() => {SESSION}.session?.kernel?.status === 'idle'
  && ![...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.textContent.includes('*'))"""
COMMAND = """([name, limit]) => {
  const late = new Promise((_, no) => setTimeout(() => no(new Error(`${name} took over ${limit} ms`)), limit));
  return Promise.race([window.jupyterapp.commands.execute(name), late]).then(() => null);
}"""
MODEL = "() => window.jupyterapp.shell.currentWidget.context.model.toJSON()"


@dataclass(frozen=True, slots=True)
class Lab:
    """A running JupyterLab that shares no folder with the user's own."""

    url: str
    token: str
    root: Path
    log: Path

    def address(self, notebook: str) -> str:
        """Where a browser opens one notebook in a fresh workspace."""
        return f"{self.url}/lab/tree/{notebook}?reset&token={self.token}"


@contextmanager
def running_lab(base: Path, *, home: Path, settings: Mapping[str, Mapping[str, Any]] | None = None) -> Iterator[Lab]:
    """Start JupyterLab with everything it writes below `base`; stop it, and its kernels, at the end."""
    port, token, root = free_port(), token_hex(16), base / "root"
    root.mkdir(parents=True)
    write_settings(base / "settings", {**QUIET_SETTINGS, **(settings or {})})
    lab = Lab(f"http://127.0.0.1:{port}", token, root, base / "lab.log")
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"),
    ]
    with lab.log.open("wb") as log:
        server = subprocess.Popen(command, cwd=root, env=private_environment(base, home), stdout=log, stderr=log)
    try:
        wait_until_it_answers(lab, server)
        yield lab
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def private_environment(base: Path, home: Path) -> dict[str, str]:
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "OSAURUS"))}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    mine = {name: str(base / folder) for name, folder in folders.items()}
    return inherited | mine | {"PATH": programs, "OSAURUS_HOME": str(home)}


def write_settings(folder: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
    for plugin, values in settings.items():
        path = folder / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_it_answers(lab: Lab, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=5):
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{lab.log.read_text()[-4000:]}")


@dataclass(slots=True)
class OpenNotebook:
    """One notebook in one browser tab, with what the browser complained about."""

    page: Page
    artifacts: Path
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, page: Page, lab: Lab, source: Path, artifacts: Path) -> OpenNotebook:
        """Open a copy of `source` and wait until its kernel is ready. Commands sent earlier would do nothing."""
        shutil.copy(source, lab.root / source.name)
        notebook = cls(page, artifacts)
        listen(page, notebook.complaints)
        page.goto(lab.address(source.name))
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        page.wait_for_function(READY)
        page.evaluate(ANSWERS)
        return notebook

    def command(self, name: str, *, seconds: float = 30) -> None:
        """Run one of JupyterLab's own commands, such as `docmanager:save`, to its end."""
        self.page.evaluate(COMMAND, [name, seconds * 1000])

    def run_all(self, *, seconds: float = 120) -> None:
        """Run All, and wait until the last cell is done or one has failed."""
        self.command("notebook:run-all-cells", seconds=seconds)
        self.wait_until_idle(seconds=seconds)

    def start_all(self) -> None:
        """Run All, and return as soon as the kernel is at work."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        self.page.wait_for_function(f"() => {SESSION}.session.kernel.status === 'busy'")

    def wait_until_idle(self, *, seconds: float = 120) -> None:
        self.page.wait_for_function(IDLE, timeout=seconds * 1000)

    def interrupt(self) -> None:
        self.command("notebook:interrupt-kernel")

    def cells(self) -> list[dict[str, Any]]:
        """The code cells as they would be saved now."""
        return [cell for cell in self.page.evaluate(MODEL)["cells"] if cell["cell_type"] == "code"]

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """What one code cell has shown, in nbformat."""
        found: list[dict[str, Any]] = self.cells()[cell]["outputs"]
        return found

    def text(self, cell: int) -> str:
        """The plain text of all outputs of one code cell."""
        return "".join(plain_text(output) for output in self.outputs(cell))

    def errors(self) -> list[str]:
        """`Name: message` of every exception that a cell ended with."""
        outputs = [output for cell in self.cells() for output in cell["outputs"]]
        return [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]

    def screenshot(self, name: str) -> Path:
        """Save what the browser shows now as `artifacts/<name>.png`."""
        self.artifacts.mkdir(exist_ok=True)
        path = self.artifacts / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def listen(page: Page, complaints: list[str]) -> None:
    """Collect what the browser's console calls an error, and exceptions that nobody caught."""

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))


def plain_text(output: Mapping[str, Any]) -> str:
    """What one nbformat output says in plain text."""
    if output["output_type"] == "stream":
        return "".join(output["text"])
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}\n"
    return "".join(output["data"].get("text/plain", ""))
