"""Which file systems cannot share memory between processes, which SQLite's faster journal needs."""

from __future__ import annotations

from pathlib import Path

_SHARED = frozenset(
    {"9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone",
     "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
)  # fmt: skip
_SPACE = "\\040"


def shared(path: Path, mounts: str | None = None) -> bool:
    """Is it on a network? By the system's list of mounts (`/proc/mounts`); no where there is no such list."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(errors="replace")
        except OSError:
            return False
    name, kind, longest = f"{path}/", "", -1
    for line in mounts.splitlines():
        place, held = [*line.split(" "), "", "", ""][1:3]
        above = f"{place.replace(_SPACE, ' ').rstrip('/')}/"
        if name.startswith(above) and len(above) >= longest:  # of two on one place the later covers the earlier
            kind, longest = held, len(above)
    return kind in _SHARED
