"""Thought signatures: Google's own as they came, and what other dialects attached, sealed in their place.

Every part may carry one, and callers give it back. The vendor's SDK holds it as bytes, so it is always base64.
"""

from __future__ import annotations

import base64

from osaurus_nb.messages import Opaque
from osaurus_nb.models import ModelCard
from osaurus_nb.wire._opaque import keep, own, seal, unseal
from osaurus_nb.wire.google_generate._names import NAME, SKIP_SIGNATURE

KEY = "thoughtSignature"
#: Beside a signature: the model that made it. Another one does not take it.
MODEL = "model"


def read(signature: str | None) -> Opaque | None:
    """What a caller's signature stands for. The vendor's dummy stands for nothing."""
    if not signature or signature == SKIP_SIGNATURE:
        return None
    try:
        state = unseal(base64.urlsafe_b64decode(signature).decode())
    except ValueError:
        state = None
    return state or keep(NAME, {KEY: signature})


def write(metadata: Opaque | None) -> str | None:
    """The signature that a caller gets: raw when Google alone attached something, else all of it, sealed."""
    if not metadata:
        return None
    signature = own(metadata, NAME).get(KEY)
    if metadata.keys() == {NAME}:
        return signature if isinstance(signature, str) else None
    return base64.urlsafe_b64encode(seal(metadata).encode()).decode()


def usable(metadata: Opaque | None, card: ModelCard) -> str | None:
    """The signature that this model takes back: its own, or one of which nobody knows whose it is."""
    state = own(metadata, NAME)
    signature = state.get(KEY)
    return signature if isinstance(signature, str) and state.get(MODEL, card.name) == card.name else None


def strange(metadata: Opaque | None, card: ModelCard) -> bool:
    """Is there a signature that another model of Google's made?"""
    return KEY in own(metadata, NAME) and usable(metadata, card) is None
