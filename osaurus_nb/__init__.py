"""One client for every model, local or remote, in the notebook."""

from __future__ import annotations

__version__ = "0.1.0"
