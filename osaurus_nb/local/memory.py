"""Does a model fit into this machine's memory? Counts bytes from file headers; loads nothing.

mlx's own memory limit does not stop an allocation on the CPU (seen 2026-11), so that a model which is too large
would end the worker, or the machine. Hence we count first.
"""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from osaurus_nb.errors import ModelRejected, ModelTooLarge
from osaurus_nb.local.library import LocalModel

Profile = Literal["cpu", "metal", "cuda"]

#: Tokens for which room is asked when the caller names no context: the cache grows as it is used.
DEFAULT_CONTEXT = 4096
_LONGEST_HEADER = 100 << 20  # the limit of the safetensors format itself


def needed(model: LocalModel, *, profile: Profile, context: int | None = None) -> int:
    """Bytes that the weights and the cache of `context` tokens take while the model runs."""
    tokens = context if context is not None else min(DEFAULT_CONTEXT, model.context_length or DEFAULT_CONTEXT)
    if profile == "cpu":
        # Unpacked to float32, while the packed weights are still there.
        return _unpacked_bytes(model) + model.size_bytes + tokens * _cache_values(model.config) * 4
    return model.size_bytes + tokens * _cache_values(model.config) * 2


def available(root: Path = Path("/")) -> int:
    """Bytes that a new process may use now: what is free, or what its control group leaves it if that is less."""
    if sys.platform == "darwin":
        return free_on_macos(_output("vm_stat"))
    return max(0, min(_free_on_linux(root), *_left_in_groups(root), 1 << 62))


def check(model: LocalModel, *, profile: Profile, context: int | None = None, free: int | None = None) -> None:
    """Raise ModelTooLarge when the model needs more memory than there is (`free`, by default `available()`)."""
    need, have = needed(model, profile=profile, context=context), available() if free is None else free
    if need > have:
        raise ModelTooLarge(
            f"{model.id!r} needs about {_gigabytes(need)} of memory and {_gigabytes(have)} are free. "
            "Close other programs, unload another model, or choose a smaller one."
        )


def could_fit(size_bytes: int | None) -> bool | None:
    """Could a model of this size ever run here, with nothing else in memory? None where nobody knows. Cheap."""
    total = _total()
    return None if size_bytes is None or total is None else size_bytes < total


@cache
def _total() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count < 1e10 else f"{count / 1e9:.0f} GB"


def _cache_values(config: Mapping[str, Any]) -> int:
    """Numbers that the cache keeps for one token; 0 when the configuration does not say."""
    inner = config.get("text_config")
    settings = {**config, **inner} if isinstance(inner, dict) else config
    heads = _count(settings, "num_attention_heads")
    size = _count(settings, "head_dim") or _count(settings, "hidden_size") // max(1, heads)
    return 2 * _count(settings, "num_hidden_layers") * (_count(settings, "num_key_value_heads") or heads) * size


def _count(settings: Mapping[str, Any], key: str) -> int:
    value = settings.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def _unpacked_bytes(model: LocalModel) -> int:
    return 4 * sum(
        _weights_in(name, dtype, count, model.config)
        for file in sorted(model.folder.glob("model*.safetensors"))
        for name, dtype, count in _tensors(file, model.id)
    )


def _weights_in(name: str, dtype: str, stored: int, config: Mapping[str, Any]) -> int:
    packed = dtype == "U32" and name.endswith(".weight")
    return stored * 32 // _bits(config, name.removesuffix(".weight")) if packed else stored


def _bits(config: Mapping[str, Any], module: str) -> int:
    packing = config.get("quantization") or config.get("quantization_config") or {}
    own = packing.get(module)
    bits = (own if isinstance(own, dict) else packing).get("bits")
    return bits if isinstance(bits, int) and bits > 0 else 4


def _tensors(file: Path, id: str) -> list[tuple[str, str, int]]:
    """Name, type and number of values of each tensor, from the header of a safetensors file."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(_LONGEST_HEADER, file.stat().st_size):
                raise ValueError("a header longer than its file")
            header = json.loads(stream.read(length))
        return [
            (name, str(info["dtype"]), math.prod(int(side) for side in info["shape"]))
            for name, info in header.items()
            if name != "__metadata__"
        ]
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ModelRejected(f"{id!r} is not loaded: {file.name} has a broken header.") from fault


def _free_on_linux(root: Path) -> int:
    for line in (root / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 1 << 62


def _left_in_groups(root: Path) -> Iterator[int]:
    """What each control group around this process leaves, of either version; page cache counts as free."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _left(root / "sys/fs/cgroup", path, ("memory.max", "memory.current", "inactive_file"))
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _left(root / "sys/fs/cgroup/memory", path, names)


def _left(mount: Path, path: str, names: tuple[str, str, str]) -> Iterator[int]:
    limit_file, used_file, cached = names
    group = mount / path.strip("/")
    # Inside a container the path is that of the host: then only the mount itself exists.
    for place in (group, *group.parents):
        limit, used = _text(place / limit_file).strip(), _text(place / used_file).strip()
        if limit.isdigit() and used.isdigit():
            yield int(limit) - int(used) + _field(_text(place / "memory.stat"), cached)
        if place == mount:
            return


def _field(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # no control groups here, or not ours to see
        return ""


def _output(program: str) -> str:
    return subprocess.run([program], capture_output=True, text=True, check=True, timeout=10).stdout  # noqa: S603


def free_on_macos(report: str) -> int:
    """Free bytes from the words of `vm_stat`: pages that are empty or that the system gives up when asked."""
    first, *lines = report.splitlines()
    page = int(next((word for word in first.split() if word.isdigit()), "4096"))
    counts = {
        name.strip(): int(value.strip(" ."))
        for name, _, value in (line.partition(":") for line in lines if ":" in line)
    }
    given = ("Pages free", "Pages inactive", "Pages speculative", "Pages purgeable")
    return page * sum(counts.get(name, 0) for name in given)
