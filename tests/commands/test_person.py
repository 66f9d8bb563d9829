"""Who may be asked for a secret."""

from __future__ import annotations

import pytest

from osaurus_nb.commands.person import Notebook
from osaurus_nb.errors import ConfigError


def test_no_secret_is_typed_into_a_connected_kernel() -> None:
    """There the server keeps the secrets; a terminal of its machine is named instead, before anything is asked."""
    with pytest.raises(ConfigError, match="terminal of the server's machine"):
        Notebook(connected=True).secret("Key: ")
