"""The two versions of the API that exist, by the value of the header `anthropic-version`."""

from __future__ import annotations

HEADER = "anthropic-version"
#: The header that asks for what only a future version has.
BETAS = "anthropic-beta"
#: Takes sampling, documents of the assistant, citations on a user's text.
OLD = "2023-06-01"
NEW = "2026-10-21"
#: The name of this dialect where opaque state is kept.
NAME = "anthropic"
