"""A provider on 127.0.0.1 that fails in every way we know of, so that a ladder of fallbacks can be proven. For tests.

    async with FaultyUpstream() as upstream:
        ProviderFile(paths).add("bad", upstream.url)                  # or: osaurus-nb providers add bad URL
        await client.chat("Hi", model="bad/cut", fallbacks=[…])       # the model's name is the fault

The fault is the model's name: one of `FAULTS`, or a status such as `503`, either with options, `429?retry_after=2`.
`python -m osaurus_nb.testing.faulty` serves alone and lists them all. It speaks Chat Completions, Messages and
Responses; any key is good. A `script` gives a name one fault after the other, the last one for ever:
`{"flaky": ["503", "reset", "good"]}`. `refused`, `nowhere` and `untrusted` are addresses of providers that cannot even
be connected to.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Self
from urllib.parse import parse_qsl

from osaurus_nb.testing import loopback_answers
from osaurus_nb.testing.faulty_answers import FAULTS, PIECE, Ask, End, Fault, Step, find, writer_at
from osaurus_nb.testing.loopback import Behaviour, Drop, LoopbackUpstream, Recorded

__all__ = ["FAULTS", "End", "Fault", "FaultyUpstream", "serve"]

#: A provider whose name does not resolve, anywhere (RFC 6761).
NOWHERE = "http://nobody.invalid/v1"


class FaultyUpstream(LoopbackUpstream):
    """`async with FaultyUpstream() as upstream:` fails at `upstream.url` as it is asked to."""

    def __init__(self, script: Mapping[str, Sequence[str]] | None = None, *, port: int = 0) -> None:
        super().__init__(models=(*FAULTS, "503", "429?retry_after=1"), port=port)
        #: What is left of the script.
        self.turns = {name: list(faults) for name, faults in (script or {}).items()}
        self._closed = socket.socket()
        self._plain: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._closed.bind(("127.0.0.1", 0))  # taken, and nobody listens
        self._plain = await asyncio.start_server(_refuse, "127.0.0.1", 0)
        return await super().__aenter__()

    async def __aexit__(self, *_: object) -> None:
        self._closed.close()
        if self._plain is not None:
            self._plain.close()
        await super().__aexit__()

    @property
    def refused(self) -> str:
        """Nobody listens there."""
        return f"http://127.0.0.1:{self._closed.getsockname()[1]}/v1"

    @property
    def nowhere(self) -> str:
        """Its name does not resolve."""
        return NOWHERE

    @property
    def untrusted(self) -> str:
        """Somebody is there who speaks no TLS."""
        assert self._plain is not None
        return f"https://127.0.0.1:{self._plain.sockets[0].getsockname()[1]}/v1"

    def calls(self, model: str) -> list[Recorded]:
        """What was asked of this model, first to last."""
        return [one for one in self.requests if one.method == "POST" and one.json.get("model") == model]

    async def pieces(self, request: Recorded) -> AsyncIterator[bytes | Drop]:
        for step in self._steps(request):
            match step:
                case bytes():
                    yield step
                case float() | int():
                    await asyncio.sleep(step)
                case End.SILENCE:
                    await asyncio.Event().wait()
                case End.HANG_UP:
                    yield Drop.CLOSE
                case End.RESET:
                    yield Drop.RESET

    def _steps(self, request: Recorded) -> Iterable[Step]:
        ask = request.json if request.body else {}
        name, _, query = self._turn(str(ask.get("model", ""))).partition("?")
        writer, play = writer_at(request.path), find(name)
        if request.method == "POST" and writer is not None and play is not None:
            return play(Ask(writer, name, bool(ask.get("stream")), dict(parse_qsl(query))))
        return loopback_answers.answer(f"{request.method} {request.path}", ask, Behaviour(status=404), self.models)

    def _turn(self, model: str) -> str:
        """The fault that it is this model's turn to have."""
        faults = self.turns.get(model)
        if not faults:
            return model
        return faults.pop(0) if len(faults) > 1 else faults[0]


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a server of plain HTTP answers to whoever speaks TLS."""
    await reader.read(PIECE)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def serve(port: int = 0) -> None:
    """Print the URL and the faults, then serve until killed."""
    async with FaultyUpstream(port=port) as upstream:
        rows = [f"  {name:<20} {fault.happens}" for name, fault in FAULTS.items()]
        sys.stdout.write("\n".join((upstream.url, "A model is called as its fault. The provider …", *rows, "")))
        sys.stdout.write("  300 to 599           answers with this status, e.g. 429?retry_after=2\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:2])))
