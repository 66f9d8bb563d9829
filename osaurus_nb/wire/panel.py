"""What a panel said, as JSON between our own server and client, and in answers under `osaurus.panel`. Pure.

It goes to who asked and nobody else: it holds the words of each answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, cast, get_args

from osaurus_nb.models import Usage
from osaurus_nb.routes import Analysis, Panel, Panelist, PanelOutcome
from osaurus_nb.wire._liberal import as_mapping, as_rows, as_text


def write(panel: Panel) -> dict[str, Any]:
    said = {
        "panelists": [_panelist(one) for one in panel.panelists],
        "analysis": {name: list(found) for name, found in asdict(panel.analysis).items()} if panel.analysis else None,
        "judge": panel.judge,
        "early": panel.early or None,
    }
    return {key: value for key, value in said.items() if value is not None}


def read(said: object) -> Panel | None:
    """The same again; None for what is none. A part that is not what it should be is left out."""
    told = as_mapping(said)
    if not isinstance(told.get("panelists"), list):
        return None
    analysis = as_mapping(told.get("analysis"))
    return Panel(
        tuple(_read_panelist(row) for row in as_rows(told.get("panelists"))),
        Analysis(**{each.name: _texts(analysis.get(each.name)) for each in fields(Analysis)}) if analysis else None,
        as_text(told.get("judge")),
        early=told.get("early") is True,
    )


def _panelist(one: Panelist) -> dict[str, Any]:
    usage = one.usage
    said = {
        "model": one.model,
        "provider": one.provider,
        "outcome": one.outcome,
        "text": one.text or None,
        "agreement": round(one.agreement, 3) if one.agreement is not None else None,
        "cost_micro": one.cost_micro,
        "usage": asdict(usage) if usage is not None else None,
        "seconds": round(one.seconds, 3) if one.seconds is not None else None,
        "error": one.error,
    }
    return {key: value for key, value in said.items() if value is not None}


def _read_panelist(row: Mapping[str, Any]) -> Panelist:
    outcome, cost = row.get("outcome"), row.get("cost_micro")
    usage = as_mapping(row.get("usage"))
    return Panelist(
        model=as_text(row.get("model")) or "",
        provider=as_text(row.get("provider")) or "",
        outcome=cast(PanelOutcome, outcome) if outcome in get_args(PanelOutcome) else "failed",
        text=as_text(row.get("text")) or "",
        agreement=_number(row.get("agreement")),
        cost_micro=cost if type(cost) is int else None,
        usage=_usage(usage) if usage else None,
        seconds=_number(row.get("seconds")),
        error=as_text(row.get("error")),
    )


def _usage(said: Mapping[str, Any]) -> Usage:
    kinds = {each.name: type(each.default) for each in fields(Usage)}
    return Usage(**{name: said[name] for name, kind in kinds.items() if type(said.get(name)) is kind})


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
