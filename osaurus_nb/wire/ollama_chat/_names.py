"""Names that both directions of the dialect share."""

from __future__ import annotations

from datetime import UTC, datetime

#: The name of this dialect where opaque state is kept.
NAME = "ollama"


def when(seconds: int) -> str:
    """A moment as the dialect writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
