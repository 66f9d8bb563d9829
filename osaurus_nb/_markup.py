"""Makes an answer safe to show as rich output: nothing in it runs, loads or leads anywhere unseen. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def bundle(text: str, *, footer: str = "", notices: Sequence[str] = ()) -> dict[str, str]:
    """The MIME bundle of an answer: plain text and Markdown."""
    return {"text/plain": text}
