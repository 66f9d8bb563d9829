"""The app's table of what the Router billed, written as the app writes it."""

from __future__ import annotations

import uuid
from typing import Any

from osaurus_nb.spending import Entry

_OUTCOMES = {
    None: "pending",
    "rendered": "rendered",
    "tool_only": "toolOnly",
    "reasoning_only": "reasoningOnly",
    "cancelled": "cancelled",
    "error": "error",
    "empty": "empty",
}
_TRIMMED = 16


class RouterTable:
    """One row for each request id: what is told again takes the new figures and keeps its id, age and final outcome."""

    def __init__(self, connection: Any) -> None:
        self._db = connection
        # An older app's table lacks the column, and is the app's to change.
        self._known = any(
            column[1] == "request_id" for column in connection.execute("PRAGMA table_info(router_billing)")
        )

    def write(self, entry: Entry, rows: int, oldest: float) -> None:
        request_id = (entry.request_id or "").strip()
        if not (self._known and request_id):
            return
        values = {
            "request_id": request_id,
            "session_id": entry.origin.session,
            "turn_id": entry.step,
            "model": entry.answered or entry.model,
            "token_source": entry.token_source,
            "input_tokens": entry.usage.total_input,
            "output_tokens": entry.usage.total_output,
            "cost_micro": str(entry.cost.micro or 0),
            "outcome": _OUTCOMES.get(entry.outcome, "pending"),
        }
        found = self._db.execute("SELECT entry_id FROM router_billing WHERE request_id = ?", (request_id,))
        kept = found.fetchone()
        if kept is None:
            self._add({**values, "entry_id": str(uuid.uuid4()).upper(), "created_at": entry.at})
            self._trim(rows, oldest)
        else:
            self._again({**values, "entry_id": kept[0]})

    def _add(self, values: dict[str, Any]) -> None:
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        self._db.execute(f"INSERT INTO router_billing ({names}) VALUES ({marks})", values)  # noqa: S608 - our own words

    def _again(self, values: dict[str, Any]) -> None:
        self._db.execute(
            "UPDATE router_billing SET session_id = coalesce(:session_id, session_id),"
            " turn_id = coalesce(:turn_id, turn_id), model = coalesce(:model, model), token_source = :token_source,"
            " input_tokens = :input_tokens, output_tokens = :output_tokens, cost_micro = :cost_micro,"
            " outcome = CASE outcome WHEN 'pending' THEN :outcome ELSE outcome END WHERE entry_id = :entry_id",
            values,
        )

    def _trim(self, rows: int, oldest: float) -> None:
        self._db.execute(
            "DELETE FROM router_billing WHERE entry_id IN"
            " (SELECT entry_id FROM router_billing ORDER BY created_at DESC LIMIT ? OFFSET ?)",
            (_TRIMMED, rows),
        )
        self._db.execute(
            "DELETE FROM router_billing WHERE entry_id IN"
            " (SELECT entry_id FROM router_billing WHERE created_at < ? ORDER BY created_at LIMIT ?)",
            (oldest, _TRIMMED),
        )
