"""JSON files that other programs and people also write: read whole or in part, never overwritten while damaged.

What cannot be read as JSON is copied to a new name first; providers that can still be made out in it are given back.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osaurus_nb.config.paths import write_private
from osaurus_nb.errors import ConfigError

_LIST = re.compile(r'"providers"\s*:\s*\[')


@dataclass(slots=True)
class Document:
    """What a file says. `problem` tells what is wrong with it; only a `safe` one may be replaced."""

    content: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None
    safe: bool = True


def read(path: Path) -> Document:
    """The file's object; empty where there is no file. Never raises: what is wrong is told in the document."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Document()
    except OSError as exc:
        return Document(problem=f"{path} cannot be read: {exc.strerror}.", safe=False)
    try:
        content = json.loads(data)
        if not isinstance(content, dict) or not isinstance(content.get("providers", []), list):
            raise ValueError("it has another shape")
    except (ValueError, RecursionError) as exc:
        return _damaged(path, data, exc)
    return Document(content)


def leftovers(*paths: Path) -> list[str]:
    """A sentence for each copy of a damaged file whose place has been taken by a sound one since."""
    return [
        f"{aside.name} is a damaged {path.name} of before. Take from it what is missing, then delete it."
        for path in paths
        for aside in _copies(path)
        if read(path).problem is None
    ]


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file. Raises ConfigError where that cannot be done."""
    try:
        write_private(path, json.dumps(content, indent=2, sort_keys=True).encode() + b"\n")
    except OSError as exc:
        raise ConfigError(f"Cannot write {path}: {exc.strerror}. Nothing was changed.") from exc


def stamp(path: Path) -> tuple[int, ...]:
    """Changes whenever the file may have changed. Cheap."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _damaged(path: Path, data: bytes, fault: Exception) -> Document:
    rows = list(_salvaged(data.decode("utf-8", "replace")))
    where = f"line {fault.lineno}: {fault.msg}" if isinstance(fault, json.JSONDecodeError) else "no object in JSON"
    told = f"{path.name} is damaged ({where})."
    try:
        aside = _set_aside(path, data)
    except OSError as exc:
        return Document({"providers": rows}, f"{told} It could not be copied: {exc.strerror}.", safe=False)
    found = f"{len(rows)} of its entries can still be read" if rows else "nothing in it can be read"
    return Document({"providers": rows} if rows else {}, f"{told} It is kept as {aside.name}; {found}. Repair {path}.")


def _set_aside(path: Path, data: bytes) -> Path:
    """A copy under a new name, so that nothing overwrites it. One for each state that the file was found in."""
    for known in _copies(path):
        with contextlib.suppress(OSError):
            if known.read_bytes() == data:
                return known
    base = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}")
    for number in range(100):
        aside = base if not number else base.with_name(f"{base.name}-{number}")
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            return aside
    raise OSError(0, "too many copies are there already")


def _copies(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.corrupt-*"))


def _salvaged(text: str) -> Iterator[dict[str, Any]]:
    """The entries that are whole, before and behind the damage."""
    start = _LIST.search(text)
    at = text.find("{", start.end()) if start else -1
    decoder = json.JSONDecoder()
    while at >= 0:
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            found, end = None, at + 1
        if isinstance(found, dict) and {"id", "name", "host"} <= found.keys():
            yield found
        else:
            end = at + 1
        at = text.find("{", end)
