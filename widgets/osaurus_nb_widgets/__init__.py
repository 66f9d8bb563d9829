"""Widgets that stand on the SDK: a chat with any model, in the output of a cell."""

from __future__ import annotations

from osaurus_nb_widgets.chat import Chat

__all__ = ["Chat"]
