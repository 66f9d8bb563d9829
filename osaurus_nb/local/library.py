"""Which models lie on the disk. Reads configuration and file names only; never opens weights, never runs code.

A folder is refused, with its reason, when loading it could run somebody's code (`model_file`, `auto_map`,
pickles, Python files) or read outside the models directory.
"""

from __future__ import annotations

import difflib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osaurus_nb.errors import ModelNotFound, ModelRejected

#: Architectures that turn texts into vectors instead of carrying them on.
_ENCODERS = frozenset({"bert"})
#: Files whose loading can run code, by suffix.
_UNSAFE = {
    ".bin": "pickled weights",
    ".ckpt": "pickled weights",
    ".npz": "weights that may be pickled",
    ".npy": "weights that may be pickled",
    ".pickle": "pickled weights",
    ".pkl": "pickled weights",
    ".pt": "pickled weights",
    ".pth": "pickled weights",
    ".py": "Python code",
    ".pyc": "Python code",
    ".so": "native code",
}
#: A configuration larger than this is no configuration.
_LONGEST_CONFIG = 32 << 20
_ALLOWED_IN_ID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+:@=, ()")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model folder that passed inspection. `size_bytes` is that of its weights on disk."""

    id: str
    folder: Path
    size_bytes: int
    context_length: int | None
    architecture: str
    config: Mapping[str, Any] = field(repr=False)

    @property
    def encodes(self) -> bool:
        """Does it make embeddings? Then it cannot chat."""
        return self.architecture in _ENCODERS


def inspect(folder: Path, *, id: str | None = None) -> LocalModel:
    """The model in `folder`, or ModelRejected with the reason why it is not loaded."""
    name = id or folder.name
    try:
        return _inspect(folder, name)
    except OSError as fault:
        raise ModelRejected(f"{name!r} is not loaded: its folder cannot be read ({fault.strerror}).") from fault


def _inspect(folder: Path, name: str) -> LocalModel:
    files = _files(folder, name)
    config = _config(folder, name, files)
    weights = [file for file in files if file.parent == folder and file.match("model*.safetensors")]
    if not weights:
        raise ModelRejected(f"{name!r} has no weights: no model*.safetensors file in {folder}.")
    return LocalModel(
        id=name,
        folder=folder,
        size_bytes=sum(file.stat().st_size for file in weights),
        context_length=_context_length(config),
        architecture=str(config["model_type"]),
        config=config,
    )


class Library:
    """The models under one directory: `model/` or `org/model/`. What is refused is listed apart, with its reason."""

    def __init__(self, models_dir: Path) -> None:
        self._root = models_dir

    def list(self) -> list[LocalModel]:
        """Every model that may be loaded, by id."""
        return [found for found in self._walk() if isinstance(found, LocalModel)]

    def rejected(self) -> dict[str, str]:
        """Ids of the folders that are not loaded, and why."""
        return dict(found for found in self._walk() if isinstance(found, tuple))

    def find(self, id: str) -> LocalModel:
        """The model of exactly this id. Raises ModelNotFound with near matches, or ModelRejected."""
        parts = components(id)
        folder = self._root.joinpath(*parts) if parts else None
        if folder is None or not self._spelt_so(parts) or not _is_model(folder):
            raise self._not_found(id)
        if not _inside(folder, self._root):
            raise ModelRejected(f"{id!r} is a link to a folder outside {self._root}; it is not loaded.")
        return inspect(folder, id=id)

    def _walk(self) -> Iterator[LocalModel | tuple[str, str]]:
        for id, folder in sorted(self._folders()):
            try:
                yield self.find(id)
            except ModelRejected as refused:
                yield id, refused.message
            except ModelNotFound:
                yield id, f"{folder.name!r} is not a name that a model can have."

    def _folders(self) -> Iterator[tuple[str, Path]]:
        for folder in _subfolders(self._root):
            if _is_model(folder):
                yield folder.name, folder
            elif not folder.is_symlink():
                inner = (child for child in _subfolders(folder) if _is_model(child))
                yield from ((f"{folder.name}/{child.name}", child) for child in inner)

    def _spelt_so(self, parts: tuple[str, ...]) -> bool:
        """Is each part a name in its directory, letter by letter? Disks that fold case would say yes too often."""
        folder = self._root
        for part in parts:
            if part not in {child.name for child in _subfolders(folder)}:
                return False
            folder = folder / part
        return True

    def _not_found(self, id: str) -> ModelNotFound:
        known = [name for name, _ in sorted(self._folders())]
        near = difflib.get_close_matches(id[:200], known, n=3, cutoff=0.4)
        hint = f" Near: {', '.join(near)}." if near else ""
        return ModelNotFound(f"No local model {id[:200]!r}.{hint}", near=near)


