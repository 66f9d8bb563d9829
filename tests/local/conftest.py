"""Models for the tests of the local room."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb.testing import tiny_models

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a llama of 380 KB and random weights. Read it; do not write into it."""
    return tiny_models.make_random(tmp_path_factory.mktemp("models") / "tiny-random")


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of 100 KB and random weights, laid out for sentence embeddings. Do not write into it."""
    return tiny_models.make_encoder(tmp_path_factory.mktemp("models") / "tiny-encoder")


@pytest.fixture(scope="session")
def scripted_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a llama of 0.9 MB that says exactly what `script` has, under greedy decoding."""
    return shutil.copytree(DATA / "scripted-model", tmp_path_factory.mktemp("models") / "scripted")


@pytest.fixture(scope="session")
def script() -> list[dict[str, Any]]:
    """The chats that the scripted model knows by heart: messages, sometimes tools, and the answer."""
    return json.loads((DATA / "script.json").read_text("utf-8"))
