"""Models that a server on this machine lists and has answered elsewhere, as far as their cards can tell. Pure."""

from __future__ import annotations

from osaurus_nb.models import LOCAL, ROUTER, ModelCard

#: Where the models of this tag are answered: `gpt-oss:120b-cloud`, `glm-4.6:cloud` (ollama.com, seen 2026-11).
_TAG = "cloud"


def forwards(card: ModelCard) -> str | None:
    """To whom questions to this model are passed on, in words for a sentence; None where nothing says that they are."""
    if card.provider == LOCAL:
        return None
    if card.forwards_to is not None:
        return card.forwards_to
    if card.provider == ROUTER:
        return "the providers behind the Router"
    _, _, tag = card.id.lower().rpartition(":")
    if ":" in card.id and (tag == _TAG or tag.endswith(f"-{_TAG}")):
        return "Ollama's cloud"
    return None
