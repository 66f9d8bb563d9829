"""A chat in the output of a cell. Thin: it shows a Session and passes on what its user does.

Traits hold the transcript and the chosen model, nothing else: they are saved in the notebook.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

import anywidget
import traitlets

from osaurus_nb._portal import portal
from osaurus_nb.client import Client
from osaurus_nb.options import ChatOptions
from osaurus_nb_widgets.session import Session
from osaurus_nb_widgets.transcript import plain

_STATIC = Path(__file__).parent / "static"


class Chat(anywidget.AnyWidget):
    """A chat with any model: pick it, ask, watch the answer come, stop it, ask again.

    `options` are those of `Client.chat`, such as `model`, `system` and `temperature`; they hold for each question.
    `messages` is the transcript, set when an answer has ended; `selected_model` is the picker's choice.
    """

    _esm = _STATIC / "chat.js"
    _css = _STATIC / "chat.css"
    messages = traitlets.List(traitlets.Dict()).tag(sync=True)
    selected_model = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self, client: Client | None = None, *, height: str | int = "480px", **options: Unpack[ChatOptions]
    ) -> None:
        client = client or Client()
        layout = {"height": f"{height}px" if isinstance(height, int) else height, "width": "100%"}
        super().__init__(selected_model=options.get("model") or client.model, layout=layout)
        self._session = Session(client.twin, self, options)
        self.on_msg(self._receive)
        # ipykernel 7.4 sends what comes in to the shell that sent out last: after a cell that is the main one, which
        # may be busy. Without the hook a message goes to the subshell that its header names.
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = None

    def ask(self, question: str) -> None:
        """Ask as if it was typed; returns at once."""
        self._do({"kind": "ask", "text": question})

    def stop(self) -> None:
        """Stop the answer that is being written; what came of it stays."""
        self._do({"kind": "stop"})

    def clear(self) -> None:
        """Start over."""
        self._do({"kind": "clear"})

    def close(self) -> None:
        """Stop, and take the widget off the page."""
        self.stop()
        super().close()

    def __repr__(self) -> str:
        return f"<Chat with {self.selected_model}, {len(self.messages)} messages>"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The view, and the transcript so far as text for places that show no widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/plain"] = plain(self.messages) or repr(self)
        return bundle

    def _receive(self, _: object, content: dict[str, Any], buffers: object) -> None:
        # Comm messages come on the main thread or on a subshell's: only the portal's loop is safe from both.
        self._do(content)

    def _do(self, message: dict[str, Any]) -> None:
        portal().call_soon(self._session.handle(message))
