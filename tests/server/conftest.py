"""A real Jupyter server with our extension, on a thread of this process, asked over real HTTP."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jupyter_server.serverapp import ServerApp
from openai import OpenAI
from traitlets.config import Config

from osaurus_nb.gateway.keys import ALL_SCOPES
from osaurus_nb.runtime import Backend, Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says
from osaurus_nb_server.app import OsaurusServer

TOKEN = "jupyter-login-token"


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class QuietServer(ServerApp):
    """On a thread there are no signals, and nobody opens it."""

    def init_signal(self) -> None: ...

    def write_server_info_file(self) -> None: ...


class Served:
    """The server while it runs."""

    def __init__(self, app: QuietServer, logs: io.StringIO) -> None:
        [extension] = app.extension_manager.extension_apps["osaurus_nb_server"]
        assert isinstance(extension, OsaurusServer)
        self.app = app
        self.extension = extension
        self.service = extension.service
        self.logs = logs
        self.port = app.port
        self.url = f"http://127.0.0.1:{app.port}{app.base_url}osaurus"
        self.path = f"{app.base_url}osaurus"
        self.token = TOKEN
        self.key = self.service.keys.issue("tests", scopes=ALL_SCOPES, expires_in=None)[0]

    def ask(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = "",
    ) -> Answer:
        """One request on a connection of its own. `key=None` sends none; a path of Jupyter's own starts with `//`."""
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {key or self.key}")
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            target = self.app.base_url + path[2:] if path.startswith("//") else self.path + path
            connection.request(method, target, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def chat(self, model: str = "good", **fields: Any) -> Answer:
        headers = fields.pop("headers", None)
        messages = [{"role": "user", "content": "Say hello."}]
        return self.ask(
            "POST", "/v1/chat/completions", json_body={"model": model, "messages": messages, **fields}, headers=headers
        )


@contextmanager
def serving(
    make_backend: Callable[[], Backend] | None, home: Path, *, base_url: str = "/", **settings: Any
) -> Iterator[Served]:
    """Start a server, hand it out, stop it as a signal would."""
    config = Config(settings.pop("config", {}))
    port = settings.pop("port", 0)
    config.OsaurusServer.update({"make_backend": make_backend, **settings})
    config.IdentityProvider.token = TOKEN
    config.NotebookNotary.db_file = ":memory:"
    ready: threading.Event = threading.Event()
    box: dict[str, Any] = {}

    async def live() -> None:
        stop = asyncio.Event()
        app = QuietServer(
            config=config,
            jpserver_extensions={"osaurus_nb_server": True, "jupyter_server_terminals": True},
            root_dir=str(home),
            port=port,
            port_retries=0,
            base_url=base_url,
            open_browser=False,
            no_browser_open_file=True,
            allow_root=True,
            log_level=logging.DEBUG,
        )
        app.log.addHandler(handler)
        app.initialize(argv=[], find_extensions=False)
        await asyncio.sleep(0)
        app.start_app()
        await app._post_start()
        box.update(app=app, loop=asyncio.get_running_loop(), stop=stop)
        ready.set()
        await stop.wait()
        await app._cleanup()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as exc:
            box["error"] = exc
            raise
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="jupyter-server", daemon=True)
    with captured_logs() as handler:
        thread.start()
        assert ready.wait(30)
        if "error" in box:
            raise box["error"]
        try:
            yield Served(box["app"], handler.stream)
        finally:
            box["loop"].call_soon_threadsafe(box["stop"].set)
            thread.join(20)
            assert not thread.is_alive()


@contextmanager
def captured_logs() -> Iterator[logging.StreamHandler[io.StringIO]]:
    """Everything that any logger writes, at DEBUG."""
    handler = logging.StreamHandler(io.StringIO())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in ("tornado", "osaurus_nb", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


@pytest.fixture(scope="session")
def jupyter_dirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Jupyter's folders, away from the user's own."""
    home = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG", "DATA", "RUNTIME"):
            patch.setenv(f"JUPYTER_{name}_DIR", str(home / name.lower()))
        patch.setenv("IPYTHONDIR", str(home / "ipython"))
        patch.setenv("OSAURUS_HOME", str(home / "osaurus"))
        patch.delenv("OSAURUS_URL", raising=False)
        patch.delenv("OSAURUS_KEY", raising=False)
        yield home


@pytest.fixture
def adapter() -> ScriptedAdapter:
    """Override it to serve other models."""
    return ScriptedAdapter({"good": [says("Hello", " there", ".")]})


@pytest.fixture
def serve(jupyter_dirs: Path, adapter: ScriptedAdapter) -> Callable[..., AbstractContextManager[Served]]:
    """`with serve(max_body=10) as served:` is a server with these settings of the extension."""

    def start(backend: Callable[[], Backend] | None = None, **settings: Any) -> AbstractContextManager[Served]:
        return serving(backend or (lambda: Runtime([adapter])), jupyter_dirs, **settings)

    return start


@pytest.fixture
def server(jupyter_dirs: Path, adapter: ScriptedAdapter) -> Iterator[Served]:
    with serving(lambda: Runtime([adapter]), jupyter_dirs) as served:
        yield served


@pytest.fixture(params=[False, True], ids=["lenient", "strict"])
def client(server: Served, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """OpenAI's SDK, also with every answer checked against its own types. Tests of another SDK have their own."""
    with OpenAI(
        base_url=f"{server.url}/v1",
        api_key=server.key,
        max_retries=0,
        timeout=20,
        _strict_response_validation=request.param,
    ) as made:
        yield made


@pytest.fixture
def home_server(jupyter_dirs: Path, embedded_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server of the models that are on this machine."""
    monkeypatch.setenv("OSAURUS_HOME", str(embedded_home))
    with serving(None, jupyter_dirs) as served:
        yield served
