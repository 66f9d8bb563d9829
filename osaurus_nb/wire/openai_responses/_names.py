"""Names that both directions of the dialect share."""

from __future__ import annotations

#: Under this name parts and requests keep what only this dialect understands.
DIALECT = "openai_responses"
#: In state that we sealed: the kind of part, just before the item, that it belongs to.
OF = "of"
#: In a compaction item of ours: what the conversation came to.
SUMMARY = "summary"
