"""The processes and folders that a benchmark plays with. All of it is on 127.0.0.1 or private, and gone afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from osaurus_nb.config.paths import Paths, private_dir
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.local.library import LocalModel
from osaurus_nb.local.pull import pull
from osaurus_nb.local.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent
#: Lies in the library while remote models are asked, as a pulled one does; nobody loads it.
SMALL_MODEL = ROOT / "tests/data/scripted-model"


@dataclass(frozen=True, slots=True)
class Running:
    """A server in a process of its own."""

    pid: int
    url: str
    key: str = ""


@contextmanager
def child(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Iterator[tuple[int, str]]:
    """A Python process, and the first line that it prints."""
    run = [sys.executable, *command]
    surroundings = {**os.environ, **(env or {})}
    with subprocess.Popen(run, cwd=ROOT, env=surroundings, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line:
                raise SystemExit(f"did not start: {' '.join(command)}")
            yield process.pid, line
        finally:
            process.terminate()


@contextmanager
def upstream() -> Iterator[Running]:
    """A provider that answers at once, or at the pace that the model's name asks for."""
    with child(["-m", "osaurus_nb.testing.loopback"]) as (pid, url):
        yield Running(pid, url)


@contextmanager
def fast_upstream() -> Iterator[Running]:
    """A provider that costs as little as it can, in two dialects; see `_upstream.py`."""
    with child(["benchmarks/_upstream.py"]) as (pid, url):
        yield Running(pid, url)


@contextmanager
def references(upstream: str) -> Iterator[tuple[Running, Running]]:
    """The two yardsticks of `_minimum.py`, in one process: the bare handler and the least gateway."""
    with child(["benchmarks/_minimum.py", upstream]) as (pid, line):
        ready = json.loads(line)
        bare, minimum = (Running(pid, f"{ready['url']}/{path}", ready["key"]) for path in ("bare", "minimum"))
        yield bare, minimum


@contextmanager
def home(
    providers: Mapping[str, str] | None = None,
    *,
    model: Path | None = None,
    formats: Mapping[str, str] | None = None,
) -> Iterator[Path]:
    """A private `$OSAURUS_HOME` with these providers and this model, for this process and those that it starts.

    `formats` names the dialect of a provider that does not speak Chat Completions.
    """
    with tempfile.TemporaryDirectory(prefix="osaurus-bench-") as name:
        before = dict(os.environ)
        os.environ["OSAURUS_HOME"] = name
        for variable in ("OSAURUS_URL", "OSAURUS_KEY", "OSAURUS_MODEL"):
            os.environ.pop(variable, None)
        file = ProviderFile(Paths(Path(name)))
        for provider, url in (providers or {}).items():
            file.add(provider, url, format=(formats or {}).get(provider, "openai"))
        if model is not None:
            shutil.copytree(model, private_dir(Path(name) / "models") / model.name, copy_function=_link_or_copy)
        try:
            yield Path(name)
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def endpoint() -> Iterator[Running]:
    """Our server extension, over the home of this process."""
    with child(["-c", "from osaurus_nb_server.app import main; main()", "--port", "0", "--json"]) as (_, line):
        ready = json.loads(line)
        yield Running(ready["pid"], ready["url"], ready["key"])


@contextmanager
def model_home() -> Iterator[LocalModel]:
    """A private home that holds the embedded model, without a worker at first and at last.

    The model comes from the folder that the tests keep it in, and is fetched into it if it is not there yet.
    """
    kept = pull(Paths(private_dir(Path(os.environ.get("OSAURUS_TEST_HOME") or ROOT / ".cache/test-home").absolute())))
    with home(model=kept.folder) as folder:
        paths = Paths(folder)
        model = pull(paths)
        try:
            yield model
        finally:
            asyncio.run(Supervisor(paths).unload(model))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