def components(id: str) -> tuple[str, ...]:
    """The folder names that an id spells; none when it could mean a place outside the models directory."""
    parts = tuple(id.split("/"))
    sound = all(part and part.strip() == part and not part.startswith((".", "~")) for part in parts)
    plain = all(letter in _ALLOWED_IN_ID for part in parts for letter in part)
    return parts if len(parts) <= 2 and sound and plain and len(id) <= 200 else ()


def _subfolders(folder: Path) -> list[Path]:
    try:
        return [child for child in folder.iterdir() if not child.name.startswith(".") and child.is_dir()]
    except OSError:  # not there yet, or not ours to read: no models
        return []


def _is_model(folder: Path) -> bool:
    """Does it look like a model, good or bad? An empty folder or an organisation does not."""
    try:
        return any(not entry.is_dir() for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError:
        return False


def _inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _files(folder: Path, name: str) -> list[Path]:
    """All files below `folder`. Raises for links that leave it, for code and for what is not a plain file."""
    found = []
    for place, folders, names in os.walk(folder):
        for entry in (*folders, *names):
            path = Path(place, entry)
            if path.is_symlink() and not _inside(path, folder):
                raise ModelRejected(f"{name!r} is not loaded: {entry} is a link that leaves its folder.")
        for entry in names:
            path = Path(place, entry)
            _refuse_unsafe(path, name)
            found.append(path)
    return found


def _refuse_unsafe(path: Path, name: str) -> None:
    kind = _UNSAFE.get(path.suffix.lower())
    if kind is not None:
        raise ModelRejected(f"{name!r} is not loaded: it holds {kind} ({path.name}); only safetensors are read.")
    if not stat.S_ISREG(path.stat().st_mode):
        raise ModelRejected(f"{name!r} is not loaded: {path.name} is not a plain file.")


def _config(folder: Path, name: str, files: list[Path]) -> Mapping[str, Any]:
    if folder / "config.json" not in files:
        raise ModelRejected(f"{name!r} is not loaded: no config.json in {folder}.")
    config = _json(folder / "config.json", name)
    _refuse_code(config, name, "config.json")
    for file in files:
        if file.suffix == ".json" and file.parent == folder and file.name.endswith("_config.json"):
            _refuse_code(_json(file, name), name, file.name)
    if not isinstance(config.get("model_type"), str):
        raise ModelRejected(f"{name!r} is not loaded: config.json names no model_type.")
    return config


def _refuse_code(config: Mapping[str, Any], name: str, file: str) -> None:
    for key in ("model_file", "auto_map"):
        if config.get(key):
            raise ModelRejected(f"{name!r} is not loaded: {file} asks to run code of its own ({key}).")


def _json(file: Path, name: str) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > _LONGEST_CONFIG:
            raise ModelRejected(f"{name!r} is not loaded: {file.name} is too long.")
        value = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as fault:
        raise ModelRejected(f"{name!r} is not loaded: {file.name} is not JSON.") from fault
    if not isinstance(value, dict):
        raise ModelRejected(f"{name!r} is not loaded: {file.name} is not a JSON object.")
    return value


def _context_length(config: Mapping[str, Any]) -> int | None:
    inner = config.get("text_config")
    for place in (config, inner if isinstance(inner, dict) else {}):
        length = place.get("max_position_embeddings")
        if isinstance(length, int) and not isinstance(length, bool) and length > 0:
            return length
    return None
