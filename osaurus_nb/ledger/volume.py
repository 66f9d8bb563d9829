"""Which file systems cannot share memory between processes, which SQLite's faster journal needs."""

from __future__ import annotations

from pathlib import Path

_SHARED = frozenset(
    {"9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone",
     "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
)  # fmt: skip


def shared(path: Path, mounts: str | None = None) -> bool:
    """Is it on a network? By the system's list of mounts (`/proc/mounts`); no where there is no such list."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(errors="replace")
        except OSError:
            return False
    found = [line.split(" ")[1:3] for line in mounts.splitlines() if line.count(" ") >= 3]
    above = [(place.replace("\\040", " "), kind) for place, kind in found]
    fitting = [(len(place), kind) for place, kind in above if path.is_relative_to(place)]
    # Of two on one place the later one covers the earlier.
    return bool(fitting) and [kind for size, kind in fitting if size == max(fitting)[0]][-1] in _SHARED
