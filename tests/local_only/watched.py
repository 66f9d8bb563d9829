"""A process in which every look-up of a name and every connection is written down, and strict questions are asked.

It prints one JSON object: for each question its outcome, who was looked up and what was dialled meanwhile. Names get
their addresses here: no resolver is asked. The proxies that the environment names are there to be passed over.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

seen: dict[str, list[str]] = {"names": [], "dials": []}
#: What our resolver says: one claims to be local and is not, one has both kinds.
ADDRESSES = {"tricky.local": ["93.184.216.34"], "both.local": ["93.184.216.34", "127.0.0.1"]}


def watch(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple):
        seen["dials"].append(str(args[1][0]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and args[0]:
        seen["names"].append(str(args[0]))


def find(host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
    if host is not None:
        sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)
    listed = ADDRESSES.get(str(host), [])
    if not listed:
        try:
            listed = [str(ipaddress.ip_address(str(host)))]
        except ValueError:
            raise socket.gaierror(f"{host} is not known") from None
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in listed]


sys.addaudithook(watch)
socket.getaddrinfo = find

from osaurus_nb import errors  # noqa: E402 - all that these do at import is watched too
from osaurus_nb.assembly import ConfiguredSources, embedded  # noqa: E402
from osaurus_nb.at_home import Home  # noqa: E402
from osaurus_nb.config.paths import Paths  # noqa: E402
from osaurus_nb.config.profiles import ProfileFile  # noqa: E402
from osaurus_nb.config.providers import ProviderFile  # noqa: E402
from osaurus_nb.config.settings import Settings  # noqa: E402
from osaurus_nb.decisions import DecisionRequest, predicate  # noqa: E402
from osaurus_nb.embeddings import EmbeddingRequest  # noqa: E402
from osaurus_nb.events import AttemptStarted, Failed, Fold, Warned  # noqa: E402
from osaurus_nb.local.pull import pull  # noqa: E402
from osaurus_nb.messages import Text, user  # noqa: E402
from osaurus_nb.ports import PLAIN, Terms  # noqa: E402
from osaurus_nb.request import ChatRequest, RouteOptions  # noqa: E402
from osaurus_nb.routing.choosing import Chooser  # noqa: E402
from osaurus_nb.routing.health import Health  # noqa: E402
from osaurus_nb.routing.profiles import Profiles  # noqa: E402
from osaurus_nb.runtime import Runtime  # noqa: E402
from osaurus_nb.testing.loopback import LoopbackUpstream  # noqa: E402

STRICT = Terms(local_only=True)


def question(model: str, *fallbacks: str, mode: Any = "local-strict") -> ChatRequest:
    return ChatRequest(model, (user("hi"),), route=RouteOptions(mode=mode, fallbacks=fallbacks))


async def chat(runtime: Runtime, request: ChatRequest, terms: Terms = PLAIN) -> dict[str, Any]:
    fold, asked, warned = Fold(), list[str](), list[str]()
    async for event in runtime.stream(request, terms):
        if isinstance(event, AttemptStarted):
            asked.append(event.model)
        elif isinstance(event, Warned):
            warned.append(f"{event.code}: {event.message}")
        elif isinstance(event, Failed):
            raise event.error
        fold.add(event)
    return {"text": fold.answer().text, "asked": asked, "warned": warned}


async def told(ask: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    seen["names"].clear()
    seen["dials"].clear()
    try:
        outcome = await asyncio.wait_for(ask(), 20)
    except errors.OsaurusError as error:
        outcome = {"error": error.code, "status": error.status, "said": str(error)}
    return {"outcome": outcome, "names": [*seen["names"]], "dials": [*seen["dials"]]}


async def main(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with LoopbackUpstream(models=("loopback", "gpt-oss:120b-cloud")) as upstream:
        port = upstream.port
        file = ProviderFile(Paths(home))
        file.add("Lab", upstream.url)
        file.add("Cloud", "https://models.example.com/v1")
        file.add("Tricky", f"http://tricky.local:{port}/v1")
        file.add("Both", f"http://both.local:{port}/v1")
        file.add("Mapped", f"http://[::ffff:8.8.8.8]:{port}/v1")
        sources = ConfiguredSources(Settings(Paths(home), router=False))
        runtime = Runtime(sources, chooser=Chooser(Health(), Profiles(ProfileFile(Paths(home)))))
        asked = {
            "chat": lambda: chat(runtime, question("lab/loopback")),
            "terms": lambda: chat(runtime, question("cloud/gpt-5", mode=None), STRICT),
            "fallbacks": lambda: chat(runtime, question("lab/x?status=503", "cloud/gpt-5", "both/loopback")),
            "cloud": lambda: chat(runtime, question("cloud/gpt-5", "lab/loopback")),
            "bare": lambda: chat(runtime, question("gpt-5")),
            "listed": lambda: chat(runtime, question("lab/gpt-oss:120b-cloud")),
            "tricky": lambda: chat(runtime, question("tricky/loopback")),
            "both": lambda: chat(runtime, question("both/loopback")),
            "mapped": lambda: chat(runtime, question("mapped/loopback")),
            "auto": lambda: chat(runtime, question("osaurus/auto")),
            "fusion": lambda: chat(runtime, question("osaurus/fusion")),
            "redirect": lambda: chat(runtime, question("lab/x?status=302")),
            "count": lambda: runtime.count_tokens(question("cloud/gpt-5")),
            "count-tricky": lambda: runtime.count_tokens(question("tricky/loopback")),
            "embed": lambda: runtime.embed(EmbeddingRequest("cloud/e", ("a",)), STRICT),
            "embed-tricky": lambda: runtime.embed(EmbeddingRequest("tricky/e", ("a",)), STRICT),
            "decide": lambda: runtime.decide(decision("cloud/gpt-5"), STRICT),
            "decide-tricky": lambda: runtime.decide(decision("tricky/loopback"), STRICT),
        }
        for name, ask in asked.items():
            found[name] = plain(await told(ask))
        found["breakers"] = [str(each) for each in runtime.health.conditions() if each.provider != "lab"]
        await runtime.aclose()
        os.environ["OSAURUS_LOCAL_ONLY"] = "1"
        found["home"] = await whole(Settings.from_env({"OSAURUS_HOME": str(home), **os.environ}), home)
    return found


async def whole(settings: Settings, home: Path) -> dict[str, Any]:
    """The same with the switch for all."""
    runtime = embedded(settings)
    asked = {
        "models": lambda: names(runtime),
        "status": lambda: states(runtime),
        "test": lambda: runtime.test("cloud"),
        "connect": lambda: runtime.connect("cloud"),
        "chat": lambda: chat(runtime, question("lab/loopback", mode=None)),
        "cloud": lambda: chat(runtime, question("cloud/gpt-5", mode="best")),
        "pull": lambda: asyncio.to_thread(pull, Paths(home)),
    }
    found = {name: plain(await told(ask)) for name, ask in asked.items()}
    # Sources that were made without a word of the switch: the last floor holds all the same.
    lax = Runtime(ConfiguredSources(Settings(Paths(home))))
    found["floor"] = plain(await told(lambda: chat(lax, question("cloud/gpt-5", mode="best"))))
    found["kind"] = isinstance(runtime._directory._sources, Home)
    await lax.aclose()
    await runtime.aclose()
    return found


async def names(runtime: Runtime) -> list[str]:
    return [card.name for card in await runtime.models()]


async def states(runtime: Runtime) -> dict[str, str]:
    return {row.provider: row.state for row in await runtime.status()}


def decision(model: str) -> DecisionRequest:
    return DecisionRequest(model, (Text("a mail"),), (predicate("Is it spam?"),))


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
