"""The extension inside its server: what it costs, where it hangs, and how kernels find it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from queue import Empty

import pytest
from jupyter_server.serverapp import JupyterServerAuthWarning, ServerApp
from openai import OpenAI

from osaurus_nb.gateway.keys import KeyRing
from osaurus_nb_server.kernel_access import KernelAccess, reachable_url

HEAVY = {"pydantic", "httpx2", "mlx", "mlx_lm", "numpy", "openai", "IPython", "osaurus_nb.assembly", "pydantic_core"}

PROBE = """
import json, sys
from jupyter_server.serverapp import ServerApp
app = ServerApp(jpserver_extensions={"osaurus_nb_server": EXTENSION}, open_browser=False, allow_root=True, port=0)
app.init_signal = lambda: None
app.initialize(argv=[], find_extensions=False)
hosts = app.web_app.default_router.rules
paths = [rule.matcher.regex.pattern for host in hosts for rule in getattr(host.target, "rules", ())]
print(json.dumps({"modules": sorted(sys.modules), "ours": [path for path in paths if "/osaurus" in path]}))
"""


def start_in_a_fresh_interpreter(extension: bool, home: Path) -> dict[str, list[str]]:
    script = PROBE.replace("EXTENSION", str(extension))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, cwd=home
    )
    report: dict[str, list[str]] = json.loads(done.stdout)
    return report


def test_starting_the_server_loads_nothing_heavy(jupyter_dirs):
    """Whoever opens JupyterLab pays for our libraries at the first question, not before."""
    bare = start_in_a_fresh_interpreter(False, jupyter_dirs)
    ours = start_in_a_fresh_interpreter(True, jupyter_dirs)

    assert bare["ours"] == []
    assert ours["ours"]
    assert HEAVY & (set(ours["modules"]) - set(bare["modules"])) == set()


def test_it_answers_below_a_prefix(serve):
    """A server with a base URL answers there, to a key of ours and to the Jupyter token alike."""
    with serve(base_url="/user/ann/") as server:
        for key in (server.key, server.token):
            with OpenAI(base_url=f"{server.url}/v1/", api_key=key, max_retries=0, timeout=20) as client:
                assert [model.id for model in client.models.list()] == ["scripted/good"]

    assert server.url.endswith("/user/ann/osaurus")


def test_jupyter_has_no_open_path_to_complain_about(serve):
    """A server that wants every handler to say who may come in finds that ours do."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with serve(config={"ServerApp": {"allow_unauthenticated_access": False}}) as server:
            anonymous = server.ask("POST", "/v1/chat/completions", json_body={}, key=None)
            health = server.ask("GET", "/health", key=None)

    complaints = [str(w.message) for w in caught if issubclass(w.category, JupyterServerAuthWarning)]
    assert not [text for text in complaints if "osaurus" in text.lower() or "Generate" in text]
    assert (anonymous.status, health.status) == (401, 200)


def test_a_kernel_inherits_the_address_and_a_key(server, jupyter_dirs):
    """Code in a real kernel of this server asks the model without being told anything."""
    started = server.ask("POST", "//api/kernels", json_body={"name": "python3"}, key=server.token)
    kernel_id = started.json["id"]
    code = (
        "import os, urllib.request as u\n"
        "ask = u.Request(os.environ['OSAURUS_URL'] + '/v1/models',"
        " headers={'Authorization': 'Bearer ' + os.environ['OSAURUS_KEY']})\n"
        "print(u.urlopen(ask, timeout=10).read().decode())"
    )

    said = run_in_kernel(jupyter_dirs / "runtime" / f"kernel-{kernel_id}.json", code)

    server.ask("DELETE", f"//api/kernels/{kernel_id}", key=server.token)
    assert started.status == 201
    assert json.loads(said)["data"][0]["id"] == "scripted/good"


