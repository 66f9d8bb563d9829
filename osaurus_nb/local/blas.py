"""A faster BLAS for mlx on Linux, where its wheel brings the reference one. Never raises; says what it did.

mlx imports three functions by name (`cblas_sgemm`, `cblas_dgemm`, `cblas_cgemm`); a library that is loaded for
all to see before `import mlx.core` wins over its own. We compile a few lines that forward to the OpenBLAS inside
numpy's wheel, which has the same functions under other names and with 64-bit sizes: 4 to 200 GFLOP/s and more.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import platform
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from osaurus_nb.config.paths import private_dir

_SOURCE = """\
typedef long long wide;
void (*p_s)(int, int, int, wide, wide, wide, float, const void *, wide, const void *, wide, float, void *, wide);
void (*p_d)(int, int, int, wide, wide, wide, double, const void *, wide, const void *, wide, double, void *, wide);
void (*p_c)(int, int, int, wide, wide, wide, const void *, const void *, wide, const void *, wide, const void *, void *,
            wide);
void (*p_threads)(int);
int few = 1, many = 1;

/* Threads wait for each other by spinning: on a busy machine that costs a small product ten times what it gains. */
static void share(wide work) {
    static int now;
    int wanted = work < (1 << 26) ? few : many;
    if (wanted != now) p_threads(now = wanted);
}
void cblas_sgemm(int o, int ta, int tb, int m, int n, int k, float al, const void *a, int la, const void *b, int lb,
                 float be, void *c, int lc) {
    share((wide)m * n * k);
    p_s(o, ta, tb, m, n, k, al, a, la, b, lb, be, c, lc);
}
void cblas_dgemm(int o, int ta, int tb, int m, int n, int k, double al, const void *a, int la, const void *b, int lb,
                 double be, void *c, int lc) {
    share((wide)m * n * k);
    p_d(o, ta, tb, m, n, k, al, a, la, b, lb, be, c, lc);
}
void cblas_cgemm(int o, int ta, int tb, int m, int n, int k, const void *al, const void *a, int la, const void *b,
                 int lb, const void *be, void *c, int lc) {
    share((wide)m * n * k);
    p_c(o, ta, tb, m, n, k, al, a, la, b, lb, be, c, lc);
}
"""
#: Our pointers, and the function of OpenBLAS that each is set to.
_TARGETS = {
    "p_s": "scipy_cblas_sgemm64_",
    "p_d": "scipy_cblas_dgemm64_",
    "p_c": "scipy_cblas_cgemm64_",
    "p_threads": "scipy_openblas_set_num_threads64_",
}
_COMPILERS = ("cc", "gcc", "clang", "g++")


@dataclass(frozen=True, slots=True)
class BlasStatus:
    """Is the fast BLAS in place, and if not, why."""

    fast: bool
    reason: str


def install(cache_dir: Path) -> BlasStatus:
    """Put the fast BLAS under mlx, in this process, if that can be done. Call it before mlx is imported."""
    if sys.platform != "linux":
        return BlasStatus(sys.platform == "darwin", "mlx brings the BLAS of this platform")
    if "mlx.core" in sys.modules:
        return BlasStatus(False, "mlx was imported before")
    library = _openblas()
    if library is None:
        return BlasStatus(False, "numpy brings no OpenBLAS that fits")
    try:
        return _connect(library, cache_dir)
    except (OSError, AttributeError, ValueError, subprocess.SubprocessError) as fault:
        return BlasStatus(False, f"the shim could not be made: {type(fault).__name__}")


def _openblas() -> Path | None:
    numpy = importlib.util.find_spec("numpy")
    if numpy is None or numpy.origin is None:
        return None
    libraries = Path(numpy.origin).parent.parent / "numpy.libs"
    return next(iter(sorted(libraries.glob("libscipy_openblas64_*.so*"))), None)


def _connect(library: Path, cache_dir: Path) -> BlasStatus:
    openblas = ctypes.CDLL(str(library))
    addresses = {ours: ctypes.cast(getattr(openblas, theirs), ctypes.c_void_p) for ours, theirs in _TARGETS.items()}
    file = cache_dir / f"blas-{hashlib.sha256(_SOURCE.encode()).hexdigest()[:16]}-{platform.machine()}.so"
    if not (_ours(private_dir(cache_dir)) and (not file.exists() or _ours(file))):
        return BlasStatus(False, f"others may write to {cache_dir}")
    shim = _load(file)
    if shim is None:
        return BlasStatus(False, f"no compiler ({', '.join(_COMPILERS)}) was found")
    for ours, address in addresses.items():
        ctypes.c_void_p.in_dll(shim, ours).value = address.value
    threads = openblas.scipy_openblas_get_num_threads64_()
    ctypes.c_int.in_dll(shim, "many").value = threads
    ctypes.c_int.in_dll(shim, "few").value = max(1, threads // 2)  # the other half is left to the other programs
    return BlasStatus(True, f"matrix products run on {library.name}")


def _load(file: Path) -> ctypes.CDLL | None:
    """The compiled shim, visible to every library loaded from now on. A cached file that is broken is made again."""
    if file.exists():
        try:
            return ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
        except OSError:  # cut short, or for another machine
            file.unlink()
    return ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL) if _compile(file) else None


def _compile(file: Path) -> bool:
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        return False
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        command = [compiler, "-x", "c", "-O2", "-shared", "-fPIC", "-o", str(draft), "-"]
        subprocess.run(command, input=_SOURCE.encode(), capture_output=True, check=True, timeout=60)  # noqa: S603
        draft.chmod(0o600)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _ours(path: Path) -> bool:
    """Only we may write there: what lies there is loaded as code."""
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022
