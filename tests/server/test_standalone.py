"""`jupyter osaurus` as a script drives it: a real process, real HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from openai import OpenAI

COMMAND = [sys.executable, "-c", "from osaurus_nb_server.app import main; main()"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and somebody else's server in the environment, which must not matter."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("", "jupyter_ext"))
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    strange = {"OSAURUS_URL": "http://127.0.0.1:9/osaurus", "OSAURUS_KEY": "osk_live_other"}
    return {**os.environ, **own, **strange, "OSAURUS_HOME": str(tmp_path / "osaurus"), "PYTHONPATH": paths}


@contextmanager
def running(environment: dict[str, str], *args: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *args], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def get(url: str, key: str | None = None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_one_line_when_it_accepts_and_stops_cleanly(environment, number):
    """The line has all that a script needs; a signal ends the process with success and nothing left behind."""
    with running(environment, "--port", "0", "--json") as process:
        ready = json.loads(process.stdout.readline())

        health = get(f"{ready['url']}/health", ready["key"])
        models = get(f"{ready['url']}/v1/models", ready["key"])
        others = [get(ready["url"].removesuffix("osaurus") + path, ready["key"])[0] for path in ("api/kernels", "tree")]
        with OpenAI(base_url=ready["url"] + "/v1", api_key=ready["key"], max_retries=0, timeout=20) as client:
            listed = list(client.models.list())
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)

    assert ready["pid"] == process.pid
    assert health[0] == models[0] == 200
    [local] = json.loads(health[1])["providers"]
    assert (local["provider"], local["models"], local["error"], local["state"]) == ("local", 0, None, "connected")
    assert all(model.id.startswith("osaurus/") for model in listed)  # profiles alone
    assert others == [404, 404]
    assert process.returncode == 0
    assert rest == ""
    assert "Traceback" not in errors
    assert ready["key"] not in errors
    assert not list((Path(environment["JUPYTER_RUNTIME_DIR"])).glob("jpserver*"))


@pytest.mark.parametrize(("args", "status"), [([], 403), (["--scope", "admin"], 200)])
def test_its_key_administers_only_when_asked_for(environment, args, status):
    """What is pasted into tools sets up no providers, unless its owner wants that."""
    with running(environment, "--port", "0", "--json", *args) as process:
        ready = json.loads(process.stdout.readline())

        presets = get(f"{ready['url']}/admin/presets", ready["key"])

    assert presets[0] == status


def test_a_person_gets_a_snippet_that_runs(environment):
    """The text shows the address, the key, and code that works as it stands."""
    with running(environment, "--port", "0") as process:
        lines = [process.stdout.readline() for _ in range(8)]
        code = "".join(lines[lines.index("\n") + 1 :])

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert lines[0].startswith("Ready at http://127.0.0.1:")
    assert "OpenAI(" in code
    assert done.returncode == 0, done.stderr


def test_a_busy_port_is_said_and_not_silently_changed(environment):
    """Another port would be one that nobody asks."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        done = subprocess.run(
            [*COMMAND, "--port", port, "--json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 1
    assert done.stdout == ""
    assert f"Port {port} on 127.0.0.1 is in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [["--port", "many"], ["--prot", "1"], ["--ip", "not an address", "--port", "0"]])
def test_a_wrong_argument_is_a_sentence(environment, args):
    """Not a traceback."""
    done = subprocess.run([*COMMAND, *args], env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode != 0
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
