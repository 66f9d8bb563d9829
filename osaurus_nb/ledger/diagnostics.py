"""What was spent, for somebody who helps: the app's own export, of figures and ids alone. Pure.

Refuses every key under which content could stand, however deep, before there is anything to write. It says less than
the ledger: no notebook, no cell, no key. Of what is not known it says so, with an empty amount.
"""

from __future__ import annotations

import json
import platform
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from osaurus_nb.errors import OsaurusError
from osaurus_nb.ledger.identifiers import identifier
from osaurus_nb.models import ROUTER
from osaurus_nb.spending import Entry, Outcome

VERSION = 1
FORBIDDEN = frozenset({"prompt", "response", "content", "messages", "text", "message"})
_OUTCOMES: Mapping[Outcome | None, str] = {
    None: "pending",
    "rendered": "rendered",
    "tool_only": "toolOnly",
    "reasoning_only": "reasoningOnly",
    "cancelled": "cancelled",
    "error": "error",
    "empty": "empty",
}


class ContentRefused(OsaurusError):
    """Something that may be content was about to be exported. Nothing was."""

    code = "content_refused"


@dataclass(frozen=True, slots=True)
class Machine:
    """Whose figures these are, as far as it helps. `wallet` is the address that pays the Router, if there is one."""

    app_version: str
    os_version: str
    wallet: str | None = None


def here(app_version: str, wallet: str | None = None) -> Machine:
    """This machine: its system and version, and nothing that names it."""
    mac = platform.mac_ver()[0]
    return Machine(app_version, f"macOS {mac}" if mac else f"{platform.system()} {platform.release()}", wallet)


def diagnostics(entries: Iterable[Entry], machine: Machine, at: datetime) -> bytes:
    """The file: all calls, in the order given, but those that were struck. Raises ContentRefused."""
    report = {
        "schemaVersion": VERSION,
        "generatedAt": _iso(at),
        "appVersion": machine.app_version,
        "osVersion": machine.os_version,
        "walletAddress": machine.wallet,
        "entries": [_row(entry, machine.app_version) for entry in entries if entry.kind != "void"],
    }
    refuse_content(report)
    return json.dumps(report, indent=2, ensure_ascii=False).encode() + b"\n"


def refuse_content(value: object, path: Sequence[str] = ()) -> None:
    """Raises ContentRefused, naming the place, where a forbidden key stands anywhere in it, in whatever spelling."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            if str(key).strip().lower() in FORBIDDEN:
                raise ContentRefused(f"'{'.'.join([*path, str(key)])}' may hold content. Nothing was exported.")
            refuse_content(below, [*path, str(key)])
    elif isinstance(value, list | tuple):
        for number, below in enumerate(value):
            refuse_content(below, [*path, str(number)])


def _row(entry: Entry, app_version: str) -> dict[str, Any]:
    cost = entry.cost.micro
    model = entry.answered or entry.model
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"osaurus-nb:{entry.step}:{entry.attempt}")).upper(),
        "requestId": _named(entry.request_id),
        "createdAt": _iso(_moment(entry.at)),
        "sessionId": _named(entry.origin.session),
        "turnId": _named(entry.step),
        "model": identifier(model if entry.provider == ROUTER else f"{entry.provider}/{model}"),
        "tokenSource": entry.token_source,
        "inputTokens": entry.usage.total_input,
        "outputTokens": entry.usage.total_output,
        "costMicro": "" if cost is None else str(cost),
        "status": "pending" if entry.kind == "open" else "completed",
        "outcome": _OUTCOMES[entry.outcome],
        "appVersion": app_version,
    }


def _named(text: str | None) -> str | None:
    return None if text is None else identifier(text)


def _moment(at: float) -> datetime:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, UTC)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
