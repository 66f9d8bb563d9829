"""Why a model was chosen, as JSON between our own server and client, and as whoever asks with `debug` gets it. Pure.

It holds names, numbers and reasons, never a word of a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from osaurus_nb.routes import MODES, Complexity, Explanation, Label, Ranked, Rejected, Term
from osaurus_nb.wire._liberal import as_mapping, as_rows, as_text

#: An answer tells of so many models that were ranked, and of so many that were not; a plain explanation of all.
MOST = 24
_PLAIN = ("asked", "profile", "mode", "intent", "second", "confidence", "complexity", "chain", "sticky", "exploring")


def write(explanation: Explanation, *, most: int | None = None) -> dict[str, Any]:
    """With `most`, so many of the ranked and of the rejected; what is left out is counted in a warning."""
    ranked, rejected = explanation.ranked, explanation.rejected
    kept = ranked[: max(most, explanation.chain)] if most is not None else ranked
    named = rejected[:most]
    return {
        **{name: getattr(explanation, name) for name in _PLAIN},
        "needs": dict(explanation.needs),
        "ranked": [_ranked(row) for row in kept],
        "rejected": [_rejected(row) for row in named],
        "weights": explanation.weights,
        "warnings": [*explanation.warnings, *_left_out(len(ranked) - len(kept), len(rejected) - len(named))],
    }


def read(said: object) -> Explanation | None:
    """The same again; None for what is none. A part that is not what it should be is left out."""
    told = as_mapping(said)
    asked = as_text(told.get("asked"))
    if asked is None:
        return None
    ranked = tuple(_read_ranked(row) for row in as_rows(told.get("ranked")))
    return Explanation(
        asked=asked,
        profile=as_text(told.get("profile")),
        mode=_among(told.get("mode"), MODES, "balanced"),
        intent=_among(told.get("intent"), get_args(Label), "unknown"),
        second=_among(told.get("second"), get_args(Label), None),
        confidence=_number(told.get("confidence")),
        complexity=_among(told.get("complexity"), get_args(Complexity), "unknown"),
        needs={key: value for key, value in as_mapping(told.get("needs")).items() if isinstance(value, _SIMPLE)},
        ranked=ranked,
        rejected=tuple(_read_rejected(row) for row in as_rows(told.get("rejected"))),
        chain=min(int(_number(told.get("chain"))), len(ranked)),
        sticky=as_text(told.get("sticky")),
        exploring=told.get("exploring") is True,
        weights=as_text(told.get("weights")) or "",
        warnings=_texts(told.get("warnings")),
    )


_SIMPLE = (str, int, float, bool)


def _ranked(row: Ranked) -> dict[str, Any]:
    terms = {term.name: [round(term.value, 4), round(term.weight, 4)] for term in row.terms}
    return {"model": row.model, "provider": row.provider, "score": round(row.score, 4), "terms": terms}


def _rejected(row: Rejected) -> dict[str, Any]:
    return {"model": row.model, "code": row.code, "reason": row.reason, "remedy": row.remedy}


def _left_out(ranked: int, rejected: int) -> Sequence[str]:
    said = [f"{ranked} more could answer" if ranked else "", f"{rejected} more could not" if rejected else ""]
    said = [part for part in said if part]
    return [f"Not listed here: {' and '.join(said)}. Ask for an explanation to see all."] if said else []


def _read_ranked(row: Mapping[str, Any]) -> Ranked:
    terms = tuple(
        Term(name, _number(pair[0]), _number(pair[1]))
        for name, pair in as_mapping(row.get("terms")).items()
        if isinstance(pair, list) and len(pair) == 2
    )
    return Ranked(str(row.get("model")), str(row.get("provider")), _number(row.get("score")), terms)


def _read_rejected(row: Mapping[str, Any]) -> Rejected:
    return Rejected(*(str(row.get(name) or "") for name in ("model", "code", "reason", "remedy")))


def _among(value: object, known: Sequence[str], otherwise: str | None) -> Any:
    return value if isinstance(value, str) and value in known else otherwise


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
