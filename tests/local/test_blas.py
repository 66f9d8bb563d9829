"""The fast BLAS is put under mlx where that can be done, and nothing happens where it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="mlx brings a fast BLAS elsewhere")

_PRODUCT = """
import json, sys
from pathlib import Path
from osaurus_nb.local import blas
if "early" in sys.argv:
    import mlx.core
status = blas.install(Path(sys.argv[1]))
import mlx.core as mx, numpy as np
a, b = mx.random.normal((512, 512)), mx.random.normal((512, 512))
c = mx.random.normal((64, 64)) + 1j * mx.random.normal((64, 64))
mx.eval(a @ b, c @ c)
same = np.allclose(np.array(a @ b), np.array(a) @ np.array(b), atol=1e-3)
same &= np.allclose(np.array(c @ c), np.array(c) @ np.array(c), atol=1e-3)
print(json.dumps({"fast": status.fast, "reason": status.reason, "same": bool(same)}))
"""


def product(cache: Path, *words: str, **env: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", _PRODUCT, str(cache), *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | env,
    )
    return json.loads(done.stdout)


@linux
def test_products_are_right_either_way(tmp_path: Path):
    """With the shim and without it mlx computes what numpy computes."""
    slow, fast = product(tmp_path, "early"), product(tmp_path)

    assert (slow["fast"], fast["fast"]) == (False, True), fast["reason"]
    assert slow["same"]
    assert fast["same"]


@linux
def test_second_process_compiles_nothing(tmp_path: Path):
    """The library lies in the cache, for us alone; without a compiler it is still used."""
    product(tmp_path / "cache")

    again = product(tmp_path / "cache", PATH="/nowhere")

    (file,) = (tmp_path / "cache").iterdir()
    assert again["fast"]
    assert file.stat().st_mode & 0o077 == 0
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


@linux
def test_broken_cache_is_made_again(tmp_path: Path):
    """A library that was cut short is replaced."""
    product(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])

    assert product(tmp_path)["fast"]


@linux
def test_without_a_compiler_nothing_happens(tmp_path: Path):
    """The products are slower then, and right; the status says why."""
    found = product(tmp_path, PATH="/nowhere")

    assert (found["fast"], found["same"]) == (False, True)
    assert "no compiler" in str(found["reason"])


@linux
def test_too_late_is_said(tmp_path: Path):
    """After mlx was imported nothing can be done, and nothing is compiled."""
    found = product(tmp_path, "early")

    assert found["reason"] == "mlx was imported before"
    assert list(tmp_path.iterdir()) == []


@linux
def test_folder_that_others_may_write_is_not_trusted(tmp_path: Path):
    """A library is code: it is not loaded from where somebody else could have put it."""
    tmp_path.chmod(0o777)

    found = product(tmp_path)

    assert (found["fast"], found["same"]) == (False, True)
    assert "others may write" in str(found["reason"])


@linux
def test_folder_that_cannot_be_made_is_no_error(tmp_path: Path):
    """It never raises."""
    (tmp_path / "file").write_text("")

    assert product(tmp_path / "file" / "cache")["fast"] is False
