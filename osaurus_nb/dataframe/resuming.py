"""Answers that were paid for, in a file that the user names: a line each, appended as they come, for him alone (0600).

A row is known again by a digest of the model, the question and every option. The file holds answers in plain text: it
is written only on request. A torn last line, as a crash leaves one, is passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from osaurus_nb.dataframe.result import Row
from osaurus_nb.errors import ConfigError
from osaurus_nb.messages import Media, Part
from osaurus_nb.models import Usage
from osaurus_nb.request import ChatRequest
from osaurus_nb.spending import Cost

_HEAD = {"osaurus": "map", "version": 1}


def digest(request: ChatRequest) -> str:
    """Of all that an answer depends on."""
    route = request.route
    said: list[Any] = [
        request.model,
        [[message.role, [_said(part) for part in message.parts]] for message in request.messages],
        asdict(request.sampling),
        asdict(request.response_format) if request.response_format is not None else None,
        [request.reasoning_effort, route.mode, route.profile, list(route.fallbacks), dict(request.extra)],
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=repr).encode()).hexdigest()[:32]


def _said(part: Part) -> Any:
    if isinstance(part, Media):
        return [part.kind, part.url, hashlib.sha256(part.data or b"").hexdigest()]
    return [type(part).__name__, getattr(part, "text", None), getattr(part, "arguments", None)]


class ResumeFile:
    """Open while the map runs. The same question asked for two rows has two answers, taken in order."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser()
        self._known: dict[str, deque[tuple[str, Row]]] = defaultdict(deque)
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open(
                self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600
            )
            os.chmod(self._path, 0o600)  # noqa: PTH101 - what was there may have been open to others
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            self.__exit__()
            raise ConfigError(f"'{self._path.name}' cannot be used to resume: {error.strerror}.") from None
        if not text:
            self._write(_HEAD)
        elif not text.startswith(json.dumps(_HEAD)[:-1]):
            self.__exit__()
            raise ConfigError(f"'{self._path.name}' is no file of a map; name a new one.")
        elif not text.endswith("\n"):
            os.write(self._descriptor, b"\n")
        for key, answer in _rows(text):
            self._known[key].append(answer)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def take(self, key: str) -> tuple[str, Row] | None:
        """An answer to this question from before: its text, and the row without its value."""
        known = self._known.get(key)
        return known.popleft() if known else None

    def keep(self, key: str, text: str, row: Row) -> None:
        """Written at once, so that it is not paid for again. Raises OSError."""
        cost, usage = row.cost, row.usage
        self._write(
            {
                "row": key,
                "text": text,
                "model": row.model,
                "usage": asdict(usage) if usage is not None else None,
                "cost": [cost.micro, cost.source] if cost is not None else None,
            }
        )

    def _write(self, line: object) -> None:
        os.write(self._descriptor, f"{json.dumps(line)}\n".encode())


def _rows(text: str) -> Iterator[tuple[str, tuple[str, Row]]]:
    for line in text.splitlines()[1:]:
        try:
            said = json.loads(line)
            usage, cost = said["usage"], said["cost"]
            row = Row(
                usage=Usage(**usage) if usage else None,
                cost=Cost(cost[0], cost[1]) if cost else None,
                model=str(said["model"]),
                kept=True,
            )
            yield str(said["row"]), (str(said["text"]), row)
        except (ValueError, TypeError, KeyError, LookupError):
            continue
