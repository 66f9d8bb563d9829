"""CPU of a request of the same format through other people's gateways, beside ours. Not part of `make bench`.

    python benchmarks/rivals.py [--quick] [--sage-router FOLDER]

LiteLLM's proxy (one worker, no database, logs off) is installed into `.cache/rivals` at the first run, from the
package index that pip is set up for; it is no dependency of ours. Sage Router is a script of one file without
dependencies, but in no package index: name a checkout of its repository and it takes part. Both run as their
documentation says for a single user, one upstream, one key. Each row is the whole process, all threads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from _load import ask, cost, question
from _measure import alternate, arguments, medians, pin, table, verdict
from _stage import ROOT, SMALL_MODEL, Running, endpoint, fast_upstream, home, references

LITELLM = "litellm[proxy]==1.106.2"
KEY = "sk-benchmark"
#: Seconds for a rival to answer for the first time.
PATIENCE = 120.0


@contextmanager
def litellm(upstream: str, folder: Path) -> Iterator[Running]:
    parameters = {"model": "openai/m", "api_base": upstream, "api_key": "none"}
    settings = {
        "model_list": [{"model_name": "m", "litellm_params": parameters}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }
    config = folder / "litellm.yaml"
    config.write_text(json.dumps(settings))  # JSON is YAML
    port = free_port()
    command = [str(installed_litellm()), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_DOCS": "True"}
    with serving(command, port, folder, quiet) as running:
        yield running


def installed_litellm() -> Path:
    folder = ROOT / ".cache/rivals/litellm"
    command = folder / "bin/litellm"
    if not command.exists():
        print(f"Installing {LITELLM} into {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
        subprocess.run([*pip, "--only-binary", ":all:", LITELLM], check=True)
    return command


@contextmanager
def sage_router(upstream: str, folder: Path, checkout: Path) -> Iterator[Running]:
    """It listens on all interfaces; for as long as this runs, without a key it answers nobody."""
    provider = {
        "baseUrl": upstream,
        "apiKey": "none",
        "api": "openai-completions",
        "models": [{"id": "m", "name": "m"}],
    }
    (folder / "openclaw.json").write_text(json.dumps({"models": {"providers": {"bench": provider}}}))
    port = free_port()
    quiet = {
        "SAGE_ROUTER_HOME": str(folder),
        "SAGE_ROUTER_CLIENT_AUTH_REQUIRED": "true",
        "SAGE_ROUTER_CLIENT_API_KEYS": KEY,
        "SAGE_ROUTER_OLLAMA_CLOUD_CATALOG_ENABLED": "0",
        "SAGE_ROUTER_CODEX_OAUTH_ENABLED": "0",
        "SAGE_ROUTER_FIRESTORE_ENABLED": "0",
        "SAGE_ROUTER_DARIO_AUTOSTART": "0",
    }
    command = [sys.executable, str(checkout / "router.py"), "--port", str(port)]
    with serving(command, port, folder, quiet) as running:
        yield running


@contextmanager
def serving(command: Sequence[str], port: int, folder: Path, env: Mapping[str, str]) -> Iterator[Running]:
    """A rival that answers. It sees an empty home and none of our keys; what it says goes to a file."""
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(folder), **env}
    with (
        Path(folder / f"{port}.log").open("wb") as said,
        subprocess.Popen(command, cwd=folder, env=surroundings, stdout=said, stderr=said) as process,
    ):
        try:
            running = Running(process.pid, f"http://127.0.0.1:{port}", KEY)
            wait_for(running, process)
            yield running
        finally:
            process.terminate()


def wait_for(server: Running, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return asyncio.run(ask(server, question("m"), 1, 1))
        except (OSError, asyncio.IncompleteReadError):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"did not start: {process.args!r}") from None
            time.sleep(0.5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def compare(rivals: Mapping[str, tuple[Running, str]], count: int, rounds: int) -> None:
    slow = {"LiteLLM", "Sage Router"}
    turns = {
        name: lambda server=server, model=model, share=(4 if name in slow else 1): [
            cost(server, question(model), count // share)
        ]
        for name, (server, model) in rivals.items()
    }
    taken = {name: medians(runs)[0] for name, runs in alternate(turns, rounds).items()}
    least = taken["J: least gateway"]
    rows = {name: [cpu, cpu / least, cpu / taken["ours, same"]] for name, cpu in taken.items()}
    table("A short question, 16 connections: CPU of the server", ["us a request", "of J", "of ours"], rows)
    for name, goal in (("LiteLLM", 1 / 20), ("Sage Router", 1 / 3)):
        if name in taken:
            verdict(f"ours over {name}", taken["ours, same"] / taken[name], goal)


def main() -> None:
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--sage-router", type=Path)
    found, sys.argv[1:] = own.parse_known_args()
    given = arguments(__doc__, rounds=3)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="osaurus-rivals-")))
        provider = opened.enter_context(fast_upstream())
        others = {"LiteLLM": (opened.enter_context(litellm(provider.url, folder)), "m")}
        if found.sage_router is not None:
            running = opened.enter_context(sage_router(provider.url, folder, found.sage_router.absolute()))
            others["Sage Router"] = (running, "bench/m")
        else:
            print("Sage Router is left out: name a checkout of it with --sage-router.")
        opened.enter_context(home({"chat": provider.url}, model=SMALL_MODEL))
        ours = opened.enter_context(endpoint())
        _, least = opened.enter_context(references(provider.url))
        rivals = {"J: least gateway": (least, "fast"), "ours, same": (ours, "chat/m"), **others}
        for process, core in ((provider.pid, 0), (0, 0), *((server.pid, 1) for server, _ in rivals.values())):
            pin(process, core)
        compare(rivals, 400 if given.quick else 4000, given.rounds)


if __name__ == "__main__":
    main()
