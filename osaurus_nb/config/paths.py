"""The folders and files under `$OSAURUS_HOME` (default `~/.osaurus`). Values only; nothing is created here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """Every place we write to. Folders are 0700, files 0600."""

    home: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Paths:
        return cls(Path(env.get("OSAURUS_HOME") or Path.home() / ".osaurus").expanduser().absolute())

    @property
    def models(self) -> Path:
        """One folder for each local model, named by its id."""
        return self.home / "models"

    @property
    def run(self) -> Path:
        """Sockets and locks of model workers."""
        return self.home / "run"

    @property
    def cache(self) -> Path:
        """What can be made again: the BLAS shim, downloads under way."""
        return self.home / "cache"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def providers(self) -> Path:
        """The app's file of remote providers; it never holds a secret."""
        return self.home / "providers" / "remote.json"


def private_dir(path: Path) -> Path:
    """Make `path` and what is missing above it, all 0700, and return it."""
    for parent in (*reversed(path.parents), path):
        if not parent.exists():
            parent.mkdir(mode=0o700, exist_ok=True)
    return path


def write_private(path: Path, data: bytes) -> None:
    """Replace the file at `path` in one step, 0600: a reader sees the old bytes or the new, never half."""
    private_dir(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
