"""Names that both directions of the dialect share."""

from __future__ import annotations

#: Under this name parts and requests keep what only this dialect understands.
DIALECT = "openai_responses"
#: In state that we sealed: whether it belongs to a "call", by its id, or to the "text" before the item.
OF = "of"
#: In a compaction item of ours: what the conversation came to.
SUMMARY = "summary"
#: In one too: the message items that stay as they were.
KEPT = "kept"
