"""A body as it goes out. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_json


def content(body: Mapping[str, Any]) -> bytes:
    """Its JSON in UTF-8."""
    try:
        return to_json(body)
    except PydanticSerializationError:  # half a surrogate pair has no UTF-8, but an escape
        return json.dumps(body, separators=(",", ":")).encode()
