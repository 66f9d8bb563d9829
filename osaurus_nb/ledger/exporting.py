"""The ledger as a file that a colleague can check: every line with its link, a seal below them. Pure; reads no ledger.

JSON Lines in ASCII, one form for each value, so that no byte can change unseen. First an opening, then the lines as the
chain writes them, last a seal: the digest of all above it, signed by the identity where there is one. A link is
`sha256(link before + "\\n" + entry)`, so that anybody can check the chain without this package. Nothing is left out and
nothing is veiled: the ids of notebooks, cells and sessions are in it, for the links vouch for them too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from osaurus_nb.errors import LedgerUnreadable
from osaurus_nb.identity.envelopes import Prefix
from osaurus_nb.ledger.chain import GENESIS, broken_at, canonical
from osaurus_nb.spending import Entry

if TYPE_CHECKING:
    from osaurus_nb.identity.signer import Signer

VERSION = 1
#: What a signature is made with, and what stands before the digest in what is signed.
PREFIX = Prefix.MESSAGE
_PURPOSE = b"osaurus-ledger-export-1:"


def export(
    entries: Sequence[Entry], anchor: str = GENESIS, signer: Signer | None = None, *, at: datetime, app_version: str
) -> bytes:
    """The file. `entries` are all lines, oldest first; `anchor` is the link of the last line that was trimmed.

    Raises LedgerUnreadable where they do not hold together: nobody signs what was altered.
    """
    broken = broken_at(entries, anchor)
    if broken is not None:
        raise LedgerUnreadable(
            f"The ledger's lines do not hold together at line {broken}: it, or one before it, was altered outside of "
            "osaurus-nb. Nothing was exported."
        )
    opening = {
        "osaurus_ledger": VERSION,
        "generated_at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "app_version": app_version,
        "lines": len(entries),
        "anchor": anchor,
        "head": entries[-1].chain if entries else anchor,
    }
    body = b"".join([written(opening), *map(line, entries)])
    return body + written(_seal(digest(body), signer))


def line(entry: Entry) -> bytes:
    """One line of the file. Behind `entry` stands, byte for byte, what its link was made of."""
    return f'{{"seq":{entry.seq},"chain":"{entry.chain}","entry":{canonical(entry)}}}\n'.encode("ascii")


def written(value: Mapping[str, Any]) -> bytes:
    """The one form of an opening or a seal."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def signed(digest: str) -> bytes:
    """What the identity puts its name under; worth nothing for anything else that it signs."""
    return _PURPOSE + digest.encode("ascii")


def _seal(digest: str, signer: Signer | None) -> Mapping[str, Any]:
    if signer is None:
        return {"digest": digest, "address": None, "signature": None}
    signature = signer.sign(PREFIX, signed(digest))
    return {"digest": digest, "address": signer.address, "signature": f"0x{signature.hex()}"}
