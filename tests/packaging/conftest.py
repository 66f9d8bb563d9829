"""Builds the distribution once and installs it into an environment of its own, without the network."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Environment:
    """A clean virtual environment that holds only the wheel; its dependencies are borrowed from ours."""

    prefix: Path
    outside: Path

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's programs outside the source tree."""
        program, *arguments = command
        return subprocess.run(
            [str(self.prefix / "bin" / program), *arguments],
            cwd=self.outside,
            env=self._variables(os.environ),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def _variables(self, ours: Mapping[str, str]) -> dict[str, str]:
        mine = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "OSAURUS_HOME")
        kept = {name: value for name, value in ours.items() if not name.startswith(("PYTHON", "JUPYTER", "OSAURUS"))}
        return kept | {name: str(self.outside / name.lower()) for name in mine} | {"NO_COLOR": "1"}


def build(source: Path, kind: str, into: Path) -> Path:
    """The one file that the build backend makes of `source`: a wheel or an sdist."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder inside the sdist."""
    into = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (folder,) = into.iterdir()
    return folder


@pytest.fixture(scope="session")
def wheel_of_sdist(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(unpacked, "wheel", tmp_path_factory.mktemp("wheel-of-sdist"))


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    prefix = tmp_path_factory.mktemp("environment")
    venv.create(prefix, with_pip=False, symlinks=True)
    (site,) = prefix.glob("lib/python*/site-packages")
    # A folder named by a .pth file is searched, but its own .pth files are not read: our editable install stays out.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(prefix / "bin" / "python")]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    return Environment(prefix, outside=tmp_path_factory.mktemp("outside"))
