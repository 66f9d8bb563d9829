"""On which line each key of a JSON text stands. Pure; for texts that were read as JSON before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

Place = tuple[str | int, ...]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def lines(text: str) -> dict[Place, int]:
    """The line of every key and of every item of a list, by the way to it. Of a key that stands twice, the last."""
    return dict(_walk(text))


def _walk(text: str) -> Iterator[tuple[Place, int]]:
    way: list[str | int] = []
    key, line, seen = True, 1, 0
    for found in _TOKEN.finditer(text):
        token, line, seen = found[0], line + text.count("\n", seen, found.start()), found.start()
        if way and token not in ("}", "]", ":", ","):
            if isinstance(way[-1], int):
                yield tuple(way), line
            elif key:
                way[-1], key = str(json.loads(token)), False
                yield tuple(way), line
                continue
        match token:
            case "{":
                way.append("")
                key = True
            case "[":
                way.append(0)
            case "}" | "]":
                way.pop()
            case ",":
                if isinstance(way[-1], int):
                    way[-1] += 1
                else:
                    key = True
