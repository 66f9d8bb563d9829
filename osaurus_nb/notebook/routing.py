"""`%osaurus route` and `%osaurus private`: why a model answers, and that none elsewhere hears of a question."""

from __future__ import annotations

from IPython.core.error import UsageError

from osaurus_nb import _markup
from osaurus_nb._portal import portal
from osaurus_nb.notebook.display import show
from osaurus_nb.notebook.session import Session
from osaurus_nb.options import ChatOptions


def explain(session: Session, question: str, options: ChatOptions) -> None:
    """Who would answer, and why. Asks nobody."""
    found = portal().run(session.client.explain(question, **session.chosen(options)))
    show(session.shell, found._repr_mimebundle_())


def tell_last(session: Session) -> None:
    """Why it was who answered last."""
    last = session.last
    if last is None:
        raise UsageError("Nothing was asked yet. %osaurus route QUESTION says who would answer that.")
    if last.route is None:
        said = f"'{last.model or last.asked}' was named: nothing was chosen."
        show(session.shell, _markup.callout("\n".join([said, *last.failures]), kind="note"))
        return
    show(session.shell, last.route._repr_mimebundle_())
    if last.failures:
        show(session.shell, _markup.callout("\n".join(last.failures), kind="note"))


def private(session: Session, rest: str) -> None:
    """On: no question of this notebook leaves this machine and its networks, whatever it asks for."""
    if rest not in ("on", "off", ""):
        raise UsageError("%osaurus private takes on or off.")
    if rest:
        session.private = rest == "on"
    state = "on: every question stays on this machine and its networks" if session.private else "off"
    show(session.shell, _markup.bundle(f"Private is {state}."))