def run_in_kernel(connection_file: Path, code: str) -> str:
    """What the code prints."""
    from jupyter_client.blocking import BlockingKernelClient

    client = BlockingKernelClient(connection_file=str(connection_file))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        client.execute(code)
        ends, text = time.monotonic() + 30, ""
        while time.monotonic() < ends:
            try:
                message = client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if message["msg_type"] == "stream":
                text += message["content"]["text"]
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle" and text:
                return text
        raise AssertionError(text)
    finally:
        client.stop_channels()


def test_the_environment_is_as_it_was_when_the_server_has_stopped(serve, monkeypatch):
    """What somebody else had set comes back, and the kernels' key opens nothing any more."""
    monkeypatch.setenv("OSAURUS_URL", "http://before")

    with serve() as server:
        during, key = os.environ["OSAURUS_URL"], os.environ["OSAURUS_KEY"]
        assert server.ask("GET", "/v1/models", key=key).status == 200

    assert during == server.url
    assert os.environ["OSAURUS_URL"] == "http://before"
    assert "OSAURUS_KEY" not in os.environ
    assert server.service.keys.match(key) is None


def test_what_others_set_meanwhile_is_theirs():
    """Taking our values out never takes anybody else's."""
    env: dict[str, str] = {}
    access = KernelAccess(KeyRing(), env)

    access.grant("http://127.0.0.1:1/osaurus")
    env["OSAURUS_URL"] = "http://mine"
    access.withdraw()
    access.withdraw()

    assert env == {"OSAURUS_URL": "http://mine"}


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"ip": "localhost"}, "http://127.0.0.1:8888/osaurus"),
        ({"ip": "0.0.0.0"}, "http://127.0.0.1:8888/osaurus"),
        ({"ip": ""}, "http://127.0.0.1:8888/osaurus"),
        ({"ip": "::"}, "http://[::1]:8888/osaurus"),
        ({"ip": "::1"}, "http://[::1]:8888/osaurus"),
        ({"ip": "10.1.2.3", "base_url": "/user/ann/"}, "http://10.1.2.3:8888/user/ann/osaurus"),
        ({"ip": "localhost", "certfile": "/some.pem"}, None),
        ({"sock": "/some/socket"}, None),
    ],
)
def test_the_address_is_one_that_a_kernel_can_use(settings, url):
    """Wildcards become loopback; where a kernel cannot reach or trust us it gets no address at all."""
    server = ServerApp(port=0 if "sock" in settings else 8888, **settings)

    assert reachable_url(server) == url


def test_a_long_lived_server_renews_the_key_and_older_kernels_keep_theirs():
    """Every key works until its own expiry, and none after the server has stopped."""
    env: dict[str, str] = {}
    keys = KeyRing()
    access = KernelAccess(keys, env)

    access.grant("http://127.0.0.1:1/osaurus")
    first = env["OSAURUS_KEY"]
    access.grant("http://127.0.0.1:1/osaurus")
    second = env["OSAURUS_KEY"]
    both = keys.match(first) is not None and keys.match(second) is not None
    access.withdraw()

    assert first != second
    assert both
    assert env == {}
    assert keys.list() == []


def test_it_answers_on_a_unix_socket(serve, tmp_path):
    """There is no address for kernels then, but whoever opens the socket is served."""
    path = str(tmp_path / "s")

    with serve(config={"ServerApp": {"sock": path}}, port=8888) as server:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10)
            link.connect(path)
            link.sendall(
                f"GET /osaurus/v1/models HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {server.key}\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            answer = b"".join(iter(lambda: link.recv(65536), b""))
        assert "OSAURUS_URL" not in os.environ

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"scripted/good" in answer


def test_an_owner_may_keep_kernels_out(serve):
    """With the setting off, kernels do their own work."""
    with serve(kernel_access=False):
        assert "OSAURUS_KEY" not in os.environ


def test_activity_defers_the_idle_shutdown(server):
    """An answer counts as activity of the server."""
    before = server.app.web_app.last_activity()

    server.chat()

    assert server.app.web_app.last_activity() > before
