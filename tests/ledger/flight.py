"""A flight recorder for SQLCipher: a VFS that notes what is written, cut off and synced, and passes it on.

    python tests/ledger/flight.py HOME RECORD SYNCHRONOUS COUNT

Writes COUNT lines into the ledger of HOME, with checkpoints in between, and pickles into RECORD what happened, in
order: `(file, "write", offset, bytes)`, `(file, "cut", size)`, `(file, "sync")`, `("told", step)`.
"""

from __future__ import annotations

import asyncio
import ctypes
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlcipher3._sqlite3 as library

from osaurus_nb.config.paths import Paths
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.secrets import Secrets
from osaurus_nb.spending import Cost, Entry

LINE = Entry("open", "", 1, 1_795_262_400.0, "openai", "gpt-5", "openai/gpt-5", reserved_micro=50)

OPEN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
WRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
CUT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
SYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class Vfs(ctypes.Structure):
    """`sqlite3_vfs`, as far as it concerns us; the other methods are copied as they are."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", OPEN),
        ("others", ctypes.c_void_p * 15),
    )


class Methods(ctypes.Structure):
    """`sqlite3_io_methods`."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("close", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
        ("write", WRITE),
        ("cut", CUT),
        ("sync", SYNC),
        ("others", ctypes.c_void_p * 13),
    )


class Recorder:
    """Registers itself as the VFS of all connections made from now on."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self._kept: list[Any] = []
        sqlite = ctypes.CDLL(library.__file__)
        sqlite.sqlite3_vfs_find.restype = ctypes.POINTER(Vfs)
        self._real = sqlite.sqlite3_vfs_find(None).contents
        self._ours = Vfs.from_buffer_copy(self._real)
        self._ours.name, self._ours.open = b"flight", OPEN(self._open)
        sqlite.sqlite3_vfs_register(ctypes.byref(self._ours), 1)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, told: int | None) -> int:
        code = self._real.open(vfs, name, file, flags, told)
        place = ctypes.c_void_p.from_address(file)
        if code == 0 and place.value and name:
            methods = self._noted(Path(ctypes.string_at(name).decode()).name, Methods.from_address(place.value))
            place.value = ctypes.addressof(methods)
        return int(code)

    def _noted(self, name: str, real: Methods) -> Methods:
        def write(file: int, data: int, size: int, offset: int) -> int:
            self.events.append((name, "write", offset, ctypes.string_at(data, size)))
            return int(real.write(file, data, size, offset))

        def cut(file: int, size: int) -> int:
            self.events.append((name, "cut", size))
            return int(real.cut(file, size))

        def sync(file: int, flags: int) -> int:
            code = int(real.sync(file, flags))
            self.events.append((name, "sync"))
            return code

        ours = Methods.from_buffer_copy(real)
        ours.write, ours.cut, ours.sync = WRITE(write), CUT(cut), SYNC(sync)
        self._kept += [ours, real]
        return ours


async def fly(home: Path, recorder: Recorder, synchronous: str, count: int) -> None:
    ledger = LedgerStore(Paths(home), Secrets(Paths(home), env={"OSAURUS_VAULT_KEY": "5a" * 32}).slots)
    await ledger.open(replace(LINE, step="first"))
    opened = ledger._desk.opened
    assert opened is not None
    opened.connection.execute(f"PRAGMA synchronous = {synchronous}")
    opened.connection.execute("PRAGMA wal_autocheckpoint = 40")
    for number in range(count):
        await ledger.open(replace(LINE, step=f"s{number}"), {"day:x": None})
        recorder.events.append(("told", f"s{number}"))
        ledger.add(replace(LINE, step=f"s{number}", kind="settle", cost=Cost(30, "table")))
    recorder.events.append(("end",))
    await ledger.aclose()


if __name__ == "__main__":
    flight = Recorder()
    asyncio.run(fly(Path(sys.argv[1]), flight, sys.argv[3], int(sys.argv[4])))
    Path(sys.argv[2]).write_bytes(pickle.dumps(flight.events))
