"""Where the files of a worker are: its socket, its locks, its token, its log. No mlx here.

The socket's path must be short (the system's limit is about 100 bytes) and its folder ours alone. When the home is too
deep, or cannot be written, every process of the user finds the same private folder under /tmp instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from osaurus_nb.config.paths import Paths, private_dir, write_private
from osaurus_nb.errors import ConfigError
from osaurus_nb.local.protocol import VERSION

#: sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included.
LONGEST_SOCKET_PATH = 100
_LONGEST_NAME = len("/w-0123456789abcdef.token")


@dataclass(frozen=True, slots=True)
class Place:
    """The files of the worker for one model folder."""

    folder: Path
    stem: str
    log: Path

    @property
    def socket(self) -> Path:
        return self.folder / f"{self.stem}.sock"

    @property
    def token(self) -> Path:
        """Written by the worker before it listens: its pid and what a client must show."""
        return self.folder / f"{self.stem}.token"

    @property
    def life(self) -> Path:
        """Locked by the worker as long as it lives."""
        return self.folder / f"{self.stem}.life"

    @property
    def start(self) -> Path:
        """Locked by the client that starts the worker."""
        return self.folder / f"{self.stem}.start"


@dataclass(frozen=True, slots=True)
class Badge:
    """What the token file says."""

    pid: int
    token: str

    def __repr__(self) -> str:
        return f"Badge(pid={self.pid})"


def place_for(model_id: str, model_folder: Path, paths: Paths) -> Place:
    """The place of the worker for this model: the same in every process of this user."""
    folder = run_folder(paths)
    key = f"{VERSION}\0{model_folder.resolve()}"
    stem = f"w-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    logs = paths.logs if usable(paths.logs) else folder
    return Place(folder, stem, logs / f"worker-{re.sub(r'[^A-Za-z0-9.-]+', '-', model_id)[:80]}.log")


def run_folder(paths: Paths) -> Path:
    """A private folder that we can write, with a path short enough for sockets. Raises ConfigError without one."""
    short = f"osaurus-{os.getuid()}-{hashlib.sha256(str(paths.home).encode()).hexdigest()[:8]}"
    for folder in (paths.run, Path("/tmp", short), Path(tempfile.gettempdir(), short)):  # noqa: S108 - checked to be ours
        if len(os.fsencode(folder)) + _LONGEST_NAME <= LONGEST_SOCKET_PATH and usable(folder):
            return folder
    raise ConfigError(f"No private folder for sockets: neither {paths.run} nor one under /tmp can be used.")


def read_badge(place: Place) -> Badge | None:
    """The worker's pid and token, or None when none is there."""
    try:
        value = json.loads(place.token.read_bytes())
        return Badge(int(value["pid"]), str(value["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_badge(place: Place) -> Badge:
    """A fresh token for this process, in its private file."""
    badge = Badge(os.getpid(), secrets.token_urlsafe(24))
    write_private(place.token, json.dumps({"pid": badge.pid, "token": badge.token}).encode())
    return badge


class FileLock:
    """A lock that the system frees when its holder ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take it if it is free; False when another process, or another lock of this one, holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def free(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(path: Path) -> bool:
    """Does anybody hold this lock?"""
    if not path.exists():
        return False
    lock = FileLock(path)
    taken = lock.take()
    lock.free()
    return not taken


def usable(folder: Path) -> bool:
    """Is it ours alone, and writable? It is made if it can be; one of ours that others may enter is closed to them."""
    with suppress(OSError):
        private_dir(folder)
        status = folder.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
            if status.st_mode & 0o077:
                folder.chmod(0o700)
            return os.access(folder, os.W_OK | os.X_OK)
    return False
