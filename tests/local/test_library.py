"""Only folders that cannot run anybody's code are models, and an id never leaves the models directory."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from osaurus_nb.errors import ModelNotFound, ModelRejected
from osaurus_nb.local.library import Library, inspect


@pytest.fixture
def models(tmp_path: Path, tiny_model: Path) -> Path:
    """A models directory with `tiny` and `acme/tiny` in it, and a model outside it."""
    root = tmp_path / "models"
    for place in (root / "tiny", root / "acme" / "tiny", tmp_path / "outside"):
        shutil.copytree(tiny_model, place)
    return root


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_models_are_listed_by_id(models: Path):
    """Folders and folders of an organisation are both models; nothing else is."""
    (models / ".partial-x").mkdir()
    (models / ".partial-x" / "config.json").write_text("{}")
    (models / "empty").mkdir()
    (models / "note.txt").write_text("not a model")

    found = Library(models).list()

    assert [model.id for model in found] == ["acme/tiny", "tiny"]
    assert Library(models).rejected() == {}


def test_model_tells_its_size_and_window(models: Path):
    """What the picker and the memory check need is read without opening the weights."""
    model = Library(models).find("tiny")

    assert model.context_length == 2048
    assert model.architecture == "llama"
    assert model.size_bytes == (models / "tiny" / "model.safetensors").stat().st_size
    assert model.folder == models / "tiny"


def test_window_of_a_model_with_several_parts_is_that_of_its_text(models: Path):
    """A model that sees keeps its window one level deeper."""
    config = models / "tiny" / "config.json"
    config.write_text(json.dumps({"model_type": "sees", "text_config": {"max_position_embeddings": 77}}))

    assert Library(models).find("tiny").context_length == 77


def test_no_directory_is_no_models(tmp_path: Path):
    """Before the first pull there is simply nothing."""
    assert Library(tmp_path / "none").list() == []


def test_unknown_id_names_what_is_near(models: Path):
    """A typing mistake is answered with the names that exist."""
    with pytest.raises(ModelNotFound, match="Near: tiny") as caught:
        Library(models).find("tinny")

    assert caught.value.near[0] == "tiny"


@pytest.mark.parametrize(
    "id",
    [
        "..",
        ".",
        "",
        "../outside",
        "tiny/..",
        "tiny/../../outside",
        "acme/../tiny",
        "acme//tiny",
        "/tiny",
        "tiny/",
        "acme/tiny/config.json",
        "{outside}",
        "~",
        "~root",
        "~/tiny",
        "tiny\0",
        "tiny\0/../outside",
        "..\\outside",
        "acme\\tiny",
        "%2e%2e/outside",
        "..%2foutside",
        "acme%2ftiny",
        "..\u2215outside",
        "acme\u2044tiny",
        "acme\uff0ftiny",
        "\uff0e\uff0e/outside",
        "\u2024\u2024/outside",
        "tiny ",
        " tiny",
        "TINY",
        "tiny\n",
        ".partial-x",
        "C:\\tiny",
        "file:///tiny",
        "tiny" * 1000,
    ],
)
def test_no_spelling_leaves_the_directory(id: str, models: Path):
    """Ids are compared name by name; whatever means another place is an unknown model."""
    (models / ".partial-x").mkdir()
    shutil.copy(models / "tiny" / "config.json", models / ".partial-x")

    with pytest.raises(ModelNotFound) as caught:
        Library(models).find(id.format(outside=models.parent / "outside"))

    assert len(caught.value.message) < 1000


def test_link_to_another_place_is_refused(models: Path):
    """A model folder that is a link out of the directory is refused, and said so."""
    (models / "linked").symlink_to(models.parent / "outside")

    with pytest.raises(ModelRejected, match="outside"):
        Library(models).find("linked")

    assert "linked" not in {model.id for model in Library(models).list()}


def link_out(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder.parents[1] / "outside" / "model.safetensors")


def write(name: str, text: str = "x") -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda folder: edit(folder / "config.json", model_file="evil.py"),
            r"config\.json asks to run code .*model_file",
        ),
        (lambda folder: edit(folder / "config.json", auto_map={"AutoModel": "evil.M"}), r"config\.json .*auto_map"),
        (
            lambda folder: edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]}),
            r"tokenizer_config\.json .*auto_map",
        ),
        (write("processor_config.json", '{"auto_map": {"a": "b"}}'), r"processor_config\.json .*auto_map"),
        (write("pytorch_model.bin"), "pickled weights"),
        (write("model.PT"), "pickled weights"),
        (write("model.pth"), "pickled weights"),
        (write("model.ckpt"), "pickled weights"),
        (write("state.pkl"), "pickled weights"),
        (write("weights.npz"), "may be pickled"),
        (write("modeling.py"), "Python code"),
        (write("inner/modeling.py"), "Python code"),
        (write("lib.so"), "native code"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no weights"),
        (lambda folder: (folder / "config.json").unlink(), r"no config\.json"),
        (write("config.json", "not json"), "is not JSON"),
        (write("config.json", "[" * 100_000), "is not JSON"),
        (write("config.json", "[]"), "not a JSON object"),
        (write("config.json", "{}"), "no model_type"),
        (link_out, "link that leaves its folder"),
        (lambda folder: os.mkfifo(folder / "pipe"), "not a plain file"),
    ],
)
def test_hostile_folder_is_refused_with_its_reason(change: Callable[[Path], object], reason: str, models: Path):
    """What could run code, and what is no model, is left out of the list, and told apart."""
    change(models / "tiny")

    with pytest.raises(ModelRejected, match=reason):
        Library(models).find("tiny")

    assert [model.id for model in Library(models).list()] == ["acme/tiny"]
    assert list(Library(models).rejected()) == ["tiny"]


def test_inspection_takes_any_folder(tiny_model: Path):
    """A folder of one's own choice is checked in the same way."""
    assert inspect(tiny_model).id == tiny_model.name
