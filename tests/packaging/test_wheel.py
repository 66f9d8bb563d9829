"""What a user gets who installs the wheel."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

SOURCES = ("osaurus_nb", "jupyter_ext/osaurus_nb_server", "widgets/osaurus_nb_widgets")
PACKAGES = {Path(source).name for source in SOURCES}
ROOT = Path(__file__).parents[2]
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_installs_three_packages_and_nothing_else(wheel):
    """No stray top-level module such as `tests` or `widgets` lands in a user's environment."""
    names = {name.split("/")[0] for name in contents(wheel)}

    extras = {name for name in names if name.endswith((".dist-info", ".data"))}
    assert names - extras == PACKAGES
    assert len(extras) == 2


def test_the_wheel_runs_nothing_at_start_up(wheel):
    """There is no `.pth` file: installing the package does not change how Python starts."""
    assert not [name for name in contents(wheel) if name.endswith(".pth")]


def test_the_wheel_holds_every_file_of_the_three_packages(wheel):
    """Styles, scripts and type markers travel with the code."""
    expected = {
        f"{Path(source).name}/{path.relative_to(ROOT / source).as_posix()}"
        for source in SOURCES
        for path in (ROOT / source).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    packaged = {name for name in contents(wheel) if name.split("/")[0] in PACKAGES}

    assert packaged == expected
    assert {f"{package}/py.typed" for package in PACKAGES} <= packaged


def test_the_sdist_can_be_built_and_tested(unpacked):
    """It holds the sources, the metadata, the licence and the tests."""
    wanted = ("pyproject.toml", "README.md", "LICENSE", "tests", "jupyter_ext/jupyter-config", *SOURCES)

    assert [name for name in wanted if not (unpacked / name).exists()] == []


def test_a_wheel_from_the_sdist_is_the_same_wheel(wheel, wheel_of_sdist):
    """Whoever builds from the sdist gets what we publish, byte for byte."""
    assert contents(wheel_of_sdist) == contents(wheel)


def test_the_package_imports_outside_the_source_tree(environment):
    """The installed copy is imported, from the environment's own site-packages."""
    code = "import osaurus_nb, osaurus_nb_server, osaurus_nb_widgets; print(osaurus_nb.__file__)"

    answer = environment.run("python", "-c", code)

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(str(environment.prefix))


def test_the_commands_start(environment):
    """`osaurus-nb` and `jupyter osaurus` exist and can say what they do."""
    answers = [environment.run(command, "--help") for command in ("osaurus-nb", "jupyter-osaurus")]

    assert [answer.returncode for answer in answers] == [0, 0], [answer.stderr for answer in answers]
    assert all("osaurus" in answer.stdout.lower() for answer in answers)


def test_jupyter_server_enables_the_extension_by_itself(environment):
    """Installing is enough: the server lists the extension as enabled, and loads it."""
    code = "from jupyter_server.extension.serverextension import main; main()"

    answer = environment.run("python", "-c", code, "list")

    listing = ANSI.sub("", answer.stdout + answer.stderr)
    assert (environment.prefix / "etc/jupyter/jupyter_server_config.d/osaurus_nb_server.json").is_file()
    assert re.search(r"osaurus_nb_server\s+enabled", listing), listing
    assert re.search(r"osaurus_nb_server\b.*\bOK", listing), listing


def test_the_magics_load_in_ipython(environment):
    """`%load_ext osaurus_nb` registers the `osaurus` magics in a fresh IPython."""
    probe = "magics = get_ipython().magics_manager.magics; print({kind: 'osaurus' in magics[kind] for kind in magics})"

    answer = environment.run("python", "-m", "IPython", "--no-banner", "-c", f"%load_ext osaurus_nb\n{probe}")

    assert "{'line': True, 'cell': True}" in answer.stdout, answer.stdout + answer.stderr
