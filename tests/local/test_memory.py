"""A model is weighed before it is loaded."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from osaurus_nb.errors import ModelRejected, ModelTooLarge
from osaurus_nb.local import memory
from osaurus_nb.local.library import LocalModel, inspect

_PARAMETERS = 90_624  # of the tiny model, counted by hand


@pytest.fixture
def model(tiny_model: Path) -> LocalModel:
    return inspect(tiny_model)


def test_parameters_of_the_tiny_model(model: LocalModel):
    """The figure that the other tests lean on is the size of the file."""
    assert 4 * _PARAMETERS < model.size_bytes < 4 * _PARAMETERS + 4000


def test_cpu_needs_floats_and_a_cache_of_floats(model: LocalModel):
    """Weights as float32 beside the file's own, and two layers of two heads of 16 for keys and values."""
    need = memory.needed(model, profile="cpu", context=100)

    assert need == 4 * _PARAMETERS + model.size_bytes + 100 * (2 * 2 * 2 * 16) * 4


def test_metal_needs_the_weights_as_they_lie(model: LocalModel):
    """There the weights stay packed and the cache has half the size."""
    assert memory.needed(model, profile="metal", context=100) == model.size_bytes + 100 * 128 * 2


def test_window_bounds_the_default_context(model: LocalModel):
    """Without a wish, room is asked for the model's window at most."""
    assert memory.needed(model, profile="cpu") == memory.needed(model, profile="cpu", context=2048)


def test_too_large_names_both_figures_and_a_way_out(model: LocalModel):
    """The sentence says what is needed, what there is, and what to do."""
    big = replace(model, size_bytes=7_300_000_000)

    with pytest.raises(ModelTooLarge, match=r"needs about 7\.30 GB of memory and 2\.00 GB are free\. Close"):
        memory.check(big, profile="metal", free=2_000_000_000)


def test_what_fits_is_let_through(model: LocalModel):
    """The real machine has room for 400 KB."""
    memory.check(model, profile="cpu")


@pytest.mark.parametrize(
    "header", [b"", b"\xff" * 8, b"\x02" + b"\0" * 7 + b"{}", b"\x10" + b"\0" * 7 + b'{"a": {"x": 1}}  ']
)
def test_broken_weights_are_refused_not_guessed(header: bytes, tmp_path: Path, model: LocalModel):
    """A header that does not add up is a refusal; one without tensors weighs nothing."""
    (tmp_path / "model.safetensors").write_bytes(header)
    broken = replace(model, folder=tmp_path)

    if header.endswith(b"{}"):
        assert memory.needed(broken, profile="cpu", context=0) == broken.size_bytes
    else:
        with pytest.raises(ModelRejected, match="broken header"):
            memory.needed(broken, profile="cpu")


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


_MEMINFO = "MemTotal: 999999 kB\nMemAvailable:    8000 kB\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_free_memory_is_what_linux_says(tmp_path: Path):
    """Without control groups, what the kernel calls available counts."""
    assert memory.available(tree(tmp_path, {"proc/meminfo": _MEMINFO})) == 8000 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_control_group_of_version_2_bounds_it(tmp_path: Path):
    """The narrowest group on the way up wins; page cache counts as free."""
    group = "sys/fs/cgroup/user/job"
    files = {
        "proc/meminfo": _MEMINFO,
        "proc/self/cgroup": "0::/user/job\n",
        f"{group}/memory.max": "max\n",
        f"{group}/memory.current": "5\n",
        "sys/fs/cgroup/user/memory.max": "1000000\n",
        "sys/fs/cgroup/user/memory.current": "900000\n",
        "sys/fs/cgroup/user/memory.stat": "anon 5\ninactive_file 50000\n",
    }

    assert memory.available(tree(tmp_path, files)) == 150_000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_control_group_of_version_1_bounds_it(tmp_path: Path):
    """Inside a container the group's own path is not there; its mount is."""
    files = {
        "proc/meminfo": _MEMINFO,
        "proc/self/cgroup": "4:memory:/docker/abc\n0::/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "700000",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 1000\n",
    }

    assert memory.available(tree(tmp_path, files)) == 201_000


def test_free_pages_of_macos_are_counted():
    """Pages that the system gives up when asked are free, in pages of the size that the report names."""
    report = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free:  100.\n"
        "Pages active:  900.\nPages inactive:  50.\nPages speculative:  7.\nPages purgeable:  3.\n"
    )

    assert memory.free_on_macos(report) == 160 * 16384


def test_counting_loads_no_mlx():
    """The Jupyter server may weigh a model."""
    code = "import sys, osaurus_nb.local.memory as m; m.available(); assert not {'mlx', 'numpy'} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
