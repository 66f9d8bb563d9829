"""Where keys are: a vault on the disk whose key is in the system's keychain, or as near to that as this machine allows.

The one door to `keyring`. Nothing is ever written in clear, and nothing is asked of a keychain before it is needed.
"""

from __future__ import annotations

from functools import cache

from osaurus_nb.config.environment import environment
from osaurus_nb.config.paths import Paths
from osaurus_nb.secrets.slots import Slots
from osaurus_nb.secrets.store import Secrets
from osaurus_nb.secrets.values import (
    API_KEY,
    Head,
    RolledBack,
    SecretsLocked,
    SecretsStatus,
    VaultDamaged,
    header,
    numbered,
)

__all__ = [
    "API_KEY",
    "Head",
    "RolledBack",
    "Secrets",
    "SecretsLocked",
    "SecretsStatus",
    "Slots",
    "VaultDamaged",
    "header",
    "numbered",
    "secrets_of",
]


@cache
def secrets_of(paths: Paths) -> Secrets:
    """The secrets of this home, one object for the whole process: its user is asked once."""
    return Secrets(paths, env=environment())
