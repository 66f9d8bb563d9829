"""A clean place in which somebody else's client runs: a home of its own, and nothing of ours in its environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Where `make clients` put them.
CLIENTS = Path(os.environ.get("OSAURUS_CLIENTS") or ROOT / ".cache/clients").absolute()
PYTHON = CLIENTS / "clients/bin"
AIDER = CLIENTS / "aider/bin"
NPM = CLIENTS / "npm/node_modules/.bin"


@dataclass(frozen=True, slots=True)
class Workbench:
    """Where one client runs. `url` is our mount and `key` opens it."""

    folder: Path
    url: str
    key: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def project(self) -> Path:
        """A small git repository, for clients that work on one."""
        return self.folder / "project"

    def prepare(self, files: Mapping[str, str]) -> None:
        """Write the client's settings below its home, with our address in them, and start the repository."""
        for name, text in files.items():
            file = self.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.fill(text))
        self.project.mkdir()
        (self.project / "notes.txt").write_text("nothing yet\n")
        who = ("-c", "user.name=Tester", "-c", "user.email=tester@localhost")
        for step in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "Start")):
            subprocess.run(["git", *step], cwd=self.project, check=True, env=self._environment({}))

    def fill(self, text: str) -> str:
        """Our documentation's own examples, made true here."""
        return text.replace("http://127.0.0.1:1337/osaurus", self.url).replace("osk_live_…", self.key)

    def run(self, program: Path, *arguments: str, env: Mapping[str, str] | None = None, stdin: str = "") -> str:
        """What the client printed. It must be installed, end by itself and be content."""
        assert program.exists(), f"{program} is missing: `make clients` installs it."
        done = subprocess.run(
            [str(program), *map(self.fill, arguments)],
            cwd=self.project,
            env=self._environment(env or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{program.name} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """A search path, a home and what the client is told: no key, proxy or setting of whoever runs the tests."""
        plain = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "OSAURUS_KEY": self.key}
        return plain | {name: self.fill(value) for name, value in more.items()}
